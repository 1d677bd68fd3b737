//! Managers, and clocks that the tests advance.

use std::time::Duration;

use tower_jwt_sessions::{
    Session, SessionManager,
    manager::SessionManagerBuilder,
    revocation::{Ended, FeedStatus},
    store::SessionStore,
    testing::TestClock,
};

pub(crate) use crate::support::cookies::Jar;
use crate::support::{TestStore, nodes};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn node(store: impl SessionStore, clock: &TestClock) -> SessionManagerBuilder<()> {
    nodes::node(store).clock(clock.clone())
}

/// Advances both clocks: that of the protocol and that of the timers.
pub(crate) async fn pass(clock: &TestClock, time: Duration) {
    clock.advance(time);
    tokio::time::advance(time).await;
    settle().await;
}

/// Lets every task run until it waits. The timers advance a little.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

pub(crate) async fn is_over(ended: &mut Ended) -> bool {
    settle().await;
    tokio::time::timeout(Duration::from_millis(1), ended).await.is_ok()
}

/// Waits until the feed of a node is in this state.
pub(crate) async fn feed_becomes(node: &SessionManager, expected: fn(FeedStatus) -> bool) {
    let mut feed = node.revocation_feed().clone();
    while !expected(feed.status()) {
        feed.changed().await;
    }
}

/// A session from a login on one node, and what an open connection on another node waits for.
pub(crate) struct Scene<F> {
    pub(crate) clock: TestClock,
    pub(crate) store: TestStore,
    pub(crate) here: SessionManager,
    pub(crate) there: SessionManager,
    pub(crate) jar: Jar,
    pub(crate) future: F,
}

pub(crate) async fn scene<F>(wait: impl FnOnce(&Session) -> F) -> Scene<F> {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    let here = node(store.clone(), &clock).build().unwrap();
    let there = node(store.clone(), &clock).build().unwrap();
    let jar = Jar::of(here.login("alice").await.unwrap());
    let future = wait(&jar.visit(&there).unwrap());
    Scene { clock, store, here, there, jar, future }
}
