//! A sentinel that fails over, with a client of the application.

use tokio::time::sleep;

use crate::{
    scene::Scene,
    support::{seconds, sentinel::Sentinel},
};

#[tokio::test]
async fn master_killed() {
    let mut sentinel = Sentinel::start().await;
    let scene = Scene::on([sentinel.store().await, sentinel.store().await]).await;
    scene
        .during(async {
            sentinel.servers[0].kill();
            sentinel.has_switched().await;
        })
        .await;
    scene.ends().await;
}

/// The old master runs, and accepts writes until the sentinel makes it a replica.
#[tokio::test]
async fn failover_requested() {
    let sentinel = Sentinel::start().await;
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
