//! Ends that failed at one node, and their completion.

use std::{future::Future as _, pin::pin, task::Context};

use http::HeaderMap;
use tower_jwt_sessions::{
    SessionId, SessionManager, auth::VerifyError, error::ErrorKind, policy::MAX_CLOCK_SKEW, testing::TestClock,
};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::node_on,
    support::{
        log::Log,
        nodes::{PATIENCE, accepts, becomes, browser, is_up_to_date, node_by_clock, refuses_soon, soon, soon_works},
        redis_server::RedisServer,
    },
};

async fn logout(node: &SessionManager, headers: &HeaderMap) -> Result<(), ErrorKind> {
    node.logout(&node.verifier().present(headers)).await.map(drop).map_err(|error| error.kind())
}

async fn refresh(node: &SessionManager, headers: &HeaderMap) -> Result<HeaderMap, ErrorKind> {
    node.refresh(&node.verifier().present(headers)).await.map(browser).map_err(|error| error.kind())
}

fn why(node: &SessionManager, headers: &HeaderMap) -> Option<VerifyError> {
    node.verifier().verify(headers).err()
}

#[tokio::test]
async fn failed_logout_is_completed_without_request_and_reaches_other_node() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let headers = browser(here.login("alice").await.unwrap());
    Log::capture(LevelFilter::DEBUG);
    server.freeze();
    assert_eq!(logout(&here, &headers).await, Err(ErrorKind::Store));
    assert_eq!(why(&here, &headers), Some(VerifyError::EndUnfinished));
    assert_eq!(refresh(&here, &headers).await, Err(ErrorKind::Store), "a failed logout is taken for done");
    assert!(accepts(&there, &headers), "the end cannot have reached it");
    soon("the end is retried", || Log::so_far().contains("session ends unfinished")).await;

    server.thaw();
    refuses_soon(&there, &headers).await;
    refuses_soon(&here, &headers).await;
    assert_eq!(refresh(&there, &headers).await, Err(ErrorKind::InvalidRefreshToken));
    assert_eq!(refresh(&here, &headers).await, Err(ErrorKind::InvalidRefreshToken));
    soon("completion is logged", || Log::so_far().contains("unfinished session ends completed")).await;
    let log = Log::captured();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!((count("session ends unfinished"), count("unfinished session ends completed")), (1, 1), "{log}");
}

#[tokio::test]
async fn failed_logout_is_completed_when_session_is_presented() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let headers = browser(here.login("alice").await.unwrap());
    server.freeze();
    assert_eq!(logout(&here, &headers).await, Err(ErrorKind::Store));
    server.thaw();
    // An error until the connection is back; never new cookies.
    soon_works(async || match refresh(&here, &headers).await {
        Err(ErrorKind::Store) => false,
        Err(kind) => kind == ErrorKind::InvalidRefreshToken,
        Ok(_) => panic!("the session is refreshed after a logout"),
    })
    .await;
    assert_eq!(why(&here, &headers), Some(VerifyError::Revoked));
    refuses_soon(&there, &headers).await;
}

#[tokio::test]
async fn logout_of_dropped_request_is_completed() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let headers = browser(here.login("alice").await.unwrap());
    server.freeze();
    {
        let presented = here.verifier().present(&headers);
        let mut request = pin!(here.logout(&presented));
        assert!(request.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
    }
    // When this step has failed, commands sent before it are too late.
    here.list("alice").await.unwrap_err();
    server.thaw();
    refuses_soon(&there, &headers).await;
    refuses_soon(&here, &headers).await;
}

#[tokio::test]
async fn failed_end_of_all_spares_later_login() {
    let (server, clock) = (RedisServer::start(), TestClock::new());
    let (here, there) = (node_by_clock(&server.url(), &clock).await, node_by_clock(&server.url(), &clock).await);
    let old = browser(here.login("alice").await.unwrap());
    let elsewhere = browser(there.login("alice").await.unwrap());
    server.freeze();
    Log::capture(LevelFilter::DEBUG);
    assert_eq!(here.end_all("alice").await.unwrap_err().kind(), ErrorKind::Store);
    soon("the end is retried", || Log::so_far().contains("session ends unfinished")).await;
    clock.advance(MAX_CLOCK_SKEW * 2);
    server.thaw();
    let mut new = None;
    soon_works(async || {
        new = there.login("alice").await.ok();
        new.is_some()
    })
    .await;
    let new = browser(new.unwrap());
    for headers in [&old, &elsewhere] {
        refuses_soon(&there, headers).await;
        refuses_soon(&here, headers).await;
    }
    assert!(accepts(&here, &new) && accepts(&there, &new));
    refresh(&here, &new).await.unwrap();
    assert_eq!(here.list("alice").await.unwrap().len(), 1);
}

#[tokio::test]
async fn overflowing_ends_are_dropped_and_logged_once() {
    let mut server = RedisServer::start();
    let here = node_on(&server).await;
    let headers = browser(here.login("alice").await.unwrap());
    server.kill();
    becomes(&here, crate::support::nodes::is_stale).await;
    Log::capture(LevelFilter::DEBUG);
    assert_eq!(logout(&here, &headers).await, Err(ErrorKind::Store));
    for n in 0..150 {
        let id = SessionId::from_bytes([n; SessionId::LEN]);
        assert_eq!(here.end("alice", id).await.unwrap_err().kind(), ErrorKind::Store);
    }
    let log = Log::captured();
    let count = log.lines().filter(|line| line.contains("unfinished session ends dropped")).count();
    assert_eq!(count, 1, "{log}");
    // Dropped ends are not taken for done either.
    assert_eq!(why(&here, &headers), Some(VerifyError::EndUnfinished));
    assert_eq!(refresh(&here, &headers).await, Err(ErrorKind::Store));

    server.restart();
    becomes(&here, is_up_to_date).await;
    let mut again = None;
    soon_works(async || {
        again = here.login("alice").await.ok();
        again.is_some()
    })
    .await;
    let again = browser(again.unwrap());
    // The ids are unknown: the user's own session stays, although a hundred ends of the user are retried.
    tokio::time::timeout(PATIENCE, async {
        soon_works(async || refresh(&here, &again).await.is_ok()).await;
    })
    .await
    .unwrap();
    assert!(accepts(&here, &again));
}
