//! A server that stops, crashes, or loses what it had.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    scene::{Scene, length},
    support::{RedisServer, folder::Folder, millis},
};

/// Runs what blocks, such as the start of a server, beside the load.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

async fn killed_for(mut server: RedisServer, time: Duration) -> RedisServer {
    server.kill();
    sleep(time).await;
    aside(move || {
        server.restart();
        server
    })
    .await
}

#[tokio::test]
async fn killed_with_every_write_on_disk() {
    let folder = Folder::new();
    let path = folder.join("");
    let path = path.to_str().expect("a plain name");
    let server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always", "--dir", path]);
    let scene = Scene::begin(&server.url()).await;
    let _server = scene.during(killed_for(server, length(millis(600)))).await;
    scene.ends().await;
}

#[tokio::test]
async fn killed_with_nothing_on_disk() {
    let server = RedisServer::start();
    let scene = Scene::begin(&server.url()).await;
    let _server = scene.during(killed_for(server, length(millis(600)))).await;
    scene.ends().await;
}

#[tokio::test]
async fn suspended() {
    let server = RedisServer::start();
    let scene = Scene::begin(&server.url()).await;
    scene
        .during(async {
            server.freeze();
            sleep(length(millis(1_000))).await;
            server.thaw();
        })
        .await;
    scene.ends().await;
}
