//! What is logged of outages: why, and once.

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

/// How many lines of what was heard say this.
fn count(heard: &str, what: &str) -> usize {
    heard.lines().filter(|line| line.contains(what)).count()
}

/// Listens to this thread, which runs the nodes too.
fn listen() {
    Log::capture(LevelFilter::DEBUG);
}

/// The server, and the server as one of a cluster.
fn alone_and_in_a_cluster(server: &RedisServer) -> [String; 2] {
    [server.url(), server.url().replace("redis://", "redis-cluster://")]
}

async fn is_heard(what: &str) {
    soon(what, || Log::so_far().contains(what)).await;
}

/// What a node logs that starts with this address and never gets anywhere, however often it tries.
async fn heard_of(url: &str) -> String {
    listen();
    let node = node(RedisStore::connect_in_background(url).unwrap()).build().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while ["still no connection", "revocation log still", "session store still"]
        .iter()
        .any(|again| count(&Log::so_far(), again) < 3)
    {
        assert!(Instant::now() < deadline, "it does not try again: {}", Log::captured());
        assert!(node.login("alice").await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(node.revocation_feed().status(), FeedStatus::CatchingUp);
    Log::captured()
}

/// Why there is no connection, that the store fails, that the log cannot be read: one line for each.
#[track_caller]
fn tells_once(heard: &str, why: &str) {
    let lines: Vec<&str> = heard.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert!(lines.iter().any(|line| line.contains("no connection to Redis") && line.contains(why)), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("session store unavailable")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("revocation log unavailable")), "{lines:#?}");
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[tokio::test]
async fn wrong_password_is_logged_once() {
    let server = RedisServer::start_with(&["--requirepass", "hunter2"]);
    for url in alone_and_in_a_cluster(&server) {
        let heard = heard_of(&url.replace("://", "://:wrong-secret@")).await;
        tells_once(&heard, "WRONGPASS");
        assert!(!heard.contains("wrong-secret"), "{heard}");
        tells_once(&heard_of(&url).await, "NOAUTH");
    }
}

#[tokio::test]
async fn server_error_repeating_password_is_not_quoted() {
    let server = RedisServer::start_with(&["--rename-command", "AUTH", ""]);
    for url in alone_and_in_a_cluster(&server) {
        let heard = heard_of(&url.replace("://", "://:hunter2@")).await;
        tells_once(&heard, "unknown command");
        assert!(!heard.contains("hunter2"), "{heard}");
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
    tells_once(&heard_of(&url).await, "rotocol");
    tells_once(&heard_of(&url.replace("redis://", "redis-cluster://")).await, "rotocol");
}

#[tokio::test]
async fn error_without_retry_is_not_logged() {
    let mut server = RedisServer::start();
    server.kill();
    for url in alone_and_in_a_cluster(&server) {
        listen();
        assert!(RedisStore::connect(&url).await.is_err());
        tokio::task::yield_now().await;
        let heard = Log::captured();
        assert_eq!(count(&heard, "tower_jwt_sessions"), 0, "{heard}");
    }
}

/// As a proxy with nothing behind it.
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
    let heard = heard_of(&url).await;
    let (accepted, took) = (accepted.load(Ordering::Relaxed), begun.elapsed());
    assert!(f64::from(accepted) < 20.0 * (took.as_secs_f64() + 1.0), "{accepted} connections in {took:?}");
    let lines = heard.lines().filter(|line| !line.contains("DEBUG")).count();
    assert_eq!(lines, 3, "{heard}");
}

#[tokio::test]
async fn server_outage_and_recovery_are_logged_once() {
    let mut server = RedisServer::start();
    server.kill();
    for url in alone_and_in_a_cluster(&server) {
        tells_once(&heard_of(&url).await, "refused");
    }

    listen();
    let node = node(RedisStore::connect_in_background(&server.url()).unwrap()).build().unwrap();
    is_heard("no connection to Redis").await;
    server.restart();
    tokio::time::timeout(PATIENCE, node.revocation_feed().caught_up()).await.expect("it is found");
    // It says so when it has waited for the log, with nothing or with news.
    soon_works(async || node.login("alice").await.is_ok()).await;
    node.end_all("alice").await.unwrap();
    is_heard("revocation log recovered").await;
    let heard = Log::captured();
    assert_eq!(count(&heard, "tower_jwt_sessions: connected to Redis"), 1, "{heard}");
}

#[tokio::test]
async fn server_outside_cluster_is_logged_once() {
    let server = RedisServer::start();
    let url = server.url().replace("redis://", "redis-cluster://");
    tells_once(&heard_of(&url).await, "cluster support disabled");
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

/// The feed alone is hit: reads that do not wait share a connection that is there already.
#[tokio::test]
async fn refused_feed_connection_is_logged_once() {
    let server = RedisServer::start();
    // It has no feed of its own.
    let elsewhere = redis_store(&server.url(), "").await;
    let there = node_on(&server).await;
    let killer = admin(&server.url()).await;
    let headers = browser(there.login("alice").await.unwrap());
    command(&killer, "CONFIG", &["SET", "maxclients", "1"]).await;
    listen();
    soon_works(async || kill_feeds(&killer).await > 0).await;
    // Between two attempts to wait for the log it is read to its end over the other connection.
    let mut feed = there.revocation_feed().clone();
    for _ in 0..6 {
        tokio::time::timeout(PATIENCE, feed.changed()).await.expect("it goes up and down");
    }
    let user = owner("alice");
    elsewhere.end(&EndSessions::new(user, WhichSessions::All, Duration::from_secs(3600))).await.unwrap();
    refuses_soon(&there, &headers).await;
    is_heard("revocation log still unavailable").await;
    let heard = Log::so_far();
    assert_eq!(count(&heard, "revocation log unavailable"), 1, "{heard}");
    assert_eq!(count(&heard, "revocation log recovered"), 0, "{heard}");

    command(&killer, "CONFIG", &["SET", "maxclients", "100"]).await;
    is_heard("revocation log recovered").await;
    let heard = Log::captured();
    let lines: Vec<&str> = heard.lines().filter(|line| !line.contains("DEBUG")).collect();
    assert_eq!(lines.len(), 2, "one at the beginning, one at the end: {lines:#?}");
}
