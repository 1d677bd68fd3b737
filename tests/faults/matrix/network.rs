//! A network that delays, cuts and loses.

use tokio::time::sleep;

use crate::{
    scene::{Scene, length},
    support::{
        RedisServer, millis,
        proxy::{Network, Proxy},
    },
};

async fn network(fault: Network) {
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let scene = Scene::begin(&proxy.url()).await;
    scene
        .during(async {
            proxy.set(fault);
            sleep(length(millis(1_000))).await;
            proxy.set(Network::Works);
        })
        .await;
    scene.ends().await;
}

#[tokio::test]
async fn replies_150_ms_later() {
    network(Network::Late(millis(150))).await;
}

#[tokio::test]
async fn jitter() {
    network(Network::Jitters(millis(300))).await;
}

#[tokio::test]
async fn trickle() {
    network(Network::Trickles).await;
}

#[tokio::test]
async fn stalled_replies() {
    network(Network::Holds).await;
}

#[tokio::test]
async fn lost_replies() {
    network(Network::Loses(10)).await;
}

#[tokio::test]
async fn reset_in_the_middle() {
    network(Network::Cuts(10)).await;
}

#[tokio::test]
async fn half_open() {
    network(Network::IsSilent).await;
}
