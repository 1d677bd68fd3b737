//! A sentinel that fails over, with a client of the application.

use tokio::time::sleep;

use crate::{
    scene::Scene,
    support::{seconds, sentinel::Sentinel},
};

#[tokio::test]
async fn master_killed() {
    let mut sentinel = Sentinel::start(&[]).await;
    let scene = Scene::on([sentinel.store().await, sentinel.store().await]).await;
    scene
        .during(async {
            sentinel.servers[0].kill();
            sentinel.has_switched().await;
        })
        .await;
    scene.ends().await;
}

/// A master that no replica follows any more accepts no writes, which would be lost. Needs two replicas, or a promoted one
/// would accept none either.
const SAFE: [&str; 4] = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"];

/// The old master runs, and clients are connected to it until the sentinel makes it a replica, some ten seconds later.
#[tokio::test]
async fn failover_requested() {
    let sentinel = Sentinel::start(&SAFE).await;
    let scene = Scene::on([sentinel.store().await, sentinel.store().await]).await;
    scene
        .during(async {
            sentinel.fail_over().await;
            sentinel.has_switched().await;
            sleep(seconds(1)).await;
        })
        .await;
    sentinel.old_master_follows().await;
    scene.ends().await;
}
