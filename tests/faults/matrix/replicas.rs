//! A master that crashes, and a replica that takes its place at the same address.

use std::time::Duration;

use fred::clients::Client;
use tokio::time::{Instant, sleep};

use crate::{
    scene::Scene,
    support::{
        RedisServer,
        admin::{admin, command},
        millis,
        nodes::PATIENCE,
        proxy::{Network, Proxy},
        seconds,
    },
};

/// Makes a server the replica of another one, and waits until it follows.
pub(crate) async fn follows(replica: &Client, master: u16) {
    command(replica, "REPLICAOF", &["127.0.0.1", &master.to_string()]).await;
    let begun = Instant::now();
    loop {
        let info = command(replica, "INFO", &["replication"]).await.into_string().expect("a text");
        if info.contains("master_link_status:up") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the replica does not follow: {info}");
        sleep(millis(20)).await;
    }
}

/// Kills the master, and promotes a replica that is behind by this much.
async fn promoted(lag: Duration) {
    let (mut master, replica) = (RedisServer::start(), RedisServer::start());
    let between = Proxy::before(master.port()).await;
    let address = Proxy::before(master.port()).await;
    let operator = admin(&replica.url()).await;
    follows(&operator, between.port()).await;
    let scene = Scene::begin(&address.url()).await;
    if !lag.is_zero() {
        between.set(Network::Late(lag));
        sleep(lag + millis(500)).await;
    }
    scene
        .during(async {
            master.kill();
            command(&operator, "REPLICAOF", &["NO", "ONE"]).await;
            address.lead_to(replica.port());
            sleep(millis(200)).await;
        })
        .await;
    scene.ends().await;
}

/// The replica has no script of the crate, since replicas do not run scripts.
#[tokio::test]
async fn replica_promoted() {
    promoted(Duration::ZERO).await;
}

#[tokio::test]
async fn replica_behind_promoted() {
    promoted(seconds(1)).await;
}
