//! Creating sessions, and their limit.

use std::{net::IpAddr, num::NonZeroU32};

use super::support::*;
use crate::{
    clock::Clock,
    id::UserId,
    policy::SessionLimit,
    store::{CreateOutcome, Device, LogPosition, Rotation, SessionData, SessionRecord, SessionStore, WhichSessions},
    testing::TestClock,
};

fn evict(max: u32) -> Option<SessionLimit> {
    NonZeroU32::new(max).map(SessionLimit::evict)
}

fn refuse(max: u32) -> Option<SessionLimit> {
    NonZeroU32::new(max).map(SessionLimit::refuse)
}

/// The record is [`SessionRecord::begin`] by the store's clock, and is found at once.
pub async fn create_begins_a_session<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("create_begins_a_session", store);
    let outcome = must(store.create(&new_session(&user("user"), id(1))).await);
    let record = SessionRecord::begin(clock.now(), REFRESH, ABSOLUTE);
    assert_eq!(outcome, CreateOutcome::Created { record, now: clock.now(), ended: Vec::new() });
    let found = must(store.find(&user("user"), id(1)).await);
    assert_eq!(found.map(|found| (found.record, found.now)), Some((record, clock.now())));
    assert!(log(&store).await.is_empty(), "a login that ends nothing publishes nothing");
}

/// An idle limit beyond the absolute one is cut to it.
pub async fn create_ends_no_later_than_the_absolute_limit<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("create_ends_no_later_than_the_absolute_limit", store);
    let mut new = new_session(&user("user"), id(1));
    (new.refresh_lifetime, new.absolute_lifetime) = (DAY, HOUR);
    let (record, _) = create(&store, &new).await;
    assert_eq!(record.idle_end, clock.now().saturating_add(HOUR));
    assert_eq!(record.absolute_end, record.idle_end);
}

/// Data given at login is version 1, also when it is empty; none is version 0.
pub async fn create_stores_the_first_data<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_stores_the_first_data", store);
    for (n, data) in [(1, None), (2, Some(b"cart".to_vec())), (3, Some(Vec::new()))] {
        let mut new = new_session(&user("user"), id(n));
        new.data.clone_from(&data);
        create(&store, &new).await;
        let expected = SessionData { version: u64::from(data.is_some()), bytes: data };
        assert_eq!(must(store.get_data(&user("user"), id(n)).await), Some(expected));
    }
}

/// User agent, address and actor come back in the list as they were given.
pub async fn create_stores_the_device<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_stores_the_device", store);
    let agents = [None, Some(String::new()), Some("Mozilla/5.0 (ü; 漢字)".to_owned()), Some("x".repeat(255))];
    let ips = [None, Some(IpAddr::from([192, 0, 2, 7])), Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]))];
    let mut devices = Vec::new();
    for user_agent in agents {
        for ip in ips {
            let mut new = new_session(&user("user"), id(u8::try_from(devices.len()).unwrap_or(u8::MAX)));
            let actor = ip.and_then(|_| UserId::new("support \"é\"").ok());
            new.device = Device { user_agent: user_agent.clone(), ip, actor };
            create(&store, &new).await;
            devices.push((new.id, new.device));
        }
    }
    let mut listed: Vec<_> =
        must(store.list(&user("user")).await).sessions.into_iter().map(|listed| (listed.id, listed.device)).collect();
    listed.sort_unstable_by_key(|(id, _)| *id);
    assert_eq!(listed, devices);
}

/// A session counts as used when it was refreshed last, or else created.
pub async fn create_evicts_the_least_recently_refreshed<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("create_evicts_the_least_recently_refreshed", store);
    let mut first = Tracked::login(&store, &clock, FIXED).await;
    for n in [2, 3] {
        clock.advance(HOUR);
        login(&store, &user("user"), id(n)).await;
    }
    clock.advance(HOUR);
    first.expect(1, Rotation::Rotated, 2).await;

    let mut new = new_session(&user("user"), id(4));
    new.limit = evict(3);
    assert_eq!(create(&store, &new).await.1, [id(2)]);
    assert_eq!(list(&store, &user("user")).await, [id(1), id(3), id(4)]);
    assert!(find(&store, &user("user"), id(2)).await.is_none());
    assert!(published_end(&store, id(2)).await);
}

/// A limit that was lowered, or did not exist before, is enforced at the next login. Ties go by identifier.
pub async fn create_evicts_as_many_as_needed<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_evicts_as_many_as_needed", store);
    for n in [5, 200, 3, 128, 1] {
        login(&store, &user("user"), id(n)).await;
    }
    let mut new = new_session(&user("user"), id(6));
    new.limit = evict(2);
    assert_eq!(create(&store, &new).await.1, [id(1), id(3), id(5), id(128)]);
    assert_eq!(list(&store, &user("user")).await, [id(6), id(200)]);
    let published = published(&store).await;
    assert_eq!(published.len(), 4, "each is published once");
}

