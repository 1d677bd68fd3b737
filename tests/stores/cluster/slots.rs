//! Slots that move, servers that report them, and addresses.

use std::time::{Duration, Instant};

use fred::types::Value;
use tower_jwt_sessions::{
    error::ConfigErrorKind,
    redis::RedisStore,
    store::{EndSessions, SessionStore as _, WhichSessions},
};

use crate::{
    cluster::{
        scene::{Scene, ended, id, log_key, slot, user_apart},
        servers::{self, Servers},
    },
    support::{
        nodes::{PATIENCE, accepts, browser, node, redis_store, refuses_soon, soon_works},
        owner::sessions_key,
        redis_server::RedisServer,
    },
};

#[tokio::test]
async fn step_is_one_script_and_ending_step_is_three() {
    let servers = Servers::start().await;
    let scene = Scene::on(&servers, String::new()).await;
    let (user, log) = (servers::owner(&scene.sessions_key()), servers::owner(&scene.log_key()));
    for n in 1..4 {
        // From here on the server has every script.
        scene.login(n).await;
        scene.live().await;
        scene.store.rotate(&scene.rotation(n, 1)).await.unwrap();
        scene.store.find(&scene.user, id(n)).await.unwrap();
    }
    scene.end(WhichSessions::One(id(1))).await.unwrap();

    let counts = async || [servers::scripts(&servers.nodes[user]).await, servers::scripts(&servers.nodes[log]).await];
    let before = counts().await;
    scene.login(4).await;
    scene.live().await;
    scene.store.rotate(&scene.rotation(4, 1)).await.unwrap();
    scene.store.find(&scene.user, id(4)).await.unwrap();
    let after = counts().await;
    assert_eq!(after, [before[0] + 4, before[1]]);
    scene.end(WhichSessions::One(id(2))).await.unwrap();
    assert_eq!(counts().await, [after[0] + 2, after[1] + 1]);
}

#[tokio::test]
async fn step_on_one_server_is_one_script() {
    let server = RedisServer::start();
    let store = redis_store(&server.url(), "").await;
    let user = user_apart("");
    let end = EndSessions::new(user.clone(), WhichSessions::All, Duration::from_secs(60));
    // From here on the server has the script.
    store.end(&end).await.unwrap();
    let before = servers::scripts(&server).await;
    store.end(&end).await.unwrap();
    assert_eq!(servers::scripts(&server).await, before + 1);
}

#[tokio::test]
async fn moved_slots_are_followed() {
    let servers = Servers::start().await;
    let prefix = "shop:";
    let (here, there) = (redis_store(&servers.url(), prefix).await, redis_store(&servers.url(), prefix).await);
    let (here, there) = (node(here).build().unwrap(), node(there).build().unwrap());
    there.revocation_feed().caught_up().await;
    // The slots of the log while a node waits for it, and of a user. They are empty, so that no keys must be moved.
    let log = format!("{prefix}sessions:log");
    let user = user_apart(prefix);
    let target = 3 - servers::owner(&log) - servers::owner(&sessions_key(prefix, &user));
    servers.give(slot(&log), target).await;
    servers.give(slot(&sessions_key(prefix, &user)), target).await;

    let headers = browser(here.login(user.user_id()).await.unwrap());
    assert!(accepts(&there, &headers));
    assert_eq!(here.end_all(user.user_id()).await.unwrap(), 1);
    refuses_soon(&there, &headers).await;
    let key = Value::from(log.as_str());
    assert_eq!(servers.try_command(target, "XLEN", vec![key]).await.unwrap().as_u64(), Some(1));
}

/// The slot moves with its entries, as when an operator moves it.
#[tokio::test]
async fn log_moved_under_waiting_nodes_loses_nothing() {
    let servers = Servers::start().await;
    let (here, there) = (redis_store(&servers.url(), "").await, redis_store(&servers.url(), "").await);
    let (here, there) = (node(here).build().unwrap(), node(there).build().unwrap());
    there.revocation_feed().caught_up().await;
    let user = user_apart("");
    let key = log_key("");
    let from = servers::owner(&key);
    let to = 3 - from - servers::owner(&sessions_key("", &user));
    let login = async || browser(here.login(user.user_id()).await.unwrap());
    let (first, second, third, last) = (login().await, login().await, login().await, login().await);
    let end = async |headers| drop(here.logout(&here.verifier().present(headers)).await.unwrap());
    end(&first).await;
    refuses_soon(&there, &first).await;

    servers.begin_move(slot(&key), from, to).await;
    end(&second).await;
    refuses_soon(&there, &second).await;
    servers.move_key(&key, from, to).await;
    end(&third).await;
    servers.give(slot(&key), to).await;
    refuses_soon(&there, &third).await;
    end(&last).await;
    refuses_soon(&there, &last).await;
    let length = servers.try_command(to, "XLEN", vec![key.into()]).await.unwrap();
    assert_eq!(length.as_u64(), Some(4));
}

