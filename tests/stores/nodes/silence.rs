//! Log lines of outages: once, with the cause.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tower_jwt_sessions::{
    error::ConfigErrorKind,
    redis::RedisStore,
    revocation::FeedStatus,
    store::{EndSessions, SessionStore as _, WhichSessions},
};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::{admin, command, kill_feeds, node_on},
    support::{
        log::Log,
        nodes::{PATIENCE, browser, node, redis_store, refuses_soon, soon, soon_works},
        owner::owner,
        redis_server::RedisServer,
    },
};

/// Returns how many lines of the log contain a text.
fn count(log: &str, what: &str) -> usize {
    log.lines().filter(|line| line.contains(what)).count()
}

/// Captures the log of this thread, which runs the nodes, too.
fn capture_log() {
    Log::capture(LevelFilter::DEBUG);
}

/// Returns the address of a server, and its address as a cluster.
fn alone_and_in_a_cluster(server: &RedisServer) -> [String; 2] {
    [server.url(), server.url().replace("redis://", "redis-cluster://")]
}

async fn is_logged(what: &str) {
    soon(what, || Log::so_far().contains(what)).await;
}

/// Returns the log of a node that cannot connect to this address and retries.
async fn log_of(url: &str) -> String {
    capture_log();
    let node = node(RedisStore::connect_in_background(url).unwrap()).build().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while ["still no connection", "revocation log still", "session store still"]
        .iter()
        .any(|again| count(&Log::so_far(), again) < 3)
    {
        assert!(Instant::now() < deadline, "no retry: {}", Log::captured());
        assert!(node.login("alice").await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.revocation_feed().status(), FeedStatus::CatchingUp);
    Log::captured()
}

/// Asserts one line each: no connection and its cause, store unavailable, revocation log unavailable.
#[track_caller]
fn assert_logged_once(log: &str, why: &str) {
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert!(lines.iter().any(|line| line.contains("no connection to Redis") && line.contains(why)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("session store unavailable")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("revocation log unavailable")), "{lines:#?}");
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[tokio::test]
async fn wrong_password_is_logged_once() {
    let server = RedisServer::start_with(&["--requirepass", "hunter2"]);
    for url in alone_and_in_a_cluster(&server) {
        let log = log_of(&url.replace("://", "://:wrong-secret@")).await;
        assert_logged_once(&log, "WRONGPASS");
        assert!(!log.contains("wrong-secret"), "{log}");
        assert_logged_once(&log_of(&url).await, "NOAUTH");
    }
}

#[tokio::test]
async fn server_error_repeating_password_is_not_quoted() {
    let server = RedisServer::start_with(&["--rename-command", "AUTH", ""]);
    for url in alone_and_in_a_cluster(&server) {
        let log = log_of(&url.replace("://", "://:hunter2@")).await;
        assert_logged_once(&log, "unknown command");
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn server_other_than_redis_is_logged_once() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    assert_logged_once(&log_of(&url).await, "rotocol");
    assert_logged_once(&log_of(&url.replace("redis://", "redis-cluster://")).await, "rotocol");
}

#[tokio::test]
async fn error_without_retry_is_not_logged() {
    let mut server = RedisServer::start();
    server.kill();
    for url in alone_and_in_a_cluster(&server) {
        capture_log();
        assert!(RedisStore::connect(&url).await.is_err());
        tokio::task::yield_now().await;
        let log = Log::captured();
        assert_eq!(count(&log, "tower_jwt_sessions"), 0, "{log}");
    }
}

/// A proxy without a server behind it closes connections like that.
#[tokio::test]
async fn closed_connections_are_logged_once_and_retried_slowly() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicU32::new(0));
    thread::spawn({
        let accepted = Arc::clone(&accepted);
        move || {
            for _closed in listener.incoming() {
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let begun = Instant::now();
    let log = log_of(&url).await;
    let (accepted, took) = (accepted.load(Ordering::Relaxed), begun.elapsed());
    assert!(f64::from(accepted) < 20.0 * (took.as_secs_f64() + 1.0), "{accepted} connections in {took:?}");
    let lines = log.lines().filter(|line| !line.contains("DEBUG")).count();
    assert_eq!(lines, 3, "{log}");
}

#[tokio::test]
async fn server_outage_and_recovery_are_logged_once() {
    let mut server = RedisServer::start();
    server.kill();
    for url in alone_and_in_a_cluster(&server) {
        assert_logged_once(&log_of(&url).await, "refused");
    }

    capture_log();
    let node = node(RedisStore::connect_in_background(&server.url()).unwrap()).build().unwrap();
    is_logged("no connection to Redis").await;
    server.restart();
    tokio::time::timeout(PATIENCE, node.revocation_feed().caught_up()).await.expect("the server is found");
    // Recovery is logged after a successful wait for the log, with or without entries.
    soon_works(async || node.login("alice").await.is_ok()).await;
    node.end_all("alice").await.unwrap();
    is_logged("revocation log recovered").await;
    let log = Log::captured();
    assert_eq!(count(&log, "tower_jwt_sessions: connected to Redis"), 1, "{log}");
}

#[tokio::test]
async fn server_outside_cluster_is_logged_once() {
    let server = RedisServer::start();
    let url = server.url().replace("redis://", "redis-cluster://");
    assert_logged_once(&log_of(&url).await, "cluster support disabled");
}

#[test]
fn invalid_addresses_are_refused_at_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = |url| runtime.block_on(async { RedisStore::connect_in_background(url).unwrap_err() });
    for (url, problem) in [("localhost", "invalid Redis URL"), ("mysql://localhost", "unsupported Redis URL scheme")] {
        let error = refused(url);
        assert_eq!(error.kind(), ConfigErrorKind::InvalidStore);
        assert!(error.to_string().contains(problem), "{error}");
    }
    let outside = RedisStore::connect_in_background("redis://localhost").unwrap_err();
    assert_eq!(outside.kind(), ConfigErrorKind::NoRuntime);
}

/// Only the feed fails: reads that do not wait share an existing connection.
#[tokio::test]
async fn refused_feed_connection_is_logged_once() {
    let server = RedisServer::start();
    // This store has no feed.
    let elsewhere = redis_store(&server.url(), "").await;
    let there = node_on(&server).await;
    let killer = admin(&server.url()).await;
    let headers = browser(there.login("alice").await.unwrap());
    command(&killer, "CONFIG", &["SET", "maxclients", "1"]).await;
    capture_log();
    soon_works(async || kill_feeds(&killer).await > 0).await;
    // Between two attempts to wait for the log, it is read to its end over the other connection.
    let mut feed = there.revocation_feed().clone();
    for _ in 0..6 {
        tokio::time::timeout(PATIENCE, feed.changed()).await.expect("the status changes");
    }
    let user = owner("alice");
    elsewhere.end(&EndSessions::new(user, WhichSessions::All, Duration::from_secs(3600))).await.unwrap();
    refuses_soon(&there, &headers).await;
    is_logged("revocation log still unavailable").await;
    let log = Log::so_far();
    assert_eq!(count(&log, "revocation log unavailable"), 1, "{log}");
    assert_eq!(count(&log, "revocation log recovered"), 0, "{log}");

    command(&killer, "CONFIG", &["SET", "maxclients", "100"]).await;
    is_logged("revocation log recovered").await;
    let log = Log::captured();
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert_eq!(lines.len(), 2, "one at the beginning, one at the end: {lines:#?}");
}
