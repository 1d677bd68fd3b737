//! Outages of the log, and recovery.

use std::time::Duration;

use axum_core::extract::FromRequestParts as _;
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value},
};
use http::Request;
use tower_jwt_sessions::{
    PresentedTokens, SessionManager,
    auth::VerifyError,
    clock::{Clock as _, SystemClock},
    revocation::StalePolicy,
    store::Revocation,
    testing::TestClock,
};

pub(crate) use crate::support::admin::{admin, command};
use crate::support::{
    nodes::{
        PATIENCE, accepts, becomes, browser, is_stale, is_up_to_date, node, redis_node, redis_store, refuses_soon, soon,
    },
    redis_server::{self, RedisServer},
};

pub(crate) async fn node_on(server: &RedisServer) -> SessionManager {
    let node = node(redis_store(&server.url(), "").await).build().unwrap();
    node.revocation_feed().caught_up().await;
    node
}

/// Closes the connections that wait for the log, and returns their number.
pub(crate) async fn kill_feeds(killer: &Client) -> usize {
    let clients = command(killer, "CLIENT", &["LIST"]).await.into_string().unwrap();
    let feeds: Vec<&str> = clients.lines().filter(|line| line.contains("cmd=xread")).collect();
    for line in &feeds {
        let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
        command(killer, "CLIENT", &["KILL", "ID", id]).await;
    }
    feeds.len()
}

#[tokio::test]
async fn killed_feed_connection_loses_no_revocation() {
    const KILLS: usize = 50;
    const REVOCATIONS: usize = 1_000;
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let killer = admin(&server.url()).await;
    for batch in 0..KILLS {
        let mut browsers = Vec::new();
        for user in 0..REVOCATIONS / KILLS {
            browsers.push(browser(here.login(format!("{batch}-{user}")).await.unwrap()));
        }
        kill_feeds(&killer).await;
        for user in 0..REVOCATIONS / KILLS {
            assert_eq!(here.end_all(format!("{batch}-{user}")).await.unwrap(), 1);
        }
        for headers in &browsers {
            refuses_soon(&there, headers).await;
        }
    }
}

