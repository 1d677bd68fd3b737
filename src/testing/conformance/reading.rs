//! Who is live, and whose.

use super::support::*;
use crate::{
    clock::{Clock, Timestamp},
    store::{Owner, Population, PutOutcome, RotateOutcome, Rotation, SessionStore, WhichSessions},
    testing::TestClock,
};

/// Checks every verb in the last millisecond of a session and in the first one after it.
async fn lives_until<S: SessionStore>(store: &S, clock: &TestClock, end_of_life: Timestamp) {
    let user = user("user");
    clock.set(end_of_life.saturating_sub(MS));
    assert!(find(store, &user, id(1)).await.is_some(), "live in its last millisecond");
    assert_eq!(list(store, &user).await, [id(1)]);
    assert_eq!(must(store.list(&user).await).now, clock.now());
    assert_eq!(put(store, &user, id(1), 0, b"data").await, PutOutcome::Stored { version: 1 });

    clock.set(end_of_life);
    assert_eq!(find(store, &user, id(1)).await, None, "over at its limit");
    assert_eq!(must(store.get_data(&user, id(1)).await), None);
    assert_eq!(put(store, &user, id(1), 1, b"data").await, PutOutcome::Ended);
    assert_eq!(present(store, &user, id(1), attempt(1, FIXED)).await, RotateOutcome::Ended);
    must(store.confirm(&user, id(1), 1).await);
    assert!(must(store.expire_access(&user, RETENTION).await).is_empty());
    assert!(list(store, &user).await.is_empty());
    assert!(end(store, &user, WhichSessions::All).await.is_empty());
    assert!(log(store).await.is_empty(), "what expired needs no revocation");
}

/// A session that is not refreshed ends with its idle limit, to the millisecond.
pub async fn reads_until_the_idle_limit<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("reads_until_the_idle_limit", store);
    let record = login(&store, &user("user"), id(1)).await;
    lives_until(&store, &clock, record.idle_end).await;
}

/// A session that is refreshed ends with its absolute limit, to the millisecond.
pub async fn reads_until_the_absolute_limit<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("reads_until_the_absolute_limit", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    for generation in 1..=4 {
        clock.advance(6 * DAY);
        session.expect(generation, Rotation::Rotated, generation + 1).await;
    }
    assert_eq!(session.record.idle_end, session.record.absolute_end);
    lives_until(&store, &clock, session.record.absolute_end).await;
}

/// Every verb takes a user and a session that never were.
pub async fn finds_no_unknown_sessions<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("finds_no_unknown_sessions", store);
    let user = user("unknown");
    assert_eq!(find(&store, &user, id(1)).await, None);
    assert_eq!(must(store.get_data(&user, id(1)).await), None);
    assert_eq!(put(&store, &user, id(1), 0, b"data").await, PutOutcome::Ended);
    assert_eq!(present(&store, &user, id(1), attempt(1, FIXED)).await, RotateOutcome::Ended);
    must(store.confirm(&user, id(1), 1).await);
    assert!(must(store.expire_access(&user, RETENTION).await).is_empty());
    assert!(list(&store, &user).await.is_empty());
    assert!(log(&store).await.is_empty());
    for which in [WhichSessions::One(id(1)), WhichSessions::Others(id(1)), WhichSessions::All] {
        assert!(end(&store, &user, which).await.is_empty());
    }
    assert_eq!(find(&store, &user, id(1)).await, None, "ending it does not bring it to life");
}

/// The session of one user is out of reach for another.
pub async fn keeps_users_apart<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("keeps_users_apart", store);
    keeps_apart(store, user("alice"), user("bob")).await;
}

/// Users with the same id in two populations, whose managers differ in issuer or audience, are two owners.
pub async fn keeps_populations_apart<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("keeps_populations_apart", store);
    let customer = user("42");
    let staff = Owner::new(Population::new("https://app.test", "https://admin.test"), customer.user_id().clone());
    keeps_apart(store, customer, staff).await;
}

async fn keeps_apart<S: SessionStore>(store: S, alice: Owner, bob: Owner) {
    let record = login(&store, &alice, id(1)).await;
    login(&store, &bob, id(2)).await;
    assert_eq!(find(&store, &bob, id(1)).await, None);
    assert_eq!(must(store.get_data(&bob, id(1)).await), None);
    assert_eq!(put(&store, &bob, id(1), 0, b"data").await, PutOutcome::Ended);
    assert_eq!(present(&store, &bob, id(1), attempt(1, FIXED)).await, RotateOutcome::Ended);
    assert_eq!(must(store.expire_access(&bob, RETENTION).await), [(id(2), 1)]);
    assert!(end(&store, &bob, WhichSessions::One(id(1))).await.is_empty());
    assert_eq!(end(&store, &bob, WhichSessions::All).await, [id(2)]);
    assert_eq!(find(&store, &alice, id(1)).await, Some(record));
    assert_eq!(list(&store, &alice).await, [id(1)]);
}

/// No user id is special, and no two are the same.
pub async fn accepts_any_user_id<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("accepts_any_user_id", store);
    let long = "x".repeat(255);
    let almost = format!("{}y", &long[..254]);
    let names = [
        "a", "A", " a", "a ", "{", "}", "{}", "{a}", "{a}b", "a:b", "*", "?", "[a]", "\\", "\n", "\r\n", "\0", "a\0b",
        "ü", "u\u{308}", "漢字", "🙂", "%61", "log", "0", "-1", "null", "'; --", &long, &almost,
    ];
    for (n, name) in (0_u8..).zip(names) {
        login(&store, &user(name), id(n)).await;
    }
    for (n, name) in (0_u8..).zip(names) {
        assert_eq!(list(&store, &user(name)).await, [id(n)], "the sessions of {name:?}");
        assert_eq!(end(&store, &user(name), WhichSessions::All).await, [id(n)], "the sessions of {name:?}");
    }
}

/// All sessions are listed with their records, many of them too.
pub async fn lists_every_live_session<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("lists_every_live_session", store);
    for n in 0..=255 {
        login(&store, &user("user"), id(n)).await;
    }
    let listed = must(store.list(&user("user")).await);
    assert_eq!(listed.now, clock.now());
    for session in &listed.sessions {
        assert_eq!(find(&store, &user("user"), session.id).await, Some(session.record));
    }
    assert_eq!(list(&store, &user("user")).await, (0..=255).map(id).collect::<Vec<_>>());
}
