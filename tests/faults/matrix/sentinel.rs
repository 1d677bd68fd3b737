//! A sentinel that fails over.

use tokio::time::sleep;

use crate::{
    cluster_servers::scripts,
    scene::Scene,
    support::{seconds, sentinel::Watched},
};

#[tokio::test]
async fn master_killed() {
    let mut watched = Watched::start().await;
    let scene = Scene::begin(&watched.sentinel.url()).await;
    scene
        .during(async {
            watched.master.kill();
            watched.has_switched().await;
        })
        .await;
    scene.ends().await;
}

/// The old master accepts writes, which are lost, until the sentinel makes it a replica some ten seconds later.
#[tokio::test]
async fn failover_requested() {
    let watched = Watched::start().await;
    let scene = Scene::begin(&watched.sentinel.url()).await;
    scene
        .during(async {
            watched.fail_over().await;
            watched.has_switched().await;
            sleep(seconds(1)).await;
        })
        .await;
    let before = scripts(&watched.master).await;
    scene.goes_on(60).await;
    assert_eq!(scripts(&watched.master).await, before, "the nodes use the old master");
    scene.ends().await;
}
