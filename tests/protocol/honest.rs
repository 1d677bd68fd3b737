//! Lost, late and concurrent refreshes of honest browsers: the session stays.

use std::time::Duration;

use tower_jwt_sessions::{
    SessionManager,
    error::ErrorKind,
    store::SessionRecord,
    testing::{StoreStep, TestClock},
};

use crate::{
    support::TestStore,
    world::{DAY, HOUR, Jar, MINUTE, SECOND, node, pass, settle},
};

const W: Duration = Duration::from_secs(10);

async fn scene() -> (TestClock, TestStore, SessionManager, Jar) {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    // The window is the default one, until confirmed.
    let node = node(store.clone(), &clock).build().unwrap();
    let jar = Jar::of(node.login("alice").await.unwrap());
    pass(&clock, HOUR).await;
    (clock, store, node, jar)
}

/// Loads a page, and gives the node time to note the use.
async fn visit(node: &SessionManager, jar: &Jar) {
    assert!(jar.visit(node).is_some());
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_refreshes_of_tabs_keep_session() {
    let (clock, _, node, mut jar) = scene().await;
    for round in 2..5 {
        let tabs = (0..200).map(|_| jar.ask(&node));
        let responses = futures_util::future::join_all(tabs).await;
        for response in responses {
            let mut tab = jar.clone();
            tab.keep(response.unwrap());
            assert_eq!(tab.generations(), (round, round));
        }
        jar.refresh(&node).await.unwrap();
        visit(&node, &jar).await;
        pass(&clock, HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn refreshes_after_first_use_keep_session() {
    let (clock, _, node, mut jar) = scene().await;
    let slow_tab = jar.clone();
    jar.refresh(&node).await.unwrap();
    visit(&node, &jar).await;
    pass(&clock, W - SECOND).await;
    let mut straggler = slow_tab.clone();
    straggler.refresh(&node).await.unwrap();
    assert_eq!(straggler.generations(), (2, 2));
    visit(&node, &straggler).await;
    pass(&clock, HOUR).await;
    jar.refresh(&node).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn late_responses_keep_session() {
    let (clock, _, node, mut jar) = scene().await;
    let slow = jar.ask(&node).await.unwrap();
    jar.refresh(&node).await.unwrap();
    visit(&node, &jar).await;
    pass(&clock, HOUR).await;
    jar.refresh(&node).await.unwrap();
    visit(&node, &jar).await;
    assert_eq!(jar.generations(), (3, 3));
    // The response of an hour ago overwrites newer cookies; the next refresh replaces them.
    pass(&clock, W / 2).await;
    jar.keep(slow);
    assert_eq!(jar.generations(), (2, 2));
    jar.refresh(&node).await.unwrap();
    assert_eq!(jar.generations(), (3, 3));
    visit(&node, &jar).await;
}

#[tokio::test(start_paused = true)]
async fn lost_response_repeated_half_an_hour_later_keeps_session() {
    let (clock, _, node, mut jar) = scene().await;
    for _ in 0..SessionRecord::MAX_LOST_ANSWERS {
        let _lost = jar.ask(&node).await.unwrap();
        pass(&clock, 30 * MINUTE).await;
    }
    jar.refresh(&node).await.unwrap();
    visit(&node, &jar).await;
    pass(&clock, HOUR).await;
    jar.refresh(&node).await.unwrap();
}

/// An accepted false alarm. A thief who discards responses, so that the victim's token stays valid, causes the same
/// record as lost responses, and only their number distinguishes the two: each discarded response gives the thief
/// access for a minute, however far apart they are. Bad networks lose far fewer responses in a row than the bound
/// (`tests/protocol/model/simulation`), and a client beyond it has loaded no page for hours. So the session ends, and
/// its user logs in again.
#[tokio::test(start_paused = true)]
async fn too_many_lost_responses_in_a_row_end_session() {
    let (clock, _, node, jar) = scene().await;
    for _ in 0..=SessionRecord::MAX_LOST_ANSWERS {
        let _lost = jar.ask(&node).await.unwrap();
        pass(&clock, 30 * MINUTE).await;
    }
    assert_eq!(jar.ask(&node).await.unwrap_err().kind(), ErrorKind::InvalidRefreshToken);
}

#[tokio::test(start_paused = true)]
async fn lost_response_repeated_by_many_tabs_keeps_session() {
    let (clock, _, node, mut jar) = scene().await;
    let _lost = jar.ask(&node).await.unwrap();
    pass(&clock, 30 * MINUTE).await;
    let responses = futures_util::future::join_all((0..200).map(|_| jar.ask(&node))).await;
    for response in responses {
        jar.keep(response.unwrap());
        assert_eq!(jar.generations(), (3, 3));
    }
    visit(&node, &jar).await;
    pass(&clock, HOUR).await;
    jar.refresh(&node).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_response_fetched_by_another_tab_keeps_session() {
    let (clock, _, node, mut jar) = scene().await;
    let slow = jar.ask(&node).await.unwrap();
    // Within the window: the same successor, in whichever order the responses arrive.
    pass(&clock, W - SECOND).await;
    let again = jar.ask(&node).await.unwrap();
    jar.keep(again);
    jar.keep(slow);
    visit(&node, &jar).await;
    pass(&clock, HOUR).await;
    jar.refresh(&node).await.unwrap();
}

/// A response takes longer than the window, another tab refreshes meanwhile without waiting for it, and then it
/// overwrites the newer cookies. Under a fixed window the other tab would be refused.
#[tokio::test(start_paused = true)]
async fn response_overtaken_after_window_keeps_session() {
    let (clock, _, node, mut jar) = scene().await;
    let slow = jar.ask(&node).await.unwrap();
    pass(&clock, W).await;
    jar.refresh(&node).await.unwrap();
    jar.keep(slow);
    jar.refresh(&node).await.unwrap();
}

/// An accepted false alarm: the same with a response that takes longer than two windows.
#[tokio::test(start_paused = true)]
async fn response_overtaken_after_two_windows_ends_session() {
    let (clock, _, node, mut jar) = scene().await;
    let slow = jar.ask(&node).await.unwrap();
    pass(&clock, 2 * W).await;
    jar.refresh(&node).await.unwrap();
    jar.keep(slow);
    jar.refresh(&node).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn lost_first_use_notes_keep_session() {
    let (clock, store, node, mut jar) = scene().await;
    store.fail_at(StoreStep::Confirm);
    for _ in 0..50 {
        jar.refresh(&node).await.unwrap();
        visit(&node, &jar).await;
        pass(&clock, HOUR).await;
    }
}

/// A session ends after seven idle days. One that is visited every five days for two minutes is not idle, even if no
/// first use is noted: after a refresh that cannot move the end, the client refreshes again within a minute.
#[tokio::test(start_paused = true)]
async fn short_visits_extend_idle_end_without_notes() {
    let (clock, store, node, mut jar) = scene().await;
    store.fail_at(StoreStep::Confirm);
    for _ in 0..5 {
        for _ in 0..2 {
            if jar.visit(&node).is_none() {
                jar.refresh(&node).await.unwrap();
            }
            visit(&node, &jar).await;
            pass(&clock, MINUTE).await;
        }
        pass(&clock, 5 * DAY).await;
    }
}

/// With notes, and with a client that only refreshes, each visit moves the idle end.
#[tokio::test(start_paused = true)]
async fn each_visit_extends_idle_end() {
    let (clock, _, node, mut jar) = scene().await;
    for _ in 0..5 {
        jar.refresh(&node).await.unwrap();
        visit(&node, &jar).await;
        let left = jar.claim("__Host-refresh", "exp") - jar.claim("__Host-refresh", "iat");
        assert_eq!(left, 7 * 24 * 60 * 60);
        assert_eq!(jar.claim("__Host-access", "exp") - jar.claim("__Host-access", "iat"), 60 * 60);
        pass(&clock, 5 * DAY).await;
    }
}
