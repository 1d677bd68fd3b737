//! Sessions that are bound to a device.

use super::support::*;
use crate::{
    clock::Clock,
    id::SessionId,
    keys::DeviceKey,
    store::{
        FoundSession, Owner, RefreshAttempt, RegisterDevice, RegisterOutcome, RotateOutcome, Rotation, SessionStore,
        WhichSessions,
    },
    testing::TestClock,
};

fn key(n: u8) -> DeviceKey {
    DeviceKey::from_bytes([n; DeviceKey::LEN])
}

async fn register<S: SessionStore>(store: &S, user: &Owner, id: SessionId, key: DeviceKey) -> RegisterOutcome {
    must(store.register_device(&RegisterDevice::new(user.clone(), id, key)).await)
}

async fn key_of<S: SessionStore>(store: &S, user: &Owner, id: SessionId) -> Option<DeviceKey> {
    must(store.find(user, id).await).and_then(|found| found.device_key)
}

fn proven(generation: u32) -> RefreshAttempt {
    RefreshAttempt { is_proven: true, ..attempt(generation, FIXED) }
}

/// The first key stays, whatever is registered after it, and goes with the session.
pub async fn device_is_registered_once<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("device_is_registered_once", store);
    let (user, other) = (user("user"), user("other"));
    let record = login(&store, &user, id(1)).await;
    login(&store, &user, id(2)).await;
    assert_eq!(key_of(&store, &user, id(1)).await, None);
    let found = FoundSession { device_key: Some(key(3)), ..FoundSession::new(record, clock.now()) };
    assert_eq!(register(&store, &user, id(1), key(3)).await, RegisterOutcome::Registered(found.clone()));
    for again in [3, 4] {
        assert_eq!(register(&store, &user, id(1), key(again)).await, RegisterOutcome::Known);
    }
    assert_eq!(must(store.find(&user, id(1)).await), Some(found), "the record did not change");
    assert_eq!(key_of(&store, &user, id(2)).await, None, "the key of one session only");
    for (user, id) in [(&user, id(9)), (&other, id(1))] {
        assert_eq!(register(&store, user, id, key(4)).await, RegisterOutcome::Ended);
    }

    end(&store, &user, WhichSessions::One(id(1))).await;
    assert_eq!(register(&store, &user, id(1), key(4)).await, RegisterOutcome::Ended);
    login(&store, &user, id(1)).await;
    assert_eq!(key_of(&store, &user, id(1)).await, None, "of the session before");
    clock.advance(ABSOLUTE);
    assert_eq!(register(&store, &user, id(2), key(4)).await, RegisterOutcome::Ended);
}

/// Of registrations at the same time one succeeds, and its key stays.
pub async fn device_is_registered_once_in_parallel<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("device_is_registered_once_in_parallel", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    let outcomes = join_all((0..20).map(|n| register(&store, &user, id(1), key(n)))).await;
    let won: Vec<_> = (0..20_u8).zip(&outcomes).filter(|(_, outcome)| **outcome != RegisterOutcome::Known).collect();
    match won[..] {
        [(n, RegisterOutcome::Registered(found))] => {
            assert_eq!(found.device_key, Some(key(n)));
            assert_eq!(key_of(&store, &user, id(1)).await, Some(key(n)));
        }
        _ => panic!("one registration succeeds: {outcomes:?}"),
    }
}

/// Until the device has proven a refresh, others are accepted; after that, none is, and none ends the session.
pub async fn proof_is_demanded_once_it_was_given<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("proof_is_demanded_once_it_was_given", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    register(&store, &user("user"), id(1), key(3)).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(HOUR);
    assert!(matches!(session.present_with(proven(2)).await, RotateOutcome::Live { rotation: Rotation::Rotated, .. }));
    assert_eq!(session.record.bound_at, Some(clock.now()));
    let bound = session.record;
    for generation in [1, 2, 3, 4, u32::MAX] {
        let unproven = RefreshAttempt { min_epoch: 7, ..attempt(generation, FIXED) };
        assert_eq!(session.present_with(unproven).await, RotateOutcome::ProofRequired, "{generation}");
    }
    assert_eq!(session.record, bound);
    assert!(log(&store).await.is_empty());

    // Everything else is as before, and the binding stays.
    clock.advance(HOUR);
    session.present_with(proven(3)).await;
    session.confirm(4).await;
    assert_eq!(must(store.expire_access(&user("user"), RETENTION).await), [(id(1), 1)]);
    let found = must(store.find(&user("user"), id(1)).await).expect("a live session");
    assert_eq!((found.record.bound_at, found.record.epoch, found.device_key), (bound.bound_at, 1, Some(key(3))));
    let listed = must(store.list(&user("user")).await).sessions;
    assert_eq!(listed.iter().map(|listed| listed.record).collect::<Vec<_>>(), [found.record]);
    session.record = found.record;
    assert_eq!(session.present(4).await, RotateOutcome::ProofRequired);
    clock.advance(HOUR);
    session.present_with(proven(4)).await;
    assert_eq!(session.present_with(proven(1)).await, RotateOutcome::Reused);
}
