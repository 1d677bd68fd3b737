//! `Session::changed`: expired access and ends, on any node, across refreshes, gaps and outages.

use std::sync::atomic::Ordering::SeqCst;

use tower_jwt_sessions::{
    Session,
    revocation::{
        Changed, FeedStatus,
        SessionChange::{self, AccessExpired, Ended},
    },
};

use crate::world::{DAY, HOUR, Jar, SECOND, Scene, feed_becomes, pass, scene, settle};

/// Returns the next change, if there is one already.
async fn change(changed: &mut Changed) -> Option<SessionChange> {
    settle().await;
    tokio::time::timeout(std::time::Duration::from_millis(1), changed).await.ok()
}

#[tokio::test(start_paused = true)]
async fn expired_access_on_another_node_resolves_changed_each_time() {
    let Scene { store, here, there, mut jar, future: mut changed, .. } = scene(Session::changed).await;
    let other = Jar::of(here.login("bob").await.unwrap());
    let mut other = other.visit(&there).unwrap().changed();
    assert_eq!(change(&mut changed).await, None);
    for _ in 0..3 {
        here.expire_access("alice").await.unwrap();
        assert_eq!(change(&mut changed).await, Some(AccessExpired));
        assert_eq!(change(&mut changed).await, None, "each is reported once");
        jar.refresh(&here).await.unwrap();
        assert_eq!(change(&mut changed).await, None, "a refresh is no change");
    }
    assert_eq!(change(&mut other).await, None, "another user's");
    assert_eq!(store.finds(), 0, "the store was read");
}

#[tokio::test(start_paused = true)]
async fn end_resolves_changed_for_good() {
    let Scene { here, jar, future: mut changed, .. } = scene(Session::changed).await;
    here.expire_access("alice").await.unwrap();
    let _removal = here.logout(&here.verifier().present(&jar.headers())).await.unwrap();
    for _ in 0..3 {
        assert_eq!(change(&mut changed).await, Some(Ended));
    }
}

/// A handler takes its time, for example to open a WebSocket.
#[tokio::test(start_paused = true)]
async fn expiry_between_request_and_call_is_reported() {
    let Scene { clock, here, there, mut jar, future: changed, .. } = scene(Session::changed).await;
    let session = jar.visit(&there).unwrap();
    // No other future waits for it, so that only the list of revocations has it.
    drop(changed);
    here.expire_access("alice").await.unwrap();
    settle().await;
    assert_eq!(change(&mut session.changed()).await, Some(AccessExpired));
    // That token is of no concern to the next one.
    pass(&clock, SECOND).await;
    jar.refresh(&here).await.unwrap();
    assert_eq!(change(&mut jar.visit(&there).unwrap().changed()).await, None);
}

#[tokio::test(start_paused = true)]
async fn changed_listens_before_first_poll_and_between_polls() {
    let Scene { here, there, future: mut changed, store, .. } = scene(Session::changed).await;
    for _ in 0..2 {
        here.expire_access("alice").await.unwrap();
        here.expire_access("alice").await.unwrap();
        settle().await;
        store.set_down(true);
        assert_eq!(change(&mut changed).await, Some(AccessExpired));
        assert_eq!(change(&mut changed).await, None, "both at once");
        store.set_down(false);
        feed_becomes(&there, |status| status == FeedStatus::UpToDate).await;
    }
}

#[tokio::test(start_paused = true)]
async fn all_futures_of_a_session_resolve() {
    let Scene { here, there, jar, future: mut changed, .. } = scene(Session::changed).await;
    let session = jar.visit(&there).unwrap();
    let (mut late, mut ended) = (session.changed(), session.ended());
    here.expire_access("alice").await.unwrap();
    assert_eq!(change(&mut changed).await, Some(AccessExpired));
    assert_eq!(change(&mut late).await, Some(AccessExpired));
    assert!(futures_util::poll!(&mut ended).is_pending());
    here.end_all("alice").await.unwrap();
    assert_eq!(change(&mut changed).await, Some(Ended));
    assert_eq!(change(&mut late).await, Some(Ended));
    ended.await;
}

/// Thousands of connections wait for an end only.
#[tokio::test(start_paused = true)]
async fn expired_access_makes_no_waiter_ask_the_store() {
    let Scene { store, here, there, jar, future: mut changed, .. } = scene(Session::changed).await;
    let mut ended: Vec<_> = (0..100).map(|_| jar.visit(&there).unwrap().ended()).collect();
    for ended in &mut ended {
        assert!(futures_util::poll!(ended).is_pending());
    }
    let tasks: Vec<_> = ended.into_iter().map(tokio::spawn).collect();
    here.expire_access("alice").await.unwrap();
    assert_eq!(change(&mut changed).await, Some(AccessExpired));
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert_eq!(store.finds(), 0);
}

#[tokio::test(start_paused = true)]
async fn gap_in_log_makes_changed_check_store() {
    let Scene { store, here, there, future: mut changed, .. } = scene(Session::changed).await;
    for (n, expected) in [(1, None), (2, Some(AccessExpired)), (3, Some(Ended))] {
        store.switches.log_is_lost.store(true, SeqCst);
        match n {
            2 => drop(here.expire_access("alice").await.unwrap()),
            3 => drop(here.end_all("alice").await.unwrap()),
            _ => {}
        }
        assert_eq!(change(&mut changed).await, None, "this node has not read it");
        store.set_down(true);
        feed_becomes(&there, |status| matches!(status, FeedStatus::Stale { .. })).await;
        assert_eq!(change(&mut changed).await, None, "an outage is no change");
        store.set_down(false);
        feed_becomes(&there, |status| status == FeedStatus::UpToDate).await;
        assert_eq!(change(&mut changed).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn change_is_reported_after_days_and_end_at_limits() {
    let Scene { clock, here, mut jar, future: mut changed, .. } = scene(Session::changed).await;
    for _ in 0..3 {
        pass(&clock, 4 * DAY).await;
        jar.refresh(&here).await.unwrap();
        assert!(jar.visit(&here).is_some());
        assert_eq!(change(&mut changed).await, None);
        here.expire_access("alice").await.unwrap();
        assert_eq!(change(&mut changed).await, Some(AccessExpired));
    }
    pass(&clock, 7 * DAY - HOUR).await;
    assert_eq!(change(&mut changed).await, None);
    pass(&clock, HOUR).await;
    assert_eq!(change(&mut changed).await, Some(Ended), "the idle limit");
}

#[tokio::test(start_paused = true)]
async fn changed_without_store_resolves_when_token_expires() {
    let session = tower_jwt_sessions::Session::for_test("alice", ()).unwrap();
    let mut changed = session.changed();
    tokio::time::advance(HOUR - SECOND).await;
    assert_eq!(change(&mut changed).await, None);
    tokio::time::advance(SECOND).await;
    assert_eq!(change(&mut changed).await, Some(Ended));
    assert_eq!(change(&mut changed).await, Some(Ended));
}

#[test]
fn changed_future_is_send_and_static() {
    fn owned<T: Send + 'static>() {}
    owned::<Changed>();
}
