//! Nodes whose clocks or settings differ.

use std::time::Duration;

use tower_jwt_sessions::{
    MemoryStore, SessionManager,
    clock::{Clock as _, Timestamp},
    testing::TestClock,
};
use tracing::level_filters::LevelFilter;

use crate::support::{
    log::Log,
    nodes::{accepts, browser, node, refuses_soon},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

struct Scene {
    /// Of the store.
    clock: TestClock,
    store: MemoryStore,
}

impl Scene {
    fn new() -> Self {
        let clock = TestClock::new();
        Self { store: MemoryStore::with_clock(clock.clone()), clock }
    }

    /// Returns a node whose clock differs from that of the store.
    fn node_at(&self, now: Timestamp) -> SessionManager {
        node(self.store.clone()).clock(TestClock::at(now)).build().unwrap()
    }
}

#[tokio::test]
async fn clocks_differing_by_a_minute_keep_sessions() {
    let scene = Scene::new();
    let now = scene.clock.now();
    let nodes = [now.saturating_sub(MINUTE), now, now.saturating_add(MINUTE)].map(|now| scene.node_at(now));
    for one in &nodes {
        let cookies = browser(one.login("alice").await.unwrap());
        for other in &nodes {
            assert!(accepts(other, &cookies), "{one:?} logs in, {other:?} refuses");
        }
        // Refreshes depend on the store's clock alone.
        scene.clock.advance(MINUTE);
        for other in &nodes {
            let cookies = browser(other.refresh(&other.verifier().present(&cookies)).await.unwrap());
            assert!(one.verifier().present(&cookies).has_refresh_token());
        }
        scene.clock.set(now);
    }
}

#[tokio::test]
async fn token_issued_beyond_clock_skew_is_refused() {
    let scene = Scene::new();
    let behind = scene.node_at(scene.clock.now().saturating_sub(MINUTE + Duration::from_secs(1)));
    let cookies = browser(behind.login("alice").await.unwrap());
    Log::capture(LevelFilter::DEBUG);
    assert!(!accepts(&behind, &cookies));
    assert!(Log::captured().contains("access token refused: issued in the future"), "the log does not name the clocks");
}

#[tokio::test]
async fn revocations_hold_with_differing_clocks() {
    let scene = Scene::new();
    let now = scene.clock.now();
    let nodes = [now.saturating_sub(MINUTE), now.saturating_add(MINUTE)].map(|now| scene.node_at(now));
    for (here, there) in [(&nodes[0], &nodes[1]), (&nodes[1], &nodes[0])] {
        let cookies = browser(here.login("alice").await.unwrap());
        assert!(accepts(there, &cookies));
        here.end_all("alice").await.unwrap();
        refuses_soon(there, &cookies).await;
    }
}

#[tokio::test]
async fn access_lifetimes_may_differ_up_to_longest_accepted() {
    let scene = Scene::new();
    let build = |lifetime, max: Option<Duration>| {
        let builder = node(scene.store.clone()).clock(scene.clock.clone()).access_lifetime(lifetime);
        max.into_iter().fold(builder, |builder, max| builder.max_access_lifetime(max)).build().unwrap()
    };
    let (short, usual, long) = (build(5 * MINUTE, None), build(HOUR, None), build(2 * HOUR, None));
    let informed = build(HOUR, Some(2 * HOUR));
    let login = async |node: &SessionManager| browser(node.login("alice").await.unwrap());

    assert!(accepts(&usual, &login(&short).await) && accepts(&short, &login(&usual).await));
    let cookies = login(&long).await;
    assert!(accepts(&informed, &cookies));
    assert!(!accepts(&usual, &cookies), "the token outlives this node's memory of revocations");
    let renewed = browser(usual.refresh(&usual.verifier().present(&cookies)).await.unwrap());
    assert!(accepts(&usual, &renewed) && accepts(&long, &renewed), "refused after a refresh");

    // A node that accepts the token remembers its end for as long.
    informed.end_all("alice").await.unwrap();
    refuses_soon(&long, &cookies).await;
    scene.clock.advance(2 * HOUR - Duration::from_secs(1));
    for other in 0..3_000 {
        let _cookies = informed.login(other).await.unwrap();
        informed.end_all(other).await.unwrap();
    }
    assert!(!accepts(&informed, &cookies) && !accepts(&long, &cookies));
}
