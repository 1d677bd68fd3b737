//! Connections that are closed again and again.

use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{log::Log, nodes::soon_works, redis_server::RedisServer},
};

/// Closes all connections but that of the caller, and returns their number.
async fn kill_all(killer: &fred::clients::Client) -> i64 {
    let killed = command(killer, "CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
    killed.as_i64().unwrap_or_default()
}

#[tokio::test]
async fn lines_are_bounded_while_connections_are_closed_again_and_again() {
    const KILLS: usize = 40;
    let server = RedisServer::start();
    let node = node_on(&server).await;
    let killer = admin(&server.url()).await;
    Log::capture(LevelFilter::INFO);
    for _ in 0..KILLS {
        soon_works(async || node.expire_access("alice").await.is_ok()).await;
        // The connection of the steps, and most often that of the log.
        assert!(kill_all(&killer).await >= 1);
    }
    soon_works(async || node.expire_access("alice").await.is_ok()).await;
    let log = Log::captured();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    // Two kinds of errors, such as a connection that was closed, and one that was refused.
    assert!((1..=10).contains(&count("no connection to Redis")), "{log}");
    assert!((1..=10).contains(&count("connected to Redis")), "{log}");
    assert!((1..=5).contains(&count("revocation log unavailable")), "{log}");
    assert!(count("revocation log recovered") <= 5, "{log}");
    assert!(log.lines().count() <= 35, "{log}");
    // A node whose log is quiet tells so at its next outage.
    assert!(count("unreported=0") >= 3, "{log}");
}
