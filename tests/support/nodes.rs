//! Nodes, and requests to them.

use std::time::{Duration, Instant};

use http::HeaderMap;
use tower_jwt_sessions::{
    KeyRing, SessionManager, auth::VerifyError, manager::SessionManagerBuilder, redis::RedisStore,
    revocation::FeedStatus, store::SessionStore, testing::TestClock,
};

pub(crate) use crate::support::cookies::browser;
use crate::support::redis_server;

/// How long a test waits for what takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn node(store: impl SessionStore) -> SessionManagerBuilder<()> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .session_limit(None)
        .store(store)
}

/// A node on the shared Redis server, with a connection of its own.
pub(crate) async fn redis_node(prefix: &str) -> SessionManager {
    let node = node(redis_store(&redis_server::shared().0.url(), prefix).await).build().unwrap();
    node.revocation_feed().caught_up().await;
    node
}

pub(crate) async fn redis_store(url: &str, prefix: &str) -> RedisStore {
    RedisStore::connect(url).await.unwrap().key_prefix(prefix).unwrap()
}

/// A node on a server of its own, by the clock of the test.
pub(crate) async fn node_by_clock(url: &str, clock: &TestClock) -> SessionManager {
    let store = redis_store(url, "").await.with_clock(clock.clone());
    let node = node(store).clock(clock.clone()).build().unwrap();
    node.revocation_feed().caught_up().await;
    node
}

pub(crate) fn accepts(node: &SessionManager, headers: &HeaderMap) -> bool {
    node.verifier().verify(headers).is_ok()
}

/// Waits until the node refuses a request because it is revoked.
pub(crate) async fn refuses_soon(node: &SessionManager, headers: &HeaderMap) {
    soon("the node refuses the session", || node.verifier().verify(headers).err() == Some(VerifyError::Revoked)).await;
}

/// Waits until a condition holds.
pub(crate) async fn soon(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "timed out waiting: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Repeats an operation until it succeeds.
pub(crate) async fn soon_works(mut attempt: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !attempt().await {
        assert!(Instant::now() < deadline, "an operation that succeeds");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn becomes(node: &SessionManager, expected: fn(FeedStatus) -> bool) {
    soon("the feed changes its state", || expected(node.revocation_feed().status())).await;
}

pub(crate) fn is_stale(status: FeedStatus) -> bool {
    matches!(status, FeedStatus::Stale { .. })
}

pub(crate) fn is_up_to_date(status: FeedStatus) -> bool {
    status == FeedStatus::UpToDate
}
