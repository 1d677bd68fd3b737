//! Outages of Redis, and recovery.

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use tower_jwt_sessions::{
    clock::Timestamp,
    policy::ReplayWindow,
    redis::RedisStore,
    store::{
        EndSessions, LogPosition, PutData, RefreshAttempt, RotateSession, SessionStore as _, StoreError, WhichSessions,
    },
};

use super::redis::{Raw, chain, id, new_session, user};
use crate::support::redis_server::RedisServer;

const SOON: Duration = Duration::from_secs(1);

/// Returns the error of a step that must fail within a second.
async fn fails_soon<T: std::fmt::Debug>(step: impl Future<Output = Result<T, StoreError>>) -> StoreError {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(Duration::from_secs(20), step).await.expect("the step hangs");
    let took = begun.elapsed();
    assert!(took < SOON, "the step took {took:?}");
    outcome.expect_err("the server is down")
}

async fn every_step_fails_soon(store: &RedisStore) {
    fails_soon(store.find(&user(), id(1))).await;
    fails_soon(store.create(&new_session(2))).await;
    fails_soon(store.list(&user())).await;
    fails_soon(store.end(&EndSessions::new(user(), WhichSessions::All, SOON))).await;
    fails_soon(store.read_log(LogPosition::START, Duration::ZERO)).await;
}

/// Retries until a step succeeds. Each attempt is short; the limit is generous because machines are slow.
async fn recovers(store: &RedisStore) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.create(&new_session(9)).await {
        assert!(Instant::now() < deadline, "no recovery: {error:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(store.find(&user(), id(9)).await.expect("a step after recovery").is_some());
}

/// Retries after an error, as the feed does.
async fn follow(store: RedisStore) {
    loop {
        match store.read_log(LogPosition::START, Duration::from_secs(1)).await {
            Ok(page) if !page.entries.is_empty() => return,
            Ok(_) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[tokio::test]
async fn killed_server_is_error_and_restarted_one_works() {
    let mut server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    let feed = tokio::spawn(follow(store.clone()));
    server.kill();
    every_step_fails_soon(&store).await;
    server.restart();
    recovers(&store).await;
    store.end(&EndSessions::new(user(), WhichSessions::All, Duration::from_secs(60))).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), feed).await.expect("the log is followed after recovery").unwrap();
}

#[tokio::test]
async fn frozen_server_is_error_soon_and_resumed_one_works() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    let feed = tokio::spawn(follow(store.clone()));
    server.freeze();
    // Long enough for the connection to time out, and for attempts to reconnect.
    for _ in 0..3 {
        every_step_fails_soon(&store).await;
    }
    server.thaw();
    recovers(&store).await;
    store.end(&EndSessions::new(user(), WhichSessions::All, Duration::from_secs(60))).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), feed).await.expect("the log is followed after recovery").unwrap();
}

/// A rotation that failed with 503 must not be applied when the server resumes, or the retry of a client after the
/// replay window is taken for reuse.
#[tokio::test]
async fn timed_out_rotation_is_not_applied_later() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let first_rotation = |session| {
        let attempt = RefreshAttempt::new(
            1,
            Timestamp::from_secs(9_999_999_999),
            ReplayWindow::default(),
            Duration::from_secs(3600),
        );
        RotateSession::new(user(), session, attempt, Duration::from_secs(60))
    };
    store.create(&new_session(1)).await.unwrap();
    store.create(&new_session(2)).await.unwrap();
    // Loads the script: otherwise, it would have to be sent again.
    store.rotate(&first_rotation(id(2))).await.unwrap();
    server.freeze();
    fails_soon(store.rotate(&first_rotation(id(1)))).await;
    server.thaw();
    recovers(&store).await;
    assert_eq!(store.find(&user(), id(1)).await.unwrap().unwrap().record.generation, 1);
}

#[tokio::test]
async fn concurrent_steps_fail_soon_during_outage() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    server.freeze();
    let steps: Vec<_> = (0..500)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { fails_soon(store.find(&user(), id(1))).await })
        })
        .collect();
    for step in steps {
        step.await.unwrap();
    }
    server.thaw();
}

/// Sends steps until the connection times out, and then until the server is back.
async fn times_out_under_load(data: &[u8]) {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    server.freeze();
    let deadline = Instant::now() + Duration::from_secs(20);
    let put = PutData::new(user(), id(1), 0, data.to_vec());
    loop {
        let begun = Instant::now();
        fails_soon(async { tokio::try_join!(store.put_data(&put), store.put_data(&put), store.put_data(&put)) }).await;
        if begun.elapsed() < Duration::from_millis(100) {
            break;
        }
        assert!(Instant::now() < deadline, "the connection does not time out");
    }
    server.thaw();
    recovers(&store).await;
}

