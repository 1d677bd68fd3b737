//! Ending sessions, and expiring their access tokens.

use std::time::Duration;

use super::support::*;
use crate::{
    clock::Clock,
    id::SessionId,
    store::{
        AccessExpiry, ClaimsAge, CreateOutcome, EndMark, EndSessions, LoginProof, MARKS_REMEMBERED, NewSession,
        PutOutcome, Revocation, RotateOutcome, RotateSession, SessionData, SessionStore, WhichSessions,
    },
    testing::TestClock,
};

async fn three<S: SessionStore>(store: &S) {
    for n in [1, 2, 3] {
        login(store, &user("user"), id(n)).await;
    }
    login(store, &user("other"), id(4)).await;
}

/// One session ends; doing it again names nothing and is no error.
pub async fn ends_one_session<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("ends_one_session", store);
    three(&store).await;
    assert_eq!(end(&store, &user("user"), WhichSessions::One(id(2))).await, [id(2)]);
    assert_eq!(published(&store).await, [Revocation::ended(id(2))]);
    for _ in 0..3 {
        assert!(end(&store, &user("user"), WhichSessions::One(id(2))).await.is_empty());
    }
    // Neither is a session of another user, nor one that never existed.
    for foreign in [id(4), id(9)] {
        assert!(end(&store, &user("user"), WhichSessions::One(foreign)).await.is_empty());
    }
    assert_eq!(list(&store, &user("user")).await, [id(1), id(3)]);
    assert_eq!(list(&store, &user("other")).await, [id(4)]);
    assert!(published(&store).await.iter().all(|revocation| revocation.session == id(2)));
}

/// A session that a verified token named ends like any other.
pub async fn ends_one_proven_session<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("ends_one_proven_session", store);
    three(&store).await;
    assert_eq!(end(&store, &user("user"), WhichSessions::Proven(id(2))).await, [id(2)]);
    assert!(end(&store, &user("user"), WhichSessions::Proven(id(2))).await.is_empty());
    assert_eq!(list(&store, &user("user")).await, [id(1), id(3)]);
    assert!(published(&store).await.iter().all(|revocation| *revocation == Revocation::ended(id(2))));
}

/// All but one session end, also when that one is not there.
pub async fn ends_the_other_sessions<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("ends_the_other_sessions", store);
    three(&store).await;
    assert_eq!(end(&store, &user("user"), WhichSessions::Others(id(2))).await, [id(1), id(3)]);
    assert_eq!(list(&store, &user("user")).await, [id(2)]);
    assert!(end(&store, &user("user"), WhichSessions::Others(id(2))).await.is_empty());
    assert_eq!(published(&store).await.len(), 2);
    assert!(published_end(&store, id(1)).await && published_end(&store, id(3)).await);
    assert_eq!(end(&store, &user("user"), WhichSessions::Others(id(9))).await, [id(2)]);
    assert_eq!(list(&store, &user("other")).await, [id(4)]);
}

/// An end that is tried again spares sessions that began after it was asked for, whichever sessions it names.
pub async fn end_spares_sessions_younger_than_min_age<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("end_spares_sessions_younger_than_min_age", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    login(&store, &user, id(2)).await;
    put(&store, &user, id(2), 0, b"kept").await;
    clock.advance(HOUR);
    login(&store, &user, id(3)).await;
    put(&store, &user, id(3), 0, b"kept too").await;
    clock.advance(MS);
    let end = async |which, min_age| {
        let mut end = EndSessions::new(user.clone(), which, RETENTION);
        end.min_age = min_age;
        sorted(must(store.end(&end).await))
    };
    for which in [WhichSessions::One(id(3)), WhichSessions::Proven(id(3)), WhichSessions::Others(id(1))] {
        let spared = end(which, if which == WhichSessions::Others(id(1)) { 2 * HOUR } else { 2 * MS }).await;
        assert!(spared.is_empty(), "{which:?}");
    }
    // Sessions that stay keep their data.
    let data = must(store.get_data(&user, id(3)).await).and_then(|data| data.bytes);
    assert_eq!(data.as_deref(), Some(&b"kept too"[..]));
    assert!(published(&store).await.is_empty());

    // Exactly that age is old enough, even by less than a millisecond.
    assert!(end(WhichSessions::Others(id(1)), HOUR + MS + Duration::from_nanos(1)).await.is_empty());
    assert_eq!(end(WhichSessions::Others(id(1)), HOUR + MS).await, [id(2)]);
    assert_eq!(must(store.get_data(&user, id(2)).await), None);
    assert_eq!(end(WhichSessions::All, 2 * MS).await, [id(1)]);
    assert_eq!(list(&store, &user).await, [id(3)]);
    let data = must(store.get_data(&user, id(3)).await).and_then(|data| data.bytes);
    assert_eq!(data.as_deref(), Some(&b"kept too"[..]));
    assert_eq!(published(&store).await, [Revocation::ended(id(2)), Revocation::ended(id(1))]);

    // A session from the future is as old as anything: the clock was set back.
    clock.set(clock.now().saturating_sub(HOUR));
    assert_eq!(end(WhichSessions::All, HOUR).await, [id(3)]);
    assert!(list(&store, &user).await.is_empty());
}

