//! A store that lost its data, or whose clock is wrong: nothing fails, so nodes have to say it themselves.

use std::time::Duration;

use http::HeaderMap;
use tower_jwt_sessions::{
    MemoryStore, SessionManager, auth::VerifyError, clock::Clock as _, error::ErrorKind, testing::TestClock,
};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        log::Log,
        nodes::{becomes, browser, is_up_to_date, node, node_by_clock, refuses_soon, soon, soon_works},
        redis_server::RedisServer,
    },
};

const GONE: &str = "WARN tower_jwt_sessions: revocation log gone";
const LOST: &str = "WARN tower_jwt_sessions: sessions lost";
const BEHIND: &str = "WARN tower_jwt_sessions: clock of the session store is behind";
const AHEAD: &str = "WARN tower_jwt_sessions: clock of the session store is ahead";
const AGREE: &str = "INFO tower_jwt_sessions: clocks of the session store and this node agree again";

fn count(what: &str) -> usize {
    Log::so_far().lines().filter(|line| line.contains(what)).count()
}

async fn refresh(node: &SessionManager, headers: &HeaderMap) -> Result<HeaderMap, ErrorKind> {
    node.refresh(&node.verifier().present(headers)).await.map(browser).map_err(|error| error.kind())
}

#[tokio::test]
async fn flushed_store_is_reported() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let alice = browser(here.login("alice").await.unwrap());
    let bob = browser(here.login("bob").await.unwrap());
    here.end_all("bob").await.unwrap();
    refuses_soon(&there, &bob).await;
    Log::capture(LevelFilter::INFO);
    command(&admin(&server.url()).await, "FLUSHALL", &[]).await;
    // Two nodes, each once.
    soon("the lost log is reported", || count(GONE) == 2).await;

    assert_eq!(refresh(&there, &alice).await, Err(ErrorKind::InvalidRefreshToken));
    assert_eq!(refresh(&there, &bob).await, Err(ErrorKind::InvalidRefreshToken), "a session that ended is not lost");
    soon("the lost session is reported", || count(LOST) > 0).await;
    let log = Log::captured();
    assert!(log.lines().any(|line| line.contains(LOST) && line.contains("count=1")), "{log}");
    assert_eq!(log.matches(GONE).count(), 2, "{log}");
}

/// Redis without persistence, restarted.
#[tokio::test]
async fn restarted_empty_store_is_reported() {
    let mut server = RedisServer::start();
    let here = node_on(&server).await;
    let _ = here.login("bob").await.unwrap();
    here.end_all("bob").await.unwrap();
    Log::capture(LevelFilter::INFO);
    server.restart();
    soon("the lost log is reported", || count(GONE) == 1).await;
    becomes(&here, is_up_to_date).await;
    let _log = Log::captured();
}

/// What happens every day: logouts, also on the other node, sessions that expired, and a log that is old.
#[tokio::test]
async fn nothing_is_reported_where_nothing_was_lost() {
    let (server, clock) = (RedisServer::start(), TestClock::new());
    let (here, there) = (node_by_clock(&server.url(), &clock).await, node_by_clock(&server.url(), &clock).await);
    Log::capture(LevelFilter::INFO);
    let expired = browser(here.login("carol").await.unwrap());
    for user in 0..20 {
        let headers = browser(here.login(user).await.unwrap());
        // At once: the other node may not have read of it.
        let _removal = here.logout(&here.verifier().present(&headers)).await.unwrap();
        assert_eq!(refresh(&there, &headers).await, Err(ErrorKind::InvalidRefreshToken));
    }
    clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(refresh(&there, &expired).await, Err(ErrorKind::InvalidRefreshToken));
    // As when it has expired.
    command(&admin(&server.url()).await, "DEL", &["sessions:log"]).await;
    for user in 0..3 {
        let headers = browser(here.login(user).await.unwrap());
        here.end_all(user).await.unwrap();
        refuses_soon(&there, &headers).await;
        assert_eq!(refresh(&there, &headers).await, Err(ErrorKind::InvalidRefreshToken));
    }
    let log = Log::captured();
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn clocks_that_differ_are_reported_once_until_they_agree() {
    const TEN_MINUTES: Duration = Duration::from_secs(600);
    let clock = TestClock::new();
    let own = TestClock::at(clock.now());
    let store = MemoryStore::with_clock(clock.clone());
    let here = node(store).clock(own.clone()).access_lifetime(TEN_MINUTES).build().unwrap();
    // Each entry is a read of the log.
    let read = async |what: &str, times| {
        soon_works(async || {
            here.expire_access("carol").await.unwrap();
            let _ = here.login("bob").await;
            let _ = here.end_all("bob").await;
            count(what) >= times
        })
        .await;
    };
    Log::capture(LevelFilter::INFO);
    own.set(clock.now().saturating_add(TEN_MINUTES));
    read(BEHIND, 1).await;
    assert!(Log::so_far().lines().any(|line| line.contains(BEHIND) && line.contains("seconds=600")));
    // What the line says: tokens are born expired.
    let headers = browser(here.login("alice").await.unwrap());
    assert_eq!(here.verifier().verify(&headers).err(), Some(VerifyError::Expired));
    own.set(clock.now().saturating_add(Duration::from_secs(60)));
    read(AGREE, 1).await;
    own.set(clock.now().saturating_sub(TEN_MINUTES));
    read(AHEAD, 1).await;
    own.set(clock.now());
    read(AGREE, 2).await;
    assert_eq!((count(BEHIND), count(AHEAD), count(AGREE)), (1, 1, 2), "{}", Log::captured());
}