/// fred itself detects unresponsive servers only between rare commands.
#[tokio::test]
async fn frozen_server_under_load_times_out() {
    times_out_under_load(b"data").await;
}

/// fred then waits to write, and does not read.
#[tokio::test]
async fn frozen_server_with_full_connection_times_out() {
    times_out_under_load(&vec![7; 1_000_000]).await;
}

#[tokio::test]
async fn connections_close_with_store() {
    let server = RedisServer::start();
    let raw = super::redis::Raw::connect(&server).await;
    let clients = async || {
        let clients = raw.command("CLIENT", &["LIST"]).await.as_string().expect("a list");
        clients.lines().count()
    };
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.read_log(LogPosition::START, Duration::from_millis(1)).await.unwrap();
    assert_eq!(clients().await, 3, "one of this test, one for steps, one for the log");
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(20);
    while clients().await > 1 {
        assert!(Instant::now() < deadline, "connections are left");
        tokio::task::yield_now().await;
    }
}

/// Returns a counter of the server.
async fn counter(raw: &Raw, name: &str) -> u32 {
    let info = raw.command("INFO", &[]).await.as_string().expect("a text");
    let line =
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a counter of this name");
    line.parse().expect("a number")
}

/// Also when a manager is dropped, or an application stops reading. fred itself would retry without limit.
#[tokio::test]
async fn dropped_connection_attempt_leaves_no_connection() {
    let server = RedisServer::start();
    let raw = Raw::connect(&server).await;
    let (url, before) = (server.url(), counter(&raw, "total_connections_received").await);
    let store = RedisStore::connect(&url).await.unwrap();
    assert!(futures_util::poll!(pin!(store.read_log(LogPosition::START, SOON))).is_pending());
    assert!(futures_util::poll!(pin!(RedisStore::connect(&url))).is_pending());
    let deadline = Instant::now() + Duration::from_secs(20);
    while counter(&raw, "total_connections_received").await < before + 3 {
        assert!(Instant::now() < deadline, "nothing connects");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(store);
    while counter(&raw, "connected_clients").await > 1 {
        assert!(Instant::now() < deadline, "connections are left");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One address for a server and its replica, as after a failover that closed no connection.
#[tokio::test]
async fn read_only_server_is_reconnected() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let behind = Arc::new(AtomicU16::new(old.port()));
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("redis://{}", address.local_addr().unwrap());
    let relay = tokio::spawn({
        let behind = Arc::clone(&behind);
        async move {
            while let Ok((mut here, _)) = address.accept().await {
                let mut there =
                    TcpStream::connect((Ipv4Addr::LOCALHOST, behind.load(Ordering::Relaxed))).await.unwrap();
                tokio::spawn(async move { copy_bidirectional(&mut here, &mut there).await });
            }
        }
    });
    let store = RedisStore::connect(&url).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    let port = new.port().to_string();
    let raw = Raw::connect(&old).await;
    raw.command("REPLICAOF", &["127.0.0.1", &port]).await;
    let before = counter(&raw, "total_connections_received").await;
    let mut refused = 0;
    while refused < 20 {
        let error = fails_soon(store.create(&new_session(2))).await;
        refused += u32::from(chain(&error).contains("READONLY"));
        tokio::task::yield_now().await;
    }
    let made = counter(&raw, "total_connections_received").await - before;
    assert!(made < 5, "{made} connections for {refused} refusals");
    behind.store(new.port(), Ordering::Relaxed);
    recovers(&store).await;
    relay.abort();
}

/// Sessions must end, and reuse must end them, also when the server accepts no new data.
#[tokio::test]
async fn sessions_end_when_memory_is_full() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    store.create(&new_session(2)).await.unwrap();
    let raw = Raw::connect(&server).await;
    // An entry of another program, without a retention.
    raw.command("XADD", &["sessions:log", "*", "junk", "1"]).await;
    // Less than any server uses.
    raw.command("CONFIG", &["SET", "maxmemory", "1"]).await;
    store.create(&new_session(3)).await.unwrap_err();

    let end = |which| EndSessions::new(user(), which, Duration::from_secs(60));
    assert_eq!(store.end(&end(WhichSessions::One(id(1)))).await.unwrap(), [id(1)]);
    assert!(store.end(&end(WhichSessions::Proven(id(7)))).await.unwrap().is_empty());
    assert_eq!(store.end(&end(WhichSessions::All)).await.unwrap(), [id(2)]);
    let page = store.read_log(LogPosition::START, Duration::ZERO).await.unwrap();
    assert_eq!(page.entries.len(), 3);
}