/// All sessions of the user end, and only those.
pub async fn ends_all_sessions<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("ends_all_sessions", store);
    three(&store).await;
    assert_eq!(end(&store, &user("user"), WhichSessions::All).await, [id(1), id(2), id(3)]);
    assert!(end(&store, &user("user"), WhichSessions::All).await.is_empty());
    assert!(list(&store, &user("user")).await.is_empty());
    assert_eq!(list(&store, &user("other")).await, [id(4)]);
    assert_eq!(published(&store).await.len(), 3);
    login(&store, &user("user"), id(5)).await;
    assert_eq!(list(&store, &user("user")).await, [id(5)], "the user can log in again");
}

/// The data goes with the session and does not pass to another.
pub async fn end_removes_data<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("end_removes_data", store);
    for which in [WhichSessions::One(id(1)), WhichSessions::Others(id(9)), WhichSessions::All] {
        let mut new = new_session(&user("user"), id(1));
        new.data = Some(b"secret".to_vec());
        new.device.user_agent = Some("agent".to_owned());
        create(&store, &new).await;
        end(&store, &user("user"), which).await;
        assert_eq!(must(store.get_data(&user("user"), id(1)).await), None);
        login(&store, &user("user"), id(1)).await;
        assert_eq!(must(store.get_data(&user("user"), id(1)).await), Some(SessionData::default()));
        let listed = must(store.list(&user("user")).await).sessions;
        assert!(listed.iter().all(|listed| listed.device.user_agent.is_none()));
        end(&store, &user("user"), WhichSessions::All).await;
    }
}

/// Expired sessions are neither returned nor published.
pub async fn end_does_not_return_expired_sessions<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("end_does_not_return_expired_sessions", store);
    for which in [WhichSessions::One(id(1)), WhichSessions::Others(id(9)), WhichSessions::All] {
        login(&store, &user("user"), id(1)).await;
        clock.advance(REFRESH);
        assert!(end(&store, &user("user"), which).await.is_empty());
    }
    assert!(log(&store).await.is_empty());
}

/// No verb brings back a session that has ended, also not after a repeated end.
pub async fn ended_session_is_never_revived<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("ended_session_is_never_revived", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    for _ in 0..3 {
        end(&store, &user, WhichSessions::One(id(1))).await;
        assert_eq!(present(&store, &user, id(1), attempt(1, FIXED)).await, RotateOutcome::Ended);
        assert_eq!(present(&store, &user, id(1), attempt(9, CONFIRMED)).await, RotateOutcome::Ended);
        must(store.confirm(&user, id(1), 1).await);
        assert_eq!(put(&store, &user, id(1), 0, b"data").await, PutOutcome::Ended);
        assert!(must(store.expire_access(&user, RETENTION).await).is_empty());
        assert_eq!(find(&store, &user, id(1)).await, None);
        assert_eq!(must(store.get_data(&user, id(1)).await), None);
        assert!(list(&store, &user).await.is_empty());
    }
}

/// Every live session of the user gets a new epoch, which is published. No session ends.
pub async fn expires_access_of_live_sessions<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("expires_access_of_live_sessions", store);
    three(&store).await;
    let mut short = new_session(&user("user"), id(5));
    short.refresh_lifetime = HOUR;
    create(&store, &short).await;
    end(&store, &user("user"), WhichSessions::One(id(3))).await;
    clock.advance(HOUR);
    let mut raised = must(store.expire_access(&user("user"), RETENTION).await);
    raised.sort_unstable();
    assert_eq!(raised, [(id(1), 1), (id(2), 1)]);
    for n in [1, 2] {
        let record = find(&store, &user("user"), id(n)).await;
        assert_eq!(record.map(|r| (r.epoch, r.access_expired_at)), Some((1, Some(clock.now()))));
    }
    assert_eq!(find(&store, &user("other"), id(4)).await.map(|record| record.epoch), Some(0));
    let mut published = published(&store).await;
    published.sort_unstable_by_key(|revocation| revocation.session);
    let expected = [
        Revocation { session: id(1), min_epoch: 1 },
        Revocation { session: id(2), min_epoch: 1 },
        Revocation::ended(id(3)),
    ];
    assert_eq!(published, expected);
}

