//! A thief and a victim hold the same refresh token: each test states when that is detected.
//!
//! The window is [`ReplayWindow::UntilConfirmed`]. "Detected" means that the session ends for both, access tokens
//! included, with an event.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_jwt_sessions::{
    SessionManager, error::ErrorKind, event::SessionEventKind, policy::ReplayWindow, testing::TestClock,
};

use crate::{
    support::TestStore,
    world::{DAY, HOUR, Jar, MINUTE, node, pass, settle},
};

const W: Duration = Duration::from_secs(10);

struct Scene {
    clock: TestClock,
    node: SessionManager,
    victim: Jar,
    thief: Jar,
    alarms: Arc<Mutex<usize>>,
}

/// The thief copied the cookies after the login.
async fn scene() -> Scene {
    let clock = TestClock::new();
    let alarms = Arc::<Mutex<usize>>::default();
    let counted = Arc::clone(&alarms);
    let node = node(TestStore::memory(&clock), &clock)
        .replay_window(ReplayWindow::UntilConfirmed(W))
        .on_event(move |event| {
            if event.kind == SessionEventKind::RefreshTokenReused {
                *counted.lock().unwrap() += 1;
            }
        })
        .build()
        .unwrap();
    let victim = Jar::of(node.login("alice").await.unwrap());
    pass(&clock, 5 * MINUTE).await;
    Scene { clock, node, thief: victim.clone(), victim, alarms }
}

impl Scene {
    /// Loads a page, and gives the node time to note the use.
    async fn visits(&self, jar: &Jar) {
        assert!(jar.visit(&self.node).is_some());
        settle().await;
    }

    /// Asserts that this refresh detects the theft: the session ends for both.
    async fn assert_detected(&self, presented: &Jar) {
        assert_eq!(*self.alarms.lock().unwrap(), 0, "noticed earlier");
        assert_eq!(presented.ask(&self.node).await.unwrap_err().kind(), ErrorKind::InvalidRefreshToken);
        assert_eq!(*self.alarms.lock().unwrap(), 1);
        for jar in [&self.victim, &self.thief] {
            assert!(jar.visit(&self.node).is_none(), "access tokens end too");
            assert_eq!(jar.ask(&self.node).await.unwrap_err().kind(), ErrorKind::InvalidRefreshToken);
        }
    }
}

/// Detected when the victim refreshes.
#[tokio::test(start_paused = true)]
async fn thief_refreshing_first_is_detected_by_victims_refresh() {
    let mut scene = scene().await;
    scene.thief.refresh(&scene.node).await.unwrap();
    scene.visits(&scene.thief).await;
    pass(&scene.clock, HOUR).await;
    scene.assert_detected(&scene.victim.clone()).await;
}

/// Detected when the thief refreshes, once the victim has used its new token for longer than the window.
#[tokio::test(start_paused = true)]
async fn victim_refreshing_first_exposes_thief() {
    let mut scene = scene().await;
    scene.victim.refresh(&scene.node).await.unwrap();
    scene.visits(&scene.victim).await;
    pass(&scene.clock, W).await;
    scene.assert_detected(&scene.thief.clone()).await;
}

/// Within the window the thief gets the same successor, not one of its own. Detected one refresh later, when the second
/// of the two refreshes.
#[tokio::test(start_paused = true)]
async fn thief_within_window_is_detected_one_refresh_later() {
    for thief_is_next in [true, false] {
        let mut scene = scene().await;
        scene.victim.refresh(&scene.node).await.unwrap();
        scene.visits(&scene.victim).await;
        pass(&scene.clock, W / 2).await;
        scene.thief.refresh(&scene.node).await.unwrap();
        assert_eq!(scene.thief.generations(), scene.victim.generations());

        pass(&scene.clock, HOUR).await;
        let mut first = if thief_is_next { scene.thief.clone() } else { scene.victim.clone() };
        let second = if thief_is_next { scene.victim.clone() } else { scene.thief.clone() };
        first.refresh(&scene.node).await.unwrap();
        scene.visits(&first).await;
        pass(&scene.clock, W).await;
        scene.assert_detected(&second).await;
    }
}

/// The thief takes turns with the victim, always with a token that is still valid. Detected at the third turn, although
/// no access token is used.
#[tokio::test(start_paused = true)]
async fn alternating_thief_is_detected_at_third_turn() {
    let mut scene = scene().await;
    scene.victim.refresh(&scene.node).await.unwrap();
    pass(&scene.clock, 2 * W).await;
    scene.thief.refresh(&scene.node).await.unwrap();
    assert_eq!(scene.thief.generations(), (3, 3), "taken for a lost response");
    pass(&scene.clock, 2 * W).await;
    scene.assert_detected(&scene.victim.clone()).await;
}

/// The thief rotates, uses nothing and waits. The victim, who returns after an hour, keeps the session, and the thief's
/// tokens are no longer accepted. Detected if the thief presents one.
#[tokio::test(start_paused = true)]
async fn patient_thief_holds_worthless_tokens() {
    let mut scene = scene().await;
    scene.thief.refresh(&scene.node).await.unwrap();
    pass(&scene.clock, HOUR + MINUTE).await;
    for _ in 0..5 {
        scene.victim.refresh(&scene.node).await.unwrap();
        scene.visits(&scene.victim).await;
        pass(&scene.clock, DAY).await;
    }
    assert!(scene.thief.visit(&scene.node).is_none(), "its access token has expired");
    scene.assert_detected(&scene.thief.clone()).await;
}

/// As before, but the victim's first response is lost as well: its second attempt has the same effect.
#[tokio::test(start_paused = true)]
async fn patient_thief_on_bad_network_holds_worthless_tokens() {
    let mut scene = scene().await;
    scene.thief.refresh(&scene.node).await.unwrap();
    pass(&scene.clock, HOUR).await;
    let _lost = scene.victim.ask(&scene.node).await.unwrap();
    pass(&scene.clock, HOUR).await;
    scene.victim.refresh(&scene.node).await.unwrap();
    scene.visits(&scene.victim).await;
    pass(&scene.clock, HOUR).await;
    scene.assert_detected(&scene.thief.clone()).await;
}

/// The thief keeps the session alive with refreshes alone. Presenting a refresh token is a use of it: detected when the
/// victim refreshes.
#[tokio::test(start_paused = true)]
async fn thief_who_only_refreshes_is_detected_by_victims_refresh() {
    let mut scene = scene().await;
    for _ in 0..4 {
        scene.thief.refresh(&scene.node).await.unwrap();
        pass(&scene.clock, HOUR).await;
    }
    scene.assert_detected(&scene.victim.clone()).await;
}

/// Another node notes the thief's one use of its access token, which closes the window, too.
#[tokio::test(start_paused = true)]
async fn use_noted_by_another_node_closes_window() {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    let build = || node(store.clone(), &clock).replay_window(ReplayWindow::UntilConfirmed(W)).build().unwrap();
    let (here, there) = (build(), build());
    let victim = Jar::of(here.login("alice").await.unwrap());
    let mut thief = victim.clone();
    thief.refresh(&here).await.unwrap();
    assert!(thief.visit(&there).is_some());
    settle().await;
    pass(&clock, W).await;
    victim.ask(&here).await.unwrap_err();
    settle().await;
    assert!(thief.visit(&there).is_none());
}
