//! A master that crashes, and a replica that takes its place at the same address.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    scene::Scene,
    support::{
        RedisServer,
        admin::{admin, command, follows},
        millis,
        proxy::{Network, Proxy},
        redis_server::COPIED_AT_ONCE,
        seconds,
    },
};

/// Kills the master, and promotes a replica that is behind by this much.
async fn promoted(lag: Duration) {
    let start = || RedisServer::start_with(&COPIED_AT_ONCE);
    let (mut master, replica) = (start(), start());
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