/// A later login learns of it for an hour, even if there was no session, and even if all have ended since.
pub async fn expired_access_outdates_claims_of_logins<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("expired_access_outdates_claims_of_logins", store);
    let user = user("user");
    assert!(must(store.expire_access(&user, RETENTION).await).is_empty());
    let expired_at = clock.now();
    clock.advance(MARKS_REMEMBERED - Duration::from_millis(1));
    let begun = async |n| {
        login(&store, &user, id(n)).await;
        find(&store, &user, id(n)).await.and_then(|record| record.access_expired_at)
    };
    assert_eq!(begun(1).await, Some(expired_at));
    end(&store, &user, WhichSessions::One(id(1))).await;
    assert_eq!(begun(2).await, Some(expired_at));
    clock.advance(Duration::from_millis(1));
    assert_eq!(begun(3).await, None);
}

/// A step is not taken with claims that were asked for before access was expired.
pub async fn outdated_claims_change_nothing<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("outdated_claims_change_nothing", store);
    let user = user("user");
    let before = login(&store, &user, id(1)).await;
    clock.advance(HOUR);
    must(store.expire_access(&user, RETENTION).await);
    let expiry = AccessExpiry { at: clock.now(), epoch: 1 };
    clock.advance(Duration::from_secs(5));
    let claims = |age, newer_than| Some(ClaimsAge { age: Duration::from_millis(age), newer_than });

    let mut rotation = RotateSession::new(user.clone(), id(1), attempt(1, FIXED), RETENTION);
    let mut new = new_session(&user, id(2));
    new.replaces = Some(id(1));
    let marker = AccessExpiry { at: expiry.at, epoch: 0 };
    for age in [5_000, 60_000] {
        rotation.claims = claims(age, None);
        assert_eq!(must(store.rotate(&rotation).await), RotateOutcome::ClaimsOutdated(expiry));
        new.claims = claims(age, None);
        assert_eq!(must(store.create(&new).await), CreateOutcome::ClaimsOutdated(marker));
    }
    // They are compared with a newer expiry only.
    for (known, is_outdated) in [
        (AccessExpiry { at: before.created_at, epoch: 0 }, true),
        (AccessExpiry { epoch: 0, ..expiry }, true),
        (AccessExpiry { epoch: 9, at: before.created_at }, true),
        (expiry, false),
    ] {
        let claims = ClaimsAge { age: HOUR, newer_than: Some(known) };
        assert_eq!(claims.is_outdated_by(expiry, clock.now()), is_outdated, "{known:?}");
        if is_outdated {
            rotation.claims = Some(claims);
            assert_eq!(must(store.rotate(&rotation).await), RotateOutcome::ClaimsOutdated(expiry), "{known:?}");
        }
    }
    let record = find(&store, &user, id(1)).await.map(|record| (record.generation, record.rotated_at));
    assert_eq!(record, Some((1, None)), "nothing changed");
    assert_eq!(list(&store, &user).await, [id(1)]);

    // What has ended is no matter of claims.
    rotation.attempt.token_expires_at = clock.now();
    assert_eq!(must(store.rotate(&rotation).await), RotateOutcome::Ended);
    rotation.attempt = attempt(1, FIXED);
    for fresh in [claims(4_999, None), claims(60_000, Some(expiry)), None] {
        rotation.claims = fresh;
        assert!(matches!(must(store.rotate(&rotation).await), RotateOutcome::Live { .. }), "{fresh:?}");
    }
    new.claims = claims(60_000, Some(marker));
    assert!(matches!(must(store.create(&new).await), CreateOutcome::Created { .. }));
}

/// A second one in the same millisecond is news to a login that knows the first.
pub async fn expiries_within_a_millisecond_differ<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("expiries_within_a_millisecond_differ", store);
    let user = user("user");
    let mut new = new_session(&user, id(1));
    let mut known = None;
    for time in 0..3 {
        must(store.expire_access(&user, RETENTION).await);
        new.claims = Some(ClaimsAge { age: HOUR, newer_than: known });
        match must(store.create(&new).await) {
            CreateOutcome::ClaimsOutdated(expiry) => known = Some(expiry),
            other => panic!("claims from before expiry {time} were taken: {other:?}"),
        }
    }
    new.claims = Some(ClaimsAge { age: HOUR, newer_than: known });
    assert!(matches!(must(store.create(&new).await), CreateOutcome::Created { .. }));
}

