//! Wall clocks that are set while nodes serve: known revocations age by elapsed time instead.

#![allow(clippy::print_stdout, reason = "what it counts belongs to its output")]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::HeaderMap;
use tower_jwt_sessions::{
    MemoryStore, SessionManager, UserId, auth::VerifyError, clock::Clock as _, revocation::StalePolicy,
    store::SessionStore as _, testing::TestClock,
};

use crate::support::{
    nodes::{PATIENCE, accepts, becomes, browser, is_stale, node, redis_store, refuses_soon},
    owner::owner,
    redis_server::RedisServer,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns a store and a node with correct clocks.
fn scene() -> (MemoryStore, SessionManager, TestClock) {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    (store.clone(), node(store).clock(clock.clone()).build().unwrap(), clock)
}

async fn ended_sessions(here: &SessionManager, users: std::ops::Range<u32>) -> Vec<HeaderMap> {
    let mut ended = Vec::new();
    for user in users {
        ended.push(browser(here.login(user).await.unwrap()));
        here.end_all(user).await.unwrap();
    }
    ended
}

fn served(node: &SessionManager, sessions: &[HeaderMap]) -> usize {
    let strict = node.verifier().clone().when_stale(StalePolicy::FailClosedAfter(Duration::ZERO));
    let served = sessions.iter().filter(|headers| strict.verify(headers).is_ok()).count();
    assert_eq!(served, sessions.iter().filter(|headers| accepts(node, headers)).count());
    served
}

#[tokio::test]
async fn clock_briefly_ahead_drops_no_revocation() {
    let (store, here, clock) = scene();
    let own = TestClock::at(clock.now());
    let there = node(store).clock(own.clone()).build().unwrap();
    let marker = browser(here.login("marker").await.unwrap());
    let marker_ended = there.verifier().verify(&marker).unwrap().ended();
    let ended = ended_sessions(&here, 0..200).await;
    for headers in &ended {
        refuses_soon(&there, headers).await;
    }

    own.set(clock.now().saturating_add(2 * HOUR));
    ended_sessions(&here, 200..800).await;
    here.end_all("marker").await.unwrap();
    tokio::time::timeout(PATIENCE, marker_ended).await.expect("the node reads all ends");
    own.set(clock.now());
    let served = served(&there, &ended);
    println!("{served} of 200 ended sessions are served");
    assert_eq!(served, 0);
}

#[tokio::test]
async fn node_started_with_clock_ahead_knows_earlier_ends() {
    let (store, here, clock) = scene();
    let ended = ended_sessions(&here, 0..200).await;
    let own = TestClock::at(clock.now().saturating_add(2 * HOUR));
    let there = node(store).clock(own.clone()).build().unwrap();
    own.set(clock.now());
    let served = served(&there, &ended);
    println!("{served} of 200 ended sessions are served");
    assert_eq!(served, 0);
}

/// Tokens are accepted longer there, and their revocations are kept as long.
#[tokio::test]
async fn node_with_clock_behind_refuses_until_tokens_expire_there() {
    let (store, here, clock) = scene();
    let own = TestClock::at(clock.now().saturating_sub(30 * MINUTE));
    let there = node(store).clock(own.clone()).build().unwrap();
    let alive = browser(here.login("bob").await.unwrap());
    let ended = ended_sessions(&here, 0..1).await.remove(0);
    refuses_soon_or_is_early(&there, &ended).await;
    let mut minutes_of_life = 0;
    for _ in 0..95 {
        minutes_of_life += u32::from(accepts(&there, &alive));
        assert!(!accepts(&there, &ended));
        clock.advance(MINUTE);
        own.advance(MINUTE);
        // New entries remove expired ones.
        ended_sessions(&here, 1_000..1_010).await;
    }
    assert!(minutes_of_life > 55, "the other session of that time is served for {minutes_of_life} minutes");
}

/// A node whose clock is behind refuses the token as issued in the future at first.
async fn refuses_soon_or_is_early(node: &SessionManager, headers: &HeaderMap) {
    assert_eq!(node.verifier().verify(headers).err(), Some(VerifyError::InvalidToken));
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn layer_fails_closed_by_elapsed_time_not_by_clock() {
    let mut server = RedisServer::start();
    let clock = TestClock::new();
    let store = redis_store(&server.url(), "").await.with_clock(clock.clone());
    let there = node(store).clock(clock.clone()).build().unwrap();
    there.revocation_feed().caught_up().await;
    let headers = browser(there.login("alice").await.unwrap());
    let begun = clock.now();
    let patient = there.verifier().clone().when_stale(StalePolicy::FailClosedAfter(10 * MINUTE));
    server.kill();
    becomes(&there, is_stale).await;

    clock.set(begun.saturating_add(30 * MINUTE));
    assert!(patient.verify(&headers).is_ok(), "refused although no time has passed");
    clock.advance(9 * MINUTE);
    assert!(patient.verify(&headers).is_ok());
    clock.advance(MINUTE);
    assert_eq!(patient.verify(&headers).unwrap_err(), VerifyError::RevocationsUnknown);
    clock.set(begun);
    assert_eq!(
        patient.verify(&headers).unwrap_err(),
        VerifyError::RevocationsUnknown,
        "elapsed time does not decrease"
    );
}

#[tokio::test]
async fn age_of_claims_is_independent_of_wall_clock() {
    let (store, _, clock) = scene();
    let own = TestClock::at(clock.now());
    let loads = Arc::new(AtomicUsize::new(0));
    let source = {
        let (store, own, loads) = (store.clone(), own.clone(), Arc::clone(&loads));
        move |user: UserId| {
            let (store, own, clock, loads) = (store.clone(), own.clone(), clock.clone(), Arc::clone(&loads));
            async move {
                if loads.fetch_add(1, Ordering::SeqCst) == 0 {
                    // Access is expired while claims are loaded, and then the clock is set back.
                    store.expire_access(&owner(&user), HOUR).await.unwrap();
                    own.advance(MINUTE / 2);
                    clock.advance(MINUTE / 2);
                    own.set(own.now().saturating_sub(HOUR));
                }
                Ok::<_, Infallible>(Some(()))
            }
        }
    };
    let here = node(store).clock(own).claims_source(source).build().unwrap();
    let _cookies = here.login("alice").await.unwrap();
    assert_eq!(loads.load(Ordering::SeqCst), 2, "the first claims are older than the expiry");
}
