//! A server that refuses: its memory is full, it is a replica, it was told so by an operator.

use std::{future::Future, time::Duration};

use fred::clients::Client;
use tokio::time::{Instant, sleep};

use crate::{
    scene::{Scene, length},
    support::{
        RedisServer,
        admin::{admin, command},
        millis,
    },
};

/// Runs a row in which an operator types commands.
async fn row(fault: impl AsyncFnOnce(&Client, Duration)) {
    let server = RedisServer::start();
    let admin = admin(&server.url()).await;
    let scene = Scene::begin(&server.url()).await;
    scene.during(fault(&admin, length(millis(800)))).await;
    scene.ends().await;
}

async fn every<F: Future>(pause: Duration, time: Duration, mut work: impl FnMut() -> F) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        work().await;
        sleep(pause).await;
    }
}

/// Closes all connections but that of the operator.
async fn close_connections(admin: &Client) {
    command(admin, "CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
}

#[tokio::test]
async fn memory_full() {
    row(async |admin, time| {
        command(admin, "CONFIG", &["SET", "maxmemory", "1mb"]).await;
        sleep(time).await;
        command(admin, "CONFIG", &["SET", "maxmemory", "0"]).await;
    })
    .await;
}

#[tokio::test]
async fn read_only() {
    row(async |admin, time| {
        // Of a master that cannot be reached, so that it keeps its data.
        command(admin, "REPLICAOF", &["127.0.0.1", "1"]).await;
        sleep(time).await;
        command(admin, "REPLICAOF", &["NO", "ONE"]).await;
    })
    .await;
}

#[tokio::test]
async fn scripts_flushed() {
    row(async |admin, time| every(millis(5), time, || command(admin, "SCRIPT", &["FLUSH"])).await).await;
}

#[tokio::test]
async fn connections_closed_again_and_again() {
    row(async |admin, time| every(millis(150), time, || close_connections(admin)).await).await;
}

#[tokio::test]
async fn too_many_clients() {
    row(async |admin, time| {
        command(admin, "CONFIG", &["SET", "maxclients", "1"]).await;
        close_connections(admin).await;
        sleep(time).await;
        command(admin, "CONFIG", &["SET", "maxclients", "100"]).await;
    })
    .await;
}

#[tokio::test]
async fn password_changed() {
    row(async |admin, time| {
        command(admin, "CONFIG", &["SET", "requirepass", "another"]).await;
        close_connections(admin).await;
        sleep(time).await;
        command(admin, "CONFIG", &["SET", "requirepass", ""]).await;
    })
    .await;
}

#[tokio::test]
async fn scripts_forbidden() {
    row(async |admin, time| {
        command(admin, "ACL", &["SETUSER", "default", "-evalsha", "-eval"]).await;
        sleep(time).await;
        command(admin, "ACL", &["SETUSER", "default", "+@all"]).await;
    })
    .await;
}

#[tokio::test]
async fn log_forbidden() {
    row(async |admin, time| {
        command(admin, "ACL", &["SETUSER", "default", "-xread", "-xadd", "-xinfo"]).await;
        sleep(time).await;
        command(admin, "ACL", &["SETUSER", "default", "+@all"]).await;
    })
    .await;
}

#[tokio::test]
async fn all_data_deleted() {
    let server = RedisServer::start();
    let admin = admin(&server.url()).await;
    let scene = Scene::begin(&server.url()).await.logs("sessions lost");
    scene
        .during(async {
            command(&admin, "FLUSHALL", &[]).await;
            scene.goes_on(40).await;
            scene.has_logged().await;
        })
        .await;
    scene.ends().await;
}