/// A login whose claims were asked for before an end of all or of the others has to ask again, even if nothing ended.
/// The end of one session is no reason to ask again.
pub async fn end_outdates_claims_of_logins<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("end_outdates_claims_of_logins", store);
    let user = user("user");
    let mut new = new_session(&user, id(1));
    new.claims = Some(ClaimsAge { age: Duration::from_secs(5), newer_than: None });
    for which in [WhichSessions::One(id(9)), WhichSessions::Proven(id(9))] {
        end(&store, &user, which).await;
        assert_eq!(create(&store, &new).await.0.access_expired_at, None, "{which:?}");
        end(&store, &user, WhichSessions::One(id(1))).await;
    }
    for which in [WhichSessions::All, WhichSessions::Others(id(1))] {
        clock.advance(MARKS_REMEMBERED);
        end(&store, &user, which).await;
        let expiry = AccessExpiry { at: clock.now(), epoch: 0 };
        clock.advance(Duration::from_secs(5));
        assert_eq!(must(store.create(&new).await), CreateOutcome::ClaimsOutdated(expiry), "{which:?}");
        assert!(list(&store, &user).await.is_empty());
        clock.advance(MS);
        assert_eq!(create(&store, &new).await.0.access_expired_at, Some(expiry.at));
        end(&store, &user, WhichSessions::One(id(1))).await;
    }
    // Forgotten, but not before.
    end(&store, &user, WhichSessions::All).await;
    new.claims = Some(ClaimsAge { age: DAY, newer_than: None });
    clock.advance(MARKS_REMEMBERED - MS);
    assert!(matches!(must(store.create(&new).await), CreateOutcome::ClaimsOutdated(_)));
    clock.advance(MS);
    assert_eq!(create(&store, &new).await.0.access_expired_at, None);
}

/// A login with a proof is answered with the mark of an end of all or of the others until it states it, and changes
/// nothing.
pub async fn outdated_proofs_change_nothing<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("outdated_proofs_change_nothing", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    let mut new = new_session(&user, id(2));
    (new.replaces, new.proof) = (Some(id(1)), Some(LoginProof::default()));
    let mut known = None;
    for which in [WhichSessions::Others(id(1)), WhichSessions::Others(id(9)), WhichSessions::All] {
        end(&store, &user, which).await;
        if which != WhichSessions::Others(id(1)) {
            login(&store, &user, id(1)).await;
        }
        for passed in [0, 1, 60_000] {
            clock.advance(Duration::from_millis(passed));
            new.proof = Some(LoginProof { newer_than: known });
            let EndMark { at, age } = outdated_proof(&store, &new).await;
            let (most, least) = (clock.now().since(at), clock.now().since(at).saturating_sub(MS));
            assert!(least <= age && age <= most, "an age of {age:?}, {most:?} after {which:?}");
            assert_eq!(list(&store, &user).await, [id(1)], "nothing changed");
            assert!(find(&store, &user, id(1)).await.is_some());
        }
        known = Some(outdated_proof(&store, &new).await.at);
    }
    // A login without a proof, or one that knows the mark, goes on. Another user has another mark.
    for (n, proof) in [(2, None), (3, Some(LoginProof { newer_than: known }))] {
        (new.id, new.proof) = (id(n), proof);
        create(&store, &new).await;
    }
    let mut other = new_session(&super::support::user("other"), id(4));
    other.proof = Some(LoginProof::default());
    create(&store, &other).await;
}

/// The end of one session leaves no mark of an end, nor does expiring access. A mark is forgotten after an hour.
pub async fn proofs_are_outdated_by_ends_of_all_or_others_only<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("proofs_are_outdated_by_ends_of_all_or_others_only", store);
    let user = user("user");
    let mut new = new_session(&user, id(4));
    new.proof = Some(LoginProof::default());
    for n in [1, 2, 3] {
        login(&store, &user, id(n)).await;
    }
    end(&store, &user, WhichSessions::One(id(1))).await;
    end(&store, &user, WhichSessions::Proven(id(2))).await;
    end(&store, &user, WhichSessions::Proven(id(9))).await;
    must(store.expire_access(&user, RETENTION).await);
    create(&store, &new).await;
    clock.advance(MS);
    assert_eq!(end(&store, &user, WhichSessions::All).await, [id(3), id(4)]);
    clock.advance(MARKS_REMEMBERED - MS);
    outdated_proof(&store, &new).await;
    clock.advance(MS);
    create(&store, &new).await;
}

