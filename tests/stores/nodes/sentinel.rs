//! Redis Sentinel: nodes follow the master.

#![allow(clippy::print_stdout, reason = "what it measures belongs to its output")]

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, config::Config},
};
use tower_jwt_sessions::{SessionManager, error::ConfigErrorKind, redis::RedisStore};

use crate::{
    nodes::outages::{admin, command},
    support::{
        nodes::{PATIENCE, becomes, browser, is_up_to_date, node, refuses_soon, soon_works},
        redis_server::RedisServer,
        sentinel::{Sentinel, Watched},
    },
};

/// Whether the replica is the master, and runs scripts. Its connections are closed when it is promoted.
async fn is_replica_in_use(watched: &Watched) -> bool {
    let client = Client::new(Config::from_url(&watched.replica.url()).unwrap(), None, None, None);
    let all = CustomCommand::new_static("INFO", ClusterHash::FirstKey, false);
    let asked = async {
        client.init().await?;
        client.custom::<String, _>(all, vec!["all"]).await
    };
    // The client waits for ever for the reply to a command that was sent when its connection was closed.
    let info = tokio::time::timeout(Duration::from_secs(1), asked).await;
    matches!(info, Ok(Ok(info)) if info.contains("role:master") && info.contains("cmdstat_evalsha"))
}

/// Logs users in until the new master runs the scripts of the node, and returns for how long the old master accepted
/// logins that the new one does not have, and their number.
async fn lost_logins(watched: &Watched, here: &SessionManager) -> (Duration, usize) {
    let mut logins = Vec::new();
    watched.fail_over().await;
    let deadline = Instant::now() + PATIENCE;
    for user in 0.. {
        assert!(Instant::now() < deadline, "the node has not moved to the new master");
        if here.login(user).await.is_ok() {
            logins.push((user, Instant::now()));
            if is_replica_in_use(watched).await {
                break;
            }
        } else {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let mut lost = Vec::new();
    for (user, at) in &logins {
        if here.list(*user).await.unwrap().is_empty() {
            lost.push(*at);
        }
    }
    let span = lost.last().zip(lost.first()).map_or(Duration::ZERO, |(last, first)| *last - *first);
    println!("{} of {} logins lost, within {span:?}", lost.len(), logins.len());
    (span, lost.len())
}

async fn node_of(watched: &Watched) -> SessionManager {
    let store = RedisStore::connect(&watched.sentinel.url()).await.unwrap();
    let node = node(store).build().unwrap();
    node.revocation_feed().caught_up().await;
    node
}

#[tokio::test]
async fn failover_moves_nodes_within_seconds() {
    let watched = Watched::start().await;
    let (here, there) = (node_of(&watched).await, node_of(&watched).await);
    let (span, _) = lost_logins(&watched, &here).await;
    // The old master accepts them for some ten seconds.
    assert!(span < Duration::from_secs(5), "logins are lost for {span:?}");
    // Both nodes follow the log there.
    let headers = browser(here.login("alice").await.unwrap());
    becomes(&there, is_up_to_date).await;
    here.end_all("alice").await.unwrap();
    refuses_soon(&there, &headers).await;
}

/// The recipe of the documentation.
#[tokio::test]
async fn master_that_requires_a_replica_loses_no_logins() {
    let watched = Watched::start_with(&["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"]).await;
    let here = node_of(&watched).await;
    let (span, lost) = lost_logins(&watched, &here).await;
    let admin = admin(&watched.replica.url()).await;
    let server = command(&admin, "INFO", &["server"]).await.into_string().unwrap();
    if server.contains("redis_version:6.") {
        // It does not apply the settings to scripts.
        assert!(span < Duration::from_secs(5), "logins are lost for {span:?}");
    } else {
        // At most the one that was on its way to the replica.
        assert!(lost <= 1, "{lost} logins lost");
    }
}

#[tokio::test]
async fn killed_master_is_replaced_without_restart() {
    let mut watched = Watched::start().await;
    let here = node_of(&watched).await;
    let headers = browser(here.login("alice").await.unwrap());
    let at_master = admin(&watched.master.url()).await;
    command(&at_master, "WAIT", &["1", "0"]).await;
    watched.master.kill();
    soon_works(async || here.login("bob").await.is_ok()).await;
    let _cookies = here.refresh(&here.verifier().present(&headers)).await.unwrap();
    becomes(&here, is_up_to_date).await;
}

#[tokio::test]
async fn sentinels_may_start_later_and_have_a_password_of_their_own() {
    let server = RedisServer::start();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dead = free.local_addr().unwrap().port();
    drop(free);
    let sentinel = Sentinel::of(server.port(), "requirepass secret");
    let url = format!("redis-sentinel://127.0.0.1:{dead}?node=127.0.0.1:{}&sentinelServiceName=main", sentinel.port);
    let right = format!("{url}&sentinelPassword=secret");
    let here = node(RedisStore::connect_in_background(&right).unwrap()).build().unwrap();
    tokio::time::timeout(PATIENCE, here.revocation_feed().caught_up()).await.unwrap();
    let _cookies = here.login("alice").await.unwrap();
    let _store = RedisStore::connect(&right).await.unwrap();

    for (url, expected) in [
        (url.clone(), "NOAUTH"),
        (format!("redis-sentinel://127.0.0.1:{dead}?sentinelServiceName=main"), "refused"),
        (right.replace("=main", "=other"), "sentinel monitor"),
    ] {
        let error = RedisStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{url}");
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for invalid in [
        "127.0.0.1:1",
        "127.0.0.1:1?sentinelServiceName=",
        "host?sentinelServiceName=x",
        "h:1?node=x&sentinelServiceName=x",
        "h:1?a=b&sentinelServiceName=x",
    ] {
        let error = RedisStore::connect(&format!("redis-sentinel://:secret@{invalid}")).await.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidStore, "{invalid}");
        assert!(
            error.to_string().contains("sentinelServiceName=name") && !error.to_string().contains("secret"),
            "{error}"
        );
    }
}
