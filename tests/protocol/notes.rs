//! Notes of the first use of a generation, written in the background: once, and only where they have an effect.

use std::time::Duration;

use tower_jwt_sessions::{
    SessionManager,
    policy::ReplayWindow,
    testing::{StoreStep, TestClock},
};

use crate::{
    support::TestStore,
    world::{Jar, MINUTE, SECOND, node, pass, settle},
};

const W: Duration = Duration::from_secs(10);

async fn scene(window: ReplayWindow) -> (TestClock, TestStore, [SessionManager; 2], Jar) {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    let nodes = [(); 2].map(|()| node(store.clone(), &clock).replay_window(window).build().unwrap());
    let jar = Jar::of(nodes[0].login("alice").await.unwrap());
    (clock, store, nodes, jar)
}

#[tokio::test(start_paused = true)]
async fn first_use_is_noted_once_per_session_generation_and_node() {
    let (clock, store, nodes, mut jar) = scene(ReplayWindow::UntilConfirmed(W)).await;
    let visits = async |jar: &Jar| {
        for visit in 0..1_000 {
            assert!(jar.visit(&nodes[visit % 2]).is_some());
        }
        settle().await;
    };
    visits(&jar).await;
    assert_eq!(store.confirms(), 0, "a login supersedes nothing");
    let old = jar.clone();
    for generation in 1..=5 {
        jar.refresh(&nodes[0]).await.unwrap();
        visits(&jar).await;
        visits(&old).await;
        assert_eq!(store.confirms(), 2 * generation);
        pass(&clock, MINUTE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn first_use_is_noted_outside_request() {
    let (_, store, [node, _], mut jar) = scene(ReplayWindow::UntilConfirmed(W)).await;
    jar.refresh(&node).await.unwrap();
    settle().await;
    assert!(jar.visit(&node).is_some());
    assert_eq!(store.confirms(), 0);
    settle().await;
    assert_eq!(store.confirms(), 1);
}

#[tokio::test(start_paused = true)]
async fn first_use_is_not_noted_with_fixed_window() {
    let (_, store, [node, _], mut jar) = scene(ReplayWindow::Fixed(W)).await;
    jar.refresh(&node).await.unwrap();
    assert!(jar.visit(&node).is_some());
    settle().await;
    assert_eq!(store.confirms(), 0);
}

#[tokio::test(start_paused = true)]
async fn first_use_of_refused_token_is_not_noted() {
    let (_, store, [here, there], mut jar) = scene(ReplayWindow::UntilConfirmed(W)).await;
    jar.refresh(&here).await.unwrap();
    here.expire_access("alice").await.unwrap();
    settle().await;
    assert!(jar.visit(&there).is_none());
    settle().await;
    assert_eq!(store.confirms(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_note_is_retried_by_later_request() {
    let (clock, store, [node, _], mut jar) = scene(ReplayWindow::UntilConfirmed(W)).await;
    let superseded = jar.clone();
    jar.refresh(&node).await.unwrap();
    let outage = store.fail_at(StoreStep::Confirm);
    assert!(jar.visit(&node).is_some(), "the request fails");
    settle().await;
    outage.lift();
    assert_eq!(store.confirms(), 1);
    pass(&clock, MINUTE).await;

    for _ in 0..10 {
        assert!(jar.visit(&node).is_some());
    }
    settle().await;
    assert_eq!(store.confirms(), 2);
    pass(&clock, W).await;
    superseded.ask(&node).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn first_uses_beyond_queue_are_noted_later() {
    let (_, store, [node, _], _) = scene(ReplayWindow::UntilConfirmed(W)).await;
    let mut jars = Vec::new();
    for user in 0..1_500 {
        let mut jar = Jar::of(node.login(user).await.unwrap());
        jar.refresh(&node).await.unwrap();
        jars.push(jar);
    }
    // Nothing is written between these requests.
    assert!(jars.iter().all(|jar| jar.visit(&node).is_some()));
    settle().await;
    assert!(store.confirms() < 1_500, "the queue held all notes");
    for jar in &jars {
        assert!(jar.visit(&node).is_some());
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(store.confirms(), 1_500);
}
