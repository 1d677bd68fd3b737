//! A Redis Cluster whose servers fail over, crash, and pass slots to each other.

use fred::{types::Value, util::redis_keyslot};
use tokio::time::{Instant, sleep};

use crate::{
    cluster_servers::{self, Servers},
    scene::{Scene, length},
    support::{
        admin::{admin, command, keeps_up, offset},
        millis,
        nodes::{PATIENCE, soon_works},
        owner::{owner, sessions_key},
        redis_server::COPIED_AT_ONCE,
    },
};

const LOG: &str = "sessions:log";

/// Three servers with a replica each.
async fn with_replicas() -> Servers {
    // Servers notice a crash after this long. Redis's default is 15 s.
    let options = [&COPIED_AT_ONCE[..], &["--cluster-node-timeout", "1000"]].concat();
    let servers = Servers::start_with(6, &options).await;
    for node in 0..3 {
        servers.replicate(node + 3, node).await;
    }
    servers
}

/// Waits until a server is the master of its slots.
async fn is_master(servers: &Servers, node: usize) {
    let begun = Instant::now();
    loop {
        let role = servers.command(node, "ROLE", &[]).await.into_array();
        if role.first().and_then(Value::as_str).is_some_and(|role| role == "master") {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the replica does not take over");
        sleep(millis(20)).await;
    }
}

#[tokio::test]
async fn every_server_fails_over() {
    let servers = with_replicas().await;
    let scene = Scene::begin(&servers.url()).await;
    scene
        .during(async {
            for replica in 3..6 {
                servers.command(replica, "CLUSTER", &["FAILOVER"]).await;
                is_master(&servers, replica).await;
                sleep(length(millis(100)) / 3).await;
            }
        })
        .await;
    scene.ends().await;
}

#[tokio::test]
async fn owner_of_the_log_killed() {
    let mut servers = with_replicas().await;
    let scene = Scene::begin(&servers.url()).await;
    let owner = cluster_servers::owner(LOG);
    let [master, replica] = [owner, owner + 3].map(|node| servers.nodes[node].url());
    keeps_up(&admin(&replica).await, offset(&admin(&master).await).await).await;
    scene
        .during(async {
            servers.nodes[owner].kill();
            is_master(&servers, owner + 3).await;
        })
        .await;
    scene.ends().await;
}

/// The slots of the log and of the users that browsers have.
fn slots() -> Vec<u16> {
    let users = (0..4).map(|n| redis_keyslot(sessions_key("", &owner(format!("user{n}"))).as_bytes()));
    let mut slots: Vec<u16> = users.chain([redis_keyslot(LOG.as_bytes())]).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Moves a slot with its keys while they are used.
async fn move_slot(servers: &Servers, slot: u16, from: usize, to: usize) {
    let number = slot.to_string();
    servers.begin_move(slot, from, to).await;
    loop {
        let keys = servers.command(from, "CLUSTER", &["GETKEYSINSLOT", &number, "10"]).await.into_array();
        if keys.is_empty() {
            break;
        }
        for key in keys {
            let key = key.into_string().expect("a key of text");
            servers.move_key(&key, from, to).await;
        }
    }
    servers.give(slot, to).await;
    if slot == redis_keyslot(LOG.as_bytes()) {
        // Redis 7.2 before 7.2.7 crashes if the slot comes back to a server where someone still waits for the log.
        let former = admin(&servers.nodes[from].url()).await;
        soon_works(async || {
            let clients = command(&former, "CLIENT", &["LIST"]).await.into_string().expect("a list");
            !clients.contains(" flags=b ")
        })
        .await;
    }
}

#[tokio::test]
async fn slots_moved_key_by_key() {
    let servers = Servers::start().await;
    let scene = Scene::begin(&servers.url()).await;
    let begun = Instant::now();
    scene
        .during(async {
            // There and back.
            while begun.elapsed() < length(millis(1)) {
                for slot in slots() {
                    let home = home(slot);
                    let other = (home + 1) % 3;
                    move_slot(&servers, slot, home, other).await;
                    scene.goes_on(5).await;
                    move_slot(&servers, slot, other, home).await;
                }
            }
        })
        .await;
    scene.ends().await;
}

/// The server that has a slot at the start.
fn home(slot: u16) -> usize {
    usize::from(slot > 5460) + usize::from(slot > 10_922)
}

#[tokio::test]
async fn slots_moved_at_once() {
    let servers = Servers::start().await;
    let scene = Scene::begin(&servers.url()).await;
    scene
        .during(async {
            for slot in slots() {
                let (home, number) = (home(slot), slot.to_string());
                let other = (home + 1) % 3;
                let id = servers.id(other).await;
                let args = ["MIGRATESLOTS", "SLOTSRANGE", &number, &number, "NODE", &id];
                let args = args.into_iter().map(Value::from).collect();
                match servers.try_command(home, "CLUSTER", args).await {
                    Ok(_) => has_slot(&servers, other, slot).await,
                    // Redis, and Valkey before 9.
                    Err(error) if error.details().to_lowercase().contains("unknown subcommand") => {
                        move_slot(&servers, slot, home, other).await;
                    }
                    Err(error) => panic!("{error}"),
                }
                scene.goes_on(5).await;
            }
        })
        .await;
    scene.ends().await;
}

/// Waits until a server has a slot.
async fn has_slot(servers: &Servers, node: usize, slot: u16) {
    let begun = Instant::now();
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some((first.parse::<u16>().ok()?..=last.parse().ok()?).contains(&slot))
    };
    loop {
        let nodes = servers.command(node, "CLUSTER", &["NODES"]).await.into_string().expect("a text");
        let own = nodes.lines().find(|line| line.contains("myself")).expect("the server itself");
        if own.split(' ').skip(8).any(|field| range(field) == Some(true)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the slot does not move: {nodes}");
        sleep(millis(5)).await;
    }
}
