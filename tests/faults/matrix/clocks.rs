//! Clocks that are wrong, and are corrected.

use tokio::time::sleep;
use tower_jwt_sessions::redis::RedisStore;

use crate::{
    scene::{Scene, SetClock, length},
    support::{RedisServer, millis},
};

const MINUTE: i64 = 60_000;
const AHEAD: &str = "clock of the session store is ahead of the clock of this node";
const BEHIND: &str = "clock of the session store is behind the clock of this node";

/// Sets the clock of one of the nodes.
async fn node(by_millis: i64, log: &'static str) {
    let server = RedisServer::start();
    let scene = Scene::begin(&server.url()).await.logs(log);
    scene
        .during(async {
            scene.clocks[1].set(by_millis);
            sleep(length(millis(300))).await;
            scene.has_logged().await;
            scene.clocks[1].set(0);
        })
        .await;
    scene.ends().await;
}

/// Sets the clock of the server.
async fn server(by_millis: i64, log: &'static str) {
    let server = RedisServer::start();
    let clock = SetClock::default();
    let connect = async || RedisStore::connect(&server.url()).await.expect("the server runs").with_clock(clock.clone());
    let scene = Scene::on([connect().await, connect().await]).await.logs(log);
    scene
        .during(async {
            clock.set(by_millis);
            sleep(length(millis(300))).await;
            scene.has_logged().await;
            clock.set(0);
        })
        .await;
    scene.ends().await;
}

#[tokio::test]
async fn node_within_the_allowed_skew() {
    node(-50_000, "").await;
}

#[tokio::test]
async fn node_ahead() {
    node(10 * MINUTE, BEHIND).await;
}

#[tokio::test]
async fn node_behind() {
    node(-10 * MINUTE, AHEAD).await;
}

#[tokio::test]
async fn server_ahead() {
    server(10 * MINUTE, AHEAD).await;
}

#[tokio::test]
async fn server_behind() {
    server(-10 * MINUTE, BEHIND).await;
}