/// By default, a Redis Cluster refuses every command when one of its servers is down.
#[tokio::test]
async fn cluster_down_is_error_soon() {
    let servers = Servers::start().await;
    let scene = Scene::on(&servers, String::new()).await;
    scene.login(1).await;
    for node in 0..3 {
        servers.command(node, "CONFIG", &["SET", "cluster-require-full-coverage", "yes"]).await;
    }
    let slot = (slot(&scene.sessions_key()) + 1).to_string();
    for node in 0..3 {
        servers.command(node, "CLUSTER", &["DELSLOTS", &slot]).await;
    }
    let begun = Instant::now();
    let failure = loop {
        match scene.store.find(&scene.user, id(1)).await {
            Ok(_) => assert!(begun.elapsed() < PATIENCE, "the cluster is not down"),
            Err(error) => break error,
        }
    };
    assert!(std::error::Error::source(&failure).unwrap().to_string().contains("CLUSTERDOWN"), "{failure:?}");
    for _ in 0..10 {
        let begun = Instant::now();
        scene.store.find(&scene.user, id(1)).await.unwrap_err();
        scene.end(WhichSessions::All).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
    for node in 0..3 {
        servers.command(node, "CONFIG", &["SET", "cluster-require-full-coverage", "no"]).await;
    }
    soon_works(async || scene.store.find(&scene.user, id(1)).await.is_ok_and(|found| found.is_some())).await;
}

#[tokio::test]
async fn migrating_slot_is_followed_by_ask() {
    let servers = Servers::start().await;
    let scene = Scene::on(&servers, String::new()).await;
    for n in [1, 2] {
        let mut new = scene.new_session(n);
        new.data = Some(b"data".to_vec());
        scene.store.create(&new).await.unwrap();
    }
    let key = scene.sessions_key();
    let (from, slot) = (servers::owner(&key), slot(&key));
    let to = 3 - from - servers::owner(&scene.log_key());
    servers.begin_move(slot, from, to).await;
    servers.move_key(&key, from, to).await;
    // During the migration, a key that has not arrived is like one that does not exist.
    scene.store.create(&scene.new_session(9)).await.unwrap_err();
    servers.move_key(&scene.data_key(), from, to).await;
    assert!(scene.store.find(&scene.user, id(1)).await.unwrap().is_some());
    scene.store.rotate(&scene.rotation(1, 1)).await.unwrap();
    assert_eq!(scene.end(WhichSessions::One(id(1))).await.unwrap(), [id(1)]);
    assert_eq!(scene.published().await, [ended(1)]);

    servers.give(slot, to).await;
    assert_eq!(scene.live().await, [id(2)]);
}

#[tokio::test]
async fn one_reachable_server_suffices_to_connect() {
    let (servers, prefix) = servers::shared().await;
    let port = servers.nodes[2].port();
    // Nothing listens on the first two.
    for url in [
        format!("redis-cluster://127.0.0.1:{port}"),
        format!("redis-cluster://127.0.0.1:{port}/0"),
        format!("redis-cluster://127.0.0.1:1?node=127.0.0.1:2&node=127.0.0.1:{port}"),
    ] {
        let scene = Scene::new().await;
        let store = RedisStore::connect(&url).await.unwrap().key_prefix(&*prefix).unwrap();
        store.create(&scene.new_session(1)).await.unwrap();
        assert!(format!("{store:?}").contains("connected: true"));
        let mut end =
            tower_jwt_sessions::store::EndSessions::new(scene.user.clone(), WhichSessions::All, Duration::ZERO);
        end.log_retention = Duration::from_secs(60);
        store.end(&end).await.unwrap();
    }
}

#[tokio::test]
async fn invalid_cluster_addresses_are_refused() {
    for url in [
        "redis-cluster://",
        "redis-cluster://:hunter2@",
        "redis-cluster://:hunter2@localhost:7000/1",
        "redis-cluster://:hunter2@localhost:7000/1?node=localhost:7001",
        "redis-cluster://:hunter2@localhost:7000?node=localhost",
        "redis-cluster://:hunter2@localhost:7000?node=localhost:x",
        "redis-cluster://:hunter2@localhost:7000?node=:7001",
        "redis-cluster://:hunter2@localhost:7000?nodes=localhost:7001",
        "redis-cluster://:hunter2@localhost:7000?",
        "redis-cluster://:hunter2@localhost:7000#x",
    ] {
        let error = RedisStore::connect(url).await.unwrap_err();
        assert!(
            error.kind() == ConfigErrorKind::InvalidStore && error.to_string().contains("invalid Redis URL"),
            "{url}: {error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let server = RedisServer::start();
    // It reports an address that is not in use.
    let folder = servers::Folder::new();
    let lost = servers::launch(folder.join("lost"), &["--cluster-announce-port", "1"]);
    servers::ask(&lost, "CLUSTER", vec!["ADDSLOTS".into(), "0".into()]).await.unwrap();
    for url in [
        format!("redis-cluster://127.0.0.1:{}", lost.port()),
        format!("redis-cluster://127.0.0.1:{}", server.port()),
        "redis-cluster://127.0.0.1:1?node=127.0.0.1:2".to_owned(),
    ] {
        let error = RedisStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{url}: {error:?}");
    }
}
