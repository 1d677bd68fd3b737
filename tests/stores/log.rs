//! Loss and replacement of the revocation log while it is read.

use std::time::{Duration, Instant};

use tower_jwt_sessions::{
    redis::RedisStore,
    store::{EndSessions, LogPosition, SessionStore as _, WhichSessions},
};

use super::redis::{Raw, id, new_session, user};
use crate::support::redis_server::RedisServer;

const LOG: &str = "sessions:log";
const HOUR: Duration = Duration::from_secs(3600);

/// Returns a server with one entry in the log, and the position of the entry.
async fn with_an_entry() -> (RedisServer, RedisStore, Raw, LogPosition) {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let raw = Raw::connect(&server).await;
    let newest = end(&store, 1).await;
    (server, store, raw, newest)
}

/// Ends a session, and returns the position of its entry.
async fn end(store: &RedisStore, n: u8) -> LogPosition {
    store.create(&new_session(n)).await.unwrap();
    store.end(&EndSessions::new(user(), WhichSessions::One(id(n)), HOUR)).await.unwrap();
    store.read_log(LogPosition::START, Duration::ZERO).await.unwrap().newest
}

/// Replaces the log by an older, shorter one with one entry.
async fn replace(raw: &Raw) {
    raw.command("DEL", &[LOG]).await;
    raw.command("XADD", &[LOG, "5-0", "r", "0123456789abcdef\u{1}\u{1}\u{1}\u{1}"]).await;
}

/// Returns the number of connections that wait for the log.
async fn waiting(raw: &Raw) -> usize {
    let clients = raw.command("CLIENT", &["LIST"]).await.into_string().expect("a list");
    clients.lines().filter(|line| line.contains(" flags=b ")).count()
}

async fn until(raw: &Raw, expected: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while waiting(raw).await != expected {
        assert!(Instant::now() < deadline, "{} readers wait, not {expected}", waiting(raw).await);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn shortened_log_is_reported_at_once() {
    let (_server, store, raw, newest) = with_an_entry().await;
    replace(&raw).await;
    let page = store.read_log(newest, HOUR).await.unwrap();
    assert_eq!((page.entries.len(), page.newest), (0, LogPosition::new(5, 0)));
    // The next read was already sent: the server must not keep it waiting.
    until(&raw, 0).await;
    assert_eq!(store.read_log(LogPosition::START, HOUR).await.unwrap().entries.len(), 1);
    let newest = end(&store, 2).await;
    assert_eq!(store.read_log(LogPosition::new(5, 0), HOUR).await.unwrap().newest, newest);
}

/// Nothing wakes the reader, since new entries are before its position. The next read returns them.
#[tokio::test]
async fn log_replaced_under_reader_is_noticed_after_wait() {
    let (_server, store, raw, newest) = with_an_entry().await;
    let wait = Duration::from_millis(300);
    let reader = tokio::spawn({
        let store = store.clone();
        async move { store.read_log(newest, wait).await.unwrap() }
    });
    until(&raw, 1).await;
    replace(&raw).await;
    let page = reader.await.unwrap();
    assert_eq!((page.entries.len(), page.newest), (0, newest), "the state when the wait began");
    assert_eq!(store.read_log(newest, HOUR).await.unwrap().newest, LogPosition::new(5, 0));
}

/// A log that is lost and restarted at the server's time wakes the reader: its first entry is after the last one read.
#[tokio::test]
async fn entry_published_after_log_loss_arrives_at_once() {
    let (_server, store, raw, newest) = with_an_entry().await;
    let reader = tokio::spawn({
        let store = store.clone();
        async move { store.read_log(newest, HOUR).await.unwrap() }
    });
    until(&raw, 1).await;
    raw.command("DEL", &[LOG]).await;
    let next = end(&store, 2).await;
    let page = tokio::time::timeout(Duration::from_secs(20), reader).await.expect("the reader wakes").unwrap();
    assert_eq!((page.entries.len(), page.newest), (1, next));
}