/// An end that is tried again outdates the proofs that it would have outdated when it was asked for, and none that
/// began later. It does not weaken a later end.
pub async fn ends_tried_again_leave_a_mark_as_old_as_they_are<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("ends_tried_again_leave_a_mark_as_old_as_they_are", store);
    let user = user("user");
    let minute = Duration::from_secs(60);
    let mut new = new_session(&user, id(1));
    new.proof = Some(LoginProof::default());
    let mut retry = EndSessions::new(user.clone(), WhichSessions::All, RETENTION);
    retry.min_age = minute;
    must(store.end(&retry).await);
    let first = outdated_proof(&store, &new).await;
    assert!(minute - MS <= first.age && first.age <= minute, "{first:?}");
    new.proof = Some(LoginProof { newer_than: Some(first.at) });

    end(&store, &user, WhichSessions::Others(id(9))).await;
    clock.advance(MS * 10);
    must(store.end(&retry).await);
    let second = outdated_proof(&store, &new).await;
    assert!(second.at > first.at && MS * 9 <= second.age && second.age <= MS * 10, "{second:?}");
}

/// Each mark is later than both previous ones, of either kind, so that none passes for one that is known.
pub async fn marks_within_a_millisecond_differ<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("marks_within_a_millisecond_differ", store);
    let user = user("user");
    let mut new = new_session(&user, id(1));
    let (mut claims, mut proof) = (None, None);
    for is_end in [true, true, false, true, false, false, true] {
        match is_end {
            true => drop(end(&store, &user, WhichSessions::All).await),
            false => drop(must(store.expire_access(&user, RETENTION).await)),
        }
        new.claims = Some(ClaimsAge { age: HOUR, newer_than: claims });
        new.proof = Some(LoginProof { newer_than: proof });
        if is_end {
            proof = Some(outdated_proof(&store, &new).await.at);
            new.proof = Some(LoginProof { newer_than: proof });
        }
        match must(store.create(&new).await) {
            CreateOutcome::ClaimsOutdated(expiry) => claims = Some(expiry),
            other => panic!("claims from before the mark were taken: {other:?}"),
        }
    }
    new.claims = Some(ClaimsAge { age: HOUR, newer_than: claims });
    create(&store, &new).await;
}

/// Of more sessions than a store handles in one step, each is listed, expired and ended once.
pub async fn ends_many_sessions<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("ends_many_sessions", store);
    let user = user("user");
    let all: Vec<SessionId> = (0..1_300_u32).map(numbered).collect();
    for id in &all {
        login(&store, &user, *id).await;
    }
    assert_eq!(list(&store, &user).await, all);
    let mut raised = must(store.expire_access(&user, RETENTION).await);
    raised.sort_unstable();
    assert_eq!(raised, all.iter().map(|id| (*id, 1)).collect::<Vec<_>>());
    for session in must(store.list(&user).await).sessions {
        assert_eq!((session.record.epoch, session.record.access_expired_at), (1, Some(clock.now())));
    }
    clock.advance(MS);
    assert_eq!(end(&store, &user, WhichSessions::Others(numbered(7))).await, [&all[..7], &all[8..]].concat());
    assert_eq!(list(&store, &user).await, [numbered(7)]);
    let mut ended: Vec<SessionId> =
        published(&store).await.into_iter().filter(|r| r.min_epoch == Revocation::ENDED).map(|r| r.session).collect();
    ended.sort_unstable();
    assert_eq!(ended, [&all[..7], &all[8..]].concat(), "each is published once");
    for id in all.iter().filter(|id| **id != numbered(7)) {
        login(&store, &user, *id).await;
    }
    assert_eq!(end(&store, &user, WhichSessions::All).await, all);
    assert!(list(&store, &user).await.is_empty());
}

fn numbered(n: u32) -> SessionId {
    let mut bytes = [0; SessionId::LEN];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(bytes)
}

async fn outdated_proof<S: SessionStore>(store: &S, new: &NewSession) -> EndMark {
    match must(store.create(new).await) {
        CreateOutcome::ProofOutdated(mark) => mark,
        other => panic!("a proof that may be outdated was taken: {other:?}"),
    }
}

/// Epochs count up, and the records say otherwise what they said before.
pub async fn expire_access_can_be_repeated<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("expire_access_can_be_repeated", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    for epoch in 1..=3 {
        clock.advance(HOUR);
        session.record.expire_access(clock.now());
        assert_eq!(must(store.expire_access(&user("user"), RETENTION).await), [(id(1), epoch)]);
        assert_eq!(find(&store, &user("user"), id(1)).await, Some(session.record));
        session.present(epoch).await;
        assert_eq!(session.record.epoch, epoch, "a refresh keeps the epoch");
    }
}
