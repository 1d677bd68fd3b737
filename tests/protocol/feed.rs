//! The revocation feed of a node whose store or runtime fails: its status is never up to date by mistake.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tower_jwt_sessions::{MemoryStore, auth::VerifyError, revocation::FeedStatus, testing::TestClock};

use crate::{
    support::TestStore,
    world::{Jar, node},
};

#[tokio::test]
async fn feed_without_follower_is_not_up_to_date() {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    store.switches.log_panics.store(true, SeqCst);
    let sessions = node(store.clone(), &clock).build().unwrap();
    while store.log_reads() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_ne!(sessions.revocation_feed().status(), FeedStatus::UpToDate, "up to date without a follower");
}

#[test]
fn feed_without_runtime_is_not_up_to_date() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sessions = runtime.block_on(async { node(MemoryStore::new(), &TestClock::new()).build().unwrap() });
    drop(runtime);
    assert_ne!(sessions.revocation_feed().status(), FeedStatus::UpToDate);
}

/// `PresentedTokens` does not bypass a policy that refuses sessions.
#[tokio::test]
async fn presented_tokens_hide_session_refused_by_stale_policy() {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    store.switches.log_hangs.store(true, SeqCst);
    let sessions = node(store, &clock).build().unwrap();
    let headers = Jar::of(sessions.login("alice").await.unwrap()).headers();
    assert_eq!(sessions.verifier().verify(&headers).err(), Some(VerifyError::RevocationsUnknown));
    assert!(sessions.verifier().present(&headers).session().is_none());
}
