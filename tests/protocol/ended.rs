//! `Session::ended`: on any node, across refreshes, gaps and outages.

use std::sync::atomic::Ordering::SeqCst;

use tower_jwt_sessions::{
    Session,
    revocation::{Ended, FeedStatus},
};

use crate::world::{DAY, HOUR, Jar, SECOND, Scene, feed_becomes, is_over, node, pass, scene, settle};

#[tokio::test(start_paused = true)]
async fn logout_on_another_node_resolves_ended() {
    let Scene { here, jar, future: mut ended, store, .. } = scene(Session::ended).await;
    let other = Jar::of(here.login("alice").await.unwrap());
    let mut other = other.visit(&here).unwrap().ended();
    assert!(!is_over(&mut ended).await);
    let _removal = here.logout(&here.verifier().present(&jar.headers())).await.unwrap();
    assert!(is_over(&mut ended).await);
    assert!(!is_over(&mut other).await, "only that session ended");
    assert_eq!(store.finds(), 0, "the store was read");
}

#[tokio::test(start_paused = true)]
async fn ended_resolves_for_session_already_over() {
    let Scene { here, jar, future: ended, .. } = scene(Session::ended).await;
    let session = jar.visit(&here).unwrap();
    // No other future waits for it, so that only the list of revocations has it.
    drop(ended);
    here.end_all("alice").await.unwrap();
    settle().await;
    assert!(is_over(&mut session.ended()).await);
}

#[tokio::test(start_paused = true)]
async fn ended_listens_before_first_poll() {
    let Scene { here, future: mut ended, store, .. } = scene(Session::ended).await;
    here.end_all("alice").await.unwrap();
    settle().await;
    store.set_down(true);
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn expired_access_does_not_resolve_ended() {
    let Scene { here, there, mut jar, future: mut ended, .. } = scene(Session::ended).await;
    here.expire_access("alice").await.unwrap();
    assert!(!is_over(&mut ended).await);
    jar.refresh(&here).await.unwrap();
    assert!(jar.visit(&there).is_some());
    assert!(!is_over(&mut ended).await);
    here.end_all("alice").await.unwrap();
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn ended_follows_refreshes_elsewhere_until_idle_end() {
    let Scene { clock, store, here, mut jar, future: mut ended, .. } = scene(Session::ended).await;
    // The access token lasts an hour, the session seven days from the last refresh.
    pass(&clock, 2 * HOUR).await;
    assert!(!is_over(&mut ended).await);
    for _ in 0..10 {
        pass(&clock, HOUR).await;
        assert!(!is_over(&mut ended).await);
    }
    assert_eq!(store.finds(), 1, "the store was not read once");
    for _ in 0..3 {
        pass(&clock, 4 * DAY).await;
        jar.refresh(&here).await.unwrap();
        assert!(jar.visit(&here).is_some());
        assert!(!is_over(&mut ended).await);
    }
    let asked = store.finds();
    assert!(asked <= 4, "asked {asked} times");
    pass(&clock, 7 * DAY - HOUR).await;
    assert!(!is_over(&mut ended).await);
    pass(&clock, HOUR).await;
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn gap_in_log_makes_ended_check_store() {
    let Scene { store, here, there, future: mut ended, .. } = scene(Session::ended).await;
    store.switches.log_is_lost.store(true, SeqCst);
    here.end_all("alice").await.unwrap();
    assert!(!is_over(&mut ended).await, "this node has not read the end");

    store.set_down(true);
    feed_becomes(&there, |status| matches!(status, FeedStatus::Stale { .. })).await;
    assert!(!is_over(&mut ended).await);
    store.set_down(false);
    feed_becomes(&there, |status| status == FeedStatus::UpToDate).await;
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn after_gap_only_ended_sessions_resolve() {
    let Scene { store, here, there, jar, future: mut ended, .. } = scene(Session::ended).await;
    let mut others: Vec<Ended> = (0..100).map(|_| jar.visit(&there).unwrap().ended()).collect();
    for other in &mut others {
        assert!(futures_util::poll!(other).is_pending());
    }
    store.set_down(true);
    feed_becomes(&there, |status| matches!(status, FeedStatus::Stale { .. })).await;
    store.set_down(false);
    feed_becomes(&there, |status| status == FeedStatus::UpToDate).await;
    let tasks: Vec<_> = others.into_iter().map(tokio::spawn).collect();
    assert!(!is_over(&mut ended).await);
    assert_eq!(store.finds(), 101);
    assert!(tasks.iter().all(|task| !task.is_finished()));
    here.end_all("alice").await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn outage_does_not_resolve_ended() {
    let Scene { clock, store, here, mut jar, future: mut ended, .. } = scene(Session::ended).await;
    store.set_down(true);
    // Past the expiry of the token and the known idle end of the session, which a refresh may have moved.
    pass(&clock, 2 * HOUR).await;
    assert!(!is_over(&mut ended).await);
    pass(&clock, 6 * DAY).await;
    assert!(!is_over(&mut ended).await);
    store.set_down(false);
    jar.refresh(&here).await.unwrap();
    pass(&clock, 2 * DAY).await;
    assert!(!is_over(&mut ended).await);
    store.set_down(true);
    pass(&clock, 8 * DAY).await;
    assert!(!is_over(&mut ended).await, "past the known idle end, which may have moved");
    store.set_down(false);
    pass(&clock, 40 * SECOND).await;
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn absolute_end_resolves_ended_without_store() {
    let Scene { clock, store, future: mut ended, .. } = scene(Session::ended).await;
    pass(&clock, 2 * HOUR).await;
    assert!(!is_over(&mut ended).await);
    store.set_down(true);
    pass(&clock, 30 * DAY - 3 * HOUR).await;
    assert!(!is_over(&mut ended).await);
    pass(&clock, HOUR + SECOND).await;
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn ended_resolves_after_managers_are_dropped() {
    let Scene { store, clock, here, there, future: mut ended, .. } = scene(Session::ended).await;
    assert!(!is_over(&mut ended).await);
    drop((here, there));
    let third = node(store, &clock).build().unwrap();
    third.end_all("alice").await.unwrap();
    assert!(is_over(&mut ended).await);
}

#[tokio::test(start_paused = true)]
async fn ended_without_store_resolves_when_token_expires() {
    let session = tower_jwt_sessions::Session::for_test("alice", ()).unwrap();
    let mut ended = session.ended();
    tokio::time::advance(HOUR - SECOND).await;
    assert!(!is_over(&mut ended).await);
    tokio::time::advance(SECOND).await;
    assert!(is_over(&mut ended).await);
}

#[test]
fn ended_future_is_send_and_static() {
    fn owned<T: Send + 'static>() {}
    owned::<Ended>();
}
