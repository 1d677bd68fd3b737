//! Ends that reach another node through Redis. `tests/api/nodes.rs` covers each kind of end.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tower_jwt_sessions::{MemoryStore, SessionId, SessionManager, UserId, error::ErrorKind, revocation::SessionChange};

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
    // A later end in the log, to wait for.
    let marker = browser(here.login("attacker").await.unwrap());
    here.end_all("attacker").await.unwrap();
    refuses_soon(&there, &marker).await;
    assert!(accepts(&here, &victim) && accepts(&there, &victim));
}

/// The store ends the sessions that it has. It may have lost the one that the token names.
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
    tokio::time::timeout(PATIENCE, ended).await.expect("the end reaches the other node");
    assert!(futures_util::poll!(&mut lives).is_pending(), "expired access is no end");
}

#[tokio::test]
async fn open_connection_learns_of_expired_access_on_another_node() {
    let (here, there) = two_nodes().await;
    let headers = browser(here.login("alice").await.unwrap());
    let mut changed = there.verifier().verify(&headers).unwrap().changed();
    for _ in 0..2 {
        here.expire_access("alice").await.unwrap();
        let change = tokio::time::timeout(PATIENCE, &mut changed).await.expect("it reaches the other node");
        assert_eq!(change, SessionChange::AccessExpired);
        assert!(futures_util::poll!(&mut changed).is_pending(), "each is reported once");
    }
    let _removal = here.logout(&here.verifier().present(&headers)).await.unwrap();
    let change = tokio::time::timeout(PATIENCE, &mut changed).await.expect("the end reaches the other node");
    assert_eq!(change, SessionChange::Ended);
}
