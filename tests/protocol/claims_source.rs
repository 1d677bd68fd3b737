//! A source of claims that fails between the steps of an operation.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tower_jwt_sessions::{MemoryStore, UserId, error::ErrorKind, testing::TestClock};

use crate::world::{Jar, node};

/// After `expire_access`, a refresh loads claims twice, the second time after the rotation.
#[tokio::test]
async fn claims_source_failing_after_rotation_keeps_refresh_token() {
    let clock = TestClock::new();
    let (calls, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let source = {
        let (calls, is_down) = (Arc::clone(&calls), Arc::clone(&is_down));
        move |_: UserId| {
            let failed = calls.fetch_add(1, SeqCst) >= 2 && is_down.load(SeqCst);
            async move { if failed { Err(io::Error::other("down")) } else { Ok(Some(())) } }
        }
    };
    let sessions = node(MemoryStore::with_clock(clock.clone()), &clock).claims_source(source).build().unwrap();
    let jar = Jar::of(sessions.login("alice").await.unwrap());
    sessions.expire_access("alice").await.unwrap();
    assert_eq!(jar.ask(&sessions).await.unwrap_err().kind(), ErrorKind::ClaimsSource);

    // The source fails for eleven seconds, one more than the replay window.
    clock.advance(Duration::from_secs(11));
    is_down.store(false, SeqCst);
    assert!(jar.ask(&sessions).await.is_ok(), "a retry after the window is taken for reuse");
}

#[tokio::test]
async fn login_failing_after_creation_leaves_no_session() {
    let (clock, calls) = (TestClock::new(), AtomicUsize::new(0));
    let source = move |_: UserId| {
        let first = calls.fetch_add(1, SeqCst) == 0;
        async move { Ok::<_, io::Error>(first.then_some(())) }
    };
    let sessions = node(MemoryStore::with_clock(clock.clone()), &clock).claims_source(source).build().unwrap();
    sessions.expire_access("alice").await.unwrap();
    assert_eq!(sessions.login("alice").await.unwrap_err().kind(), ErrorKind::UserNotFound);
    assert_eq!(sessions.list("alice").await.unwrap(), []);
}
