//! Everything that ends a session here ends it there.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tower_jwt_sessions::{
    MemoryStore, SessionId, SessionManager, UserId, error::ErrorKind, policy::SessionLimit, testing::TestClock,
};

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        nodes::{PATIENCE, accepts, browser, node, redis_node, redis_store, refuses_soon},
        redis_server,
    },
};

async fn two_nodes() -> (SessionManager, SessionManager) {
    let (_, prefix) = redis_server::shared();
    (redis_node(&prefix).await, redis_node(&prefix).await)
}

#[tokio::test]
async fn logout_reaches_other_node() {
    let (here, there) = two_nodes().await;
    let headers = browser(here.login("alice").await.unwrap());
    let other = browser(here.login("alice").await.unwrap());
    assert!(accepts(&there, &headers));

    let _removal = here.logout(&here.verifier().present(&headers)).await.unwrap();
    assert!(!accepts(&here, &headers), "the node that ends a session knows it before it answers");
    refuses_soon(&there, &headers).await;
    assert!(accepts(&there, &other), "only that session ended");
}

#[tokio::test]
async fn every_kind_of_end_reaches_other_node() {
    let (here, there) = two_nodes().await;
    let login = async || browser(here.login("alice").await.unwrap());

    let all = [login().await, login().await];
    here.end_all("alice").await.unwrap();
    for headers in &all {
        refuses_soon(&there, headers).await;
    }

    let (kept, gone) = (login().await, login().await);
    here.end_others(&here.verifier().verify(&kept).unwrap()).await.unwrap();
    refuses_soon(&there, &gone).await;
    assert!(accepts(&there, &kept));

    let replaced = kept;
    let fresh = here.login("alice").replacing(here.verifier().present(&replaced)).await.unwrap();
    refuses_soon(&there, &replaced).await;
    assert!(accepts(&there, &browser(fresh)));
}

#[tokio::test]
async fn eviction_reaches_other_node() {
    let (server, prefix) = redis_server::shared();
    let limit = SessionLimit::evict(1.try_into().unwrap());
    let here = node(redis_store(&server.url(), &prefix).await).session_limit(limit).build().unwrap();
    let there = redis_node(&prefix).await;
    let first = browser(here.login("alice").await.unwrap());
    let second = browser(here.login("alice").await.unwrap());
    refuses_soon(&there, &first).await;
    assert!(accepts(&there, &second));
}

#[tokio::test]
async fn end_by_reuse_reaches_other_node() {
    let (_, prefix) = redis_server::shared();
    let (url, clock) = (redis_server::shared().0.url(), TestClock::new());
    let store = async || redis_store(&url, &prefix).await.with_clock(clock.clone());
    let here = node(store().await).clock(clock.clone()).build().unwrap();
    let there = node(store().await).clock(clock.clone()).build().unwrap();
    there.revocation_feed().caught_up().await;

    let stolen = browser(here.login("alice").await.unwrap());
    clock.advance(Duration::from_secs(60));
    let newest = browser(here.refresh(&here.verifier().present(&stolen)).await.unwrap());
    // The first use of the newest token closes the window of the stolen one.
    let _cookies = here.refresh(&here.verifier().present(&newest)).await.unwrap();
    clock.advance(Duration::from_secs(60));
    assert!(accepts(&there, &newest));
    here.refresh(&here.verifier().present(&stolen)).await.unwrap_err();
    refuses_soon(&there, &newest).await;
}

#[tokio::test]
async fn expired_access_reaches_other_node_and_refresh_renews_it() {
    let (here, there) = two_nodes().await;
    let old = browser(here.login("alice").await.unwrap());
    assert_eq!(here.expire_access("alice").await.unwrap(), 1);
    assert!(!accepts(&here, &old));
    refuses_soon(&there, &old).await;

    let fresh = browser(there.refresh(&there.verifier().present(&old)).await.unwrap());
    assert!(accepts(&there, &fresh) && accepts(&here, &fresh));
}

#[tokio::test]
async fn ends_reach_nodes_on_one_memory_store() {
    let store = MemoryStore::new();
    let here = node(store.clone()).build().unwrap();
    let there = node(store).build().unwrap();
    let headers = browser(here.login("alice").await.unwrap());
    assert!(accepts(&there, &headers));
    here.end_all("alice").await.unwrap();
    refuses_soon(&there, &headers).await;
}

#[tokio::test]
async fn node_started_later_knows_earlier_ends() {
    let store = MemoryStore::new();
    let here = node(store.clone()).build().unwrap();
    let headers = browser(here.login("alice").await.unwrap());
    here.end_all("alice").await.unwrap();
    assert!(!accepts(&node(store).build().unwrap(), &headers), "a store in this process is read while building");

    let (_, prefix) = redis_server::shared();
    let here = redis_node(&prefix).await;
    let headers = browser(here.login("alice").await.unwrap());
    here.end_all("alice").await.unwrap();
    assert!(!accepts(&redis_node(&prefix).await, &headers));
}

#[tokio::test]
async fn end_of_another_users_session_is_refused() {
    let (here, there) = two_nodes().await;
    let victim = browser(here.login("victim").await.unwrap());
    let id: SessionId = here.verifier().verify(&victim).unwrap().id();
    assert!(!here.end("attacker", id).await.unwrap());
    // Something that does end comes after it in the log, so that there is something to wait for.
    let marker = browser(here.login("attacker").await.unwrap());
    here.end_all("attacker").await.unwrap();
    refuses_soon(&there, &marker).await;
    assert!(accepts(&here, &victim) && accepts(&there, &victim));
}

/// The store can end what it has; the one that is known by its token it may have lost.
#[tokio::test]
async fn end_of_deleted_users_lost_session_reaches_other_node() {
    let server = redis_server::RedisServer::start();
    let is_gone = Arc::<AtomicBool>::default();
    let source = {
        let is_gone = Arc::clone(&is_gone);
        move |_: UserId| {
            let claims = (!is_gone.load(Relaxed)).then_some(());
            async move { Ok::<_, Infallible>(claims) }
        }
    };
    let here = node(redis_store(&server.url(), "").await).claims_source(source).build().unwrap();
    let there = node_on(&server).await;
    let [lost, kept] = [here.login("alice").await, here.login("bob").await].map(|cookies| browser(cookies.unwrap()));
    command(&admin(&server.url()).await, "FLUSHALL", &[]).await;
    let again = browser(here.login("bob").await.unwrap());
    assert!([&lost, &kept, &again].iter().all(|headers| accepts(&there, headers)));

    is_gone.store(true, Relaxed);
    for headers in [&lost, &kept] {
        let refused = here.refresh(&here.verifier().present(headers)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRefreshToken);
        refuses_soon(&there, headers).await;
    }
    refuses_soon(&there, &again).await;
}

#[tokio::test]
async fn open_connection_learns_of_end_on_another_node() {
    let (here, there) = two_nodes().await;
    let headers = browser(here.login("alice").await.unwrap());
    let other = browser(here.login("alice").await.unwrap());
    let ended = there.verifier().verify(&headers).unwrap().ended();
    let mut lives = there.verifier().verify(&other).unwrap().ended();
    here.expire_access("alice").await.unwrap();
    let _removal = here.logout(&here.verifier().present(&headers)).await.unwrap();
    tokio::time::timeout(PATIENCE, ended).await.expect("the other node hears of it");
    assert!(futures_util::poll!(&mut lives).is_pending(), "expired access is no end");
}