#[tokio::test]
async fn emptied_log_keeps_known_revocations() {
    let mut server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let ended = browser(here.login("alice").await.unwrap());
    let alive = browser(here.login("bob").await.unwrap());
    here.end_all("alice").await.unwrap();
    refuses_soon(&there, &ended).await;

    server.restart();
    becomes(&there, is_up_to_date).await;
    assert!(!accepts(&there, &ended), "a known revocation is lost");
    assert!(accepts(&there, &alive), "a valid token is refused");
    // The feed follows the new log.
    soon("the node reconnects", || {
        here.revocation_feed().status() == tower_jwt_sessions::revocation::FeedStatus::UpToDate
    })
    .await;
    let fresh = loop {
        match here.login("carol").await {
            Ok(cookies) => break browser(cookies),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    here.end_all("carol").await.unwrap();
    refuses_soon(&there, &fresh).await;
}

/// An older log, as after a failover that closed no connection: its entries are before those that were read last, so
/// nothing wakes the feed.
#[tokio::test]
async fn log_that_went_backwards_is_read_again() {
    let server = RedisServer::start();
    let there = node_on(&server).await;
    let [known, unknown] =
        [there.login("alice").await, there.login("bob").await].map(|cookies| browser(cookies.unwrap()));
    let id = there.verifier().verify(&unknown).unwrap().id();
    there.end_all("alice").await.unwrap();
    let redis = admin(&server.url()).await;
    command(&redis, "DEL", &["sessions:log"]).await;
    let a_minute_ago = SystemClock.now().saturating_sub(Duration::from_secs(60));
    let entry = [id.as_bytes().as_slice(), &Revocation::ENDED.to_be_bytes()].concat();
    let args = ["sessions:log".into(), format!("{}-0", a_minute_ago.as_millis()).into(), "r".into(), entry[..].into()];
    let add = CustomCommand::new_static("XADD", ClusterHash::FirstKey, false);
    let _position: Value = redis.custom(add, Vec::<Value>::from(args)).await.unwrap();
    refuses_soon(&there, &unknown).await;
    assert!(!accepts(&there, &known), "a known revocation is lost");
}

#[tokio::test]
async fn entries_published_during_feed_outage_are_read_afterwards() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let headers = browser(here.login("alice").await.unwrap());
    // The paused server keeps commands, and runs them when it resumes.
    server.freeze();
    becomes(&there, is_stale).await;
    assert!(accepts(&there, &headers));
    let failed = here.logout(&here.verifier().present(&headers)).await.unwrap_err();
    assert_eq!(failed.kind(), tower_jwt_sessions::error::ErrorKind::Store);
    assert!(!accepts(&here, &headers), "the node itself refuses it, although the store failed");
    server.thaw();
    becomes(&there, is_up_to_date).await;
    soon("the logout can be repeated", || {
        here.revocation_feed().status() == tower_jwt_sessions::revocation::FeedStatus::UpToDate
    })
    .await;
    loop {
        match here.logout(&here.verifier().present(&headers)).await {
            Ok(_) => break,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    refuses_soon(&there, &headers).await;
}

#[tokio::test]
async fn stale_layer_fails_closed_when_configured() {
    let mut server = RedisServer::start();
    let there = node_on(&server).await;
    let headers = browser(there.login("alice").await.unwrap());
    let strict = there.verifier().clone().when_stale(StalePolicy::FailClosedAfter(Duration::ZERO));
    let patient = there.verifier().clone().when_stale(StalePolicy::FailClosedAfter(Duration::from_secs(3600)));
    // A middleware between that layer and an extractor takes so long that the server stops meanwhile.
    let mut late = Request::builder().extension(strict.verify(&headers).unwrap()).body(()).unwrap().into_parts().0;
    late.headers = headers.clone();

    server.kill();
    becomes(&there, is_stale).await;
    assert_eq!(strict.verify(&headers).unwrap_err(), VerifyError::RevocationsUnknown);
    assert!(patient.verify(&headers).is_ok());
    let Ok(presented) = PresentedTokens::<()>::from_request_parts(&mut late, &()).await else { panic!("no layer") };
    assert!(presented.session().is_none() && presented.has_refresh_token());
    assert!(accepts(&there, &headers), "the default keeps serving");
    // Responses without a session do not change.
    assert_eq!(strict.verify(&http::HeaderMap::new()).unwrap_err(), VerifyError::NoCredentials);

    server.restart();
    becomes(&there, is_up_to_date).await;
    assert!(strict.verify(&headers).is_ok());
}

#[tokio::test]
async fn node_serves_sessions_only_after_catching_up() {
    let server = RedisServer::start();
    let here = node_on(&server).await;
    let headers = browser(here.login("alice").await.unwrap());
    let stores = (redis_store(&server.url(), "").await, redis_store(&server.url(), "").await);
    server.freeze();
    let late = node(stores.0).build().unwrap();
    let early = node(stores.1).serve_before_catch_up().build().unwrap();
    assert_eq!(late.verifier().verify(&headers).unwrap_err(), VerifyError::RevocationsUnknown);
    assert!(accepts(&early, &headers));
    server.thaw();
    late.revocation_feed().caught_up().await;
    assert!(accepts(&late, &headers));
}

#[tokio::test]
async fn follower_stops_with_last_verifier() {
    let server = RedisServer::start();
    let watcher = admin(&server.url()).await;
    let followers = async || {
        let clients = command(&watcher, "CLIENT", &["LIST"]).await.into_string().unwrap();
        clients.lines().filter(|line| line.contains("cmd=xread")).count()
    };
    let wait_for = async |expected: usize| {
        for _ in 0..5_000 {
            if followers().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("{} followers, not {expected}", followers().await);
    };
    let node = node_on(&server).await;
    wait_for(1).await;
    let layer = node.layer();
    drop(node);
    wait_for(1).await;
    drop(layer);
    wait_for(0).await;
}

#[tokio::test]
async fn verified_requests_send_nothing_to_redis() {
    let server = RedisServer::start();
    let node = node_on(&server).await;
    let headers = browser(node.login("alice").await.unwrap());
    let stats = admin(&server.url()).await;
    let commands = async || {
        let stats = command(&stats, "INFO", &["commandstats"]).await.into_string().unwrap();
        // Every command but those of the feed, this one, and the one that keeps an idle connection in use.
        let others = stats.lines().filter(|line| {
            let own = ["xread", "xinfo", "info", "cmdstat_time:"];
            line.starts_with("cmdstat_") && !own.iter().any(|own| line.contains(own))
        });
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = commands().await;
    for _ in 0..10_000 {
        assert!(accepts(&node, &headers));
    }
    assert_eq!(before, commands().await);
}

#[tokio::test]
async fn first_use_of_generation_is_one_command_per_node() {
    let server = RedisServer::start();
    let clock = TestClock::new();
    let node_at = async || {
        let store = redis_store(&server.url(), "").await.with_clock(clock.clone());
        let node = node(store).clock(clock.clone()).build().unwrap();
        node.revocation_feed().caught_up().await;
        node
    };
    let (here, there) = (node_at().await, node_at().await);
    let stats = admin(&server.url()).await;
    let scripts = async || {
        let stats = command(&stats, "INFO", &["commandstats"]).await.into_string().unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
        line.split(',').next().unwrap().parse::<usize>().unwrap()
    };
    let mut headers = browser(here.login("alice").await.unwrap());
    for generation in 2..5 {
        headers = browser(here.refresh(&here.verifier().present(&headers)).await.unwrap());
        let before = scripts().await;
        for _ in 0..1_000 {
            assert!(accepts(&here, &headers) && accepts(&there, &headers));
        }
        let deadline = std::time::Instant::now() + PATIENCE;
        while scripts().await < before + 2 {
            assert!(std::time::Instant::now() < deadline, "generation {generation} is never noted");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Sent after all other commands of the nodes.
        let _list = here.list("alice").await.unwrap();
        assert_eq!(scripts().await, before + 3);
        clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn log_is_bounded_by_age() {
    let (server, prefix) = redis_server::shared();
    let node = redis_node(&prefix).await;
    let _cookies = node.login("alice").await.unwrap();
    node.end_all("alice").await.unwrap();
    let admin = admin(&server.url()).await;
    let ttl = command(&admin, "PTTL", &[&format!("{prefix}sessions:log")]).await.as_i64().unwrap();
    // The access lifetime plus two minutes.
    assert!((3_700_000..=3_720_000).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn open_connection_checks_store_after_gap() {
    let mut server = RedisServer::start();
    let there = node_on(&server).await;
    let headers = browser(there.login("alice").await.unwrap());
    let mut ended = there.verifier().verify(&headers).unwrap().ended();
    // All data is lost, so the log will not have the end.
    server.kill();
    becomes(&there, is_stale).await;
    assert!(futures_util::poll!(&mut ended).is_pending(), "ended by an outage");
    server.restart();
    tokio::time::timeout(PATIENCE, ended).await.expect("the store has no such session");
    assert!(accepts(&there, &headers), "a valid token is refused");
}