/// Nothing changes: not the sessions, not the one that would have been replaced, not the data, not the log.
pub async fn create_refuses_when_full_and_changes_nothing<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_refuses_when_full_and_changes_nothing", store);
    for n in [1, 2, 3] {
        login(&store, &user("user"), id(n)).await;
    }
    put(&store, &user("user"), id(1), 0, b"kept").await;
    let mut new = new_session(&user("user"), id(4));
    new.limit = refuse(2);
    new.data = Some(b"lost".to_vec());
    for replaces in [None, Some(id(1)), Some(id(9))] {
        new.replaces = replaces;
        assert_eq!(must(store.create(&new).await), CreateOutcome::LimitReached);
        assert_eq!(list(&store, &user("user")).await, [id(1), id(2), id(3)]);
        assert_eq!(must(store.get_data(&user("user"), id(4)).await), None);
        let kept = must(store.get_data(&user("user"), id(1)).await).and_then(|data| data.bytes);
        assert_eq!(kept.as_deref(), Some(&b"kept"[..]));
        let page = must(store.read_log(LogPosition::START, std::time::Duration::ZERO).await);
        assert_eq!((page.entries.len(), page.newest), (0, LogPosition::START));
    }
}

/// The replaced session ends in the same step, with its data, and makes room.
pub async fn create_replaces_without_counting<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_replaces_without_counting", store);
    login(&store, &user("user"), id(1)).await;
    put(&store, &user("user"), id(1), 0, b"old").await;
    let mut new = new_session(&user("user"), id(2));
    (new.limit, new.replaces) = (refuse(1), Some(id(1)));
    assert_eq!(create(&store, &new).await.1, [id(1)]);
    assert_eq!(list(&store, &user("user")).await, [id(2)]);
    assert_eq!(must(store.get_data(&user("user"), id(1)).await), None);
    assert_eq!(must(store.get_data(&user("user"), id(2)).await), Some(SessionData::default()));
    assert!(published_end(&store, id(1)).await);

    let mut new = new_session(&user("user"), id(3));
    (new.limit, new.replaces) = (evict(1), Some(id(2)));
    assert_eq!(create(&store, &new).await.1, [id(2)], "nothing else is evicted");
}

/// Sessions that have ended, that never existed or that belong to another user are not replaced.
pub async fn create_replaces_only_live_sessions_of_the_user<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("create_replaces_only_live_sessions_of_the_user", store);
    login(&store, &user("other"), id(1)).await;
    login(&store, &user("user"), id(2)).await;
    end(&store, &user("user"), WhichSessions::One(id(2))).await;
    let mut short = new_session(&user("user"), id(3));
    short.refresh_lifetime = HOUR;
    create(&store, &short).await;
    clock.advance(HOUR);
    let before = published(&store).await;
    for (n, replaces) in [(11, 1), (12, 2), (13, 3), (14, 99)] {
        let mut new = new_session(&user("user"), id(n));
        new.replaces = Some(id(replaces));
        assert!(create(&store, &new).await.1.is_empty(), "session {replaces} is not there to be replaced");
    }
    assert_eq!(list(&store, &user("other")).await, [id(1)]);
    assert_eq!(published(&store).await, before);
}

/// Expired and ended sessions make room, and are not reported as ended for it.
pub async fn create_counts_only_live_sessions<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("create_counts_only_live_sessions", store);
    let mut new = new_session(&user("user"), id(1));
    new.limit = refuse(1);
    create(&store, &new).await;
    clock.advance(REFRESH);
    new.id = id(2);
    assert!(create(&store, &new).await.1.is_empty());
    assert!(log(&store).await.is_empty(), "what expired needs no revocation");
    end(&store, &user("user"), WhichSessions::One(id(2))).await;
    end(&store, &user("user"), WhichSessions::One(id(2))).await;
    new.id = id(3);
    assert!(create(&store, &new).await.1.is_empty());
    new.id = id(4);
    assert_eq!(must(store.create(&new).await), CreateOutcome::LimitReached);
}

/// A hundred logins at once leave exactly as many sessions as allowed, and each that ended was ended once.
pub async fn create_is_exact_when_evicting_in_parallel<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_is_exact_when_evicting_in_parallel", store);
    let user = user("user");
    let ended = join_all((0..100).map(|n| {
        let mut new = new_session(&user, id(n));
        new.limit = evict(5);
        let store = &store;
        async move { create(store, &new).await.1 }
    }))
    .await;
    let ended = sorted(ended.concat());
    let live = list(&store, &user).await;
    assert_eq!((live.len(), ended.len()), (5, 95));
    assert_eq!(sorted([live, ended].concat()), (0..100).map(id).collect::<Vec<_>>());
    assert_eq!(published(&store).await.len(), 95);
}

/// Of a hundred logins at once exactly as many succeed as there is room.
pub async fn create_is_exact_when_refusing_in_parallel<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("create_is_exact_when_refusing_in_parallel", store);
    let user = user("user");
    let outcomes = join_all((0..100).map(|n| {
        let mut new = new_session(&user, id(n));
        new.limit = refuse(5);
        let store = &store;
        async move { must(store.create(&new).await) }
    }))
    .await;
    let created = outcomes.iter().filter(|outcome| matches!(outcome, CreateOutcome::Created { .. })).count();
    assert_eq!((created, list(&store, &user).await.len()), (5, 5));
}
