//! Nodes that start before their cluster, or while its servers do not respond.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use fred::types::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::JoinSet,
};
use tower_jwt_sessions::{
    MemoryStore,
    auth::VerifyError,
    error::ErrorKind,
    redis::RedisStore,
    revocation::FeedStatus,
    store::{LogPosition, SessionStore as _},
};

use crate::{
    cluster::{
        scene::{id, log_key},
        servers::{self, Folder, Servers},
    },
    support::{
        nodes::{PATIENCE, accepts, browser, node, redis_store, refuses_soon, soon, soon_works},
        owner::{owner, sessions_key},
        redis_server::RedisServer,
    },
};

const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn node_started_before_cluster_recovers_by_itself() {
    let mut servers = Servers::start().await;
    servers.nodes.iter_mut().for_each(RedisServer::kill);
    // Tokens from a node with the same keys.
    let early = browser(node(MemoryStore::new()).build().unwrap().login("alice").await.unwrap());

    let begun = Instant::now();
    let here = node(RedisStore::connect_in_background(&servers.url()).unwrap()).build().unwrap();
    assert!(begun.elapsed() < A_SECOND);
    for _ in 0..20 {
        assert_eq!(here.revocation_feed().status(), FeedStatus::CatchingUp);
        assert_eq!(here.verifier().verify(&early).unwrap_err(), VerifyError::RevocationsUnknown);
        assert_eq!(here.login("alice").await.unwrap_err().kind(), ErrorKind::Store);
    }
    assert!(begun.elapsed() < A_SECOND, "a refused connection fails at once: {:?}", begun.elapsed());

    servers.nodes.iter_mut().for_each(RedisServer::restart);
    servers.are_ready().await;
    tokio::time::timeout(PATIENCE, here.revocation_feed().caught_up()).await.expect("the cluster is found");
    assert!(accepts(&here, &early));
    let mut alice = None;
    soon_works(async || {
        alice = here.login("alice").await.ok();
        alice.is_some()
    })
    .await;
    let alice = browser(alice.expect("a login"));
    assert!(accepts(&here, &alice));
    let there = node(redis_store(&servers.url(), "").await).build().unwrap();
    assert_eq!(there.end_all("alice").await.unwrap(), 1);
    refuses_soon(&here, &alice).await;
}

/// Failed steps are not kept, however many they are.
#[tokio::test]
async fn steps_fail_soon_and_do_not_accumulate_without_cluster() {
    let servers = Servers::start().await;
    servers.nodes.iter().for_each(RedisServer::freeze);
    let store = RedisStore::connect_in_background(&servers.url()).unwrap();
    let user = owner("alice");
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..3 {
        let begun = Instant::now();
        let steps = (0..300).map(|_| store.find(&user, id(1)));
        assert!(futures_util::future::join_all(steps).await.iter().all(Result::is_err));
        assert!(begun.elapsed() < A_SECOND, "{:?}", begun.elapsed());
        soon("the tasks of failed steps end", || tasks() < before + 10).await;
    }
    // Once the servers are known not to respond, steps fail without waiting.
    soon_works(async || {
        let begun = Instant::now();
        assert!(store.find(&user, id(1)).await.is_err());
        begun.elapsed() < A_SECOND / 10
    })
    .await;
    servers.nodes.iter().for_each(RedisServer::thaw);
    servers.are_ready().await;
    soon_works(async || store.find(&user, id(1)).await.is_ok()).await;
    drop(store);
    soon("every task ends with the store", || tasks() <= before).await;
}

#[tokio::test]
async fn connections_close_with_store() {
    let servers = Servers::start().await;
    let clients = async || {
        let mut all = 0;
        for node in 0..3 {
            let list = servers.command(node, "CLIENT", &["LIST", "TYPE", "NORMAL"]).await.into_string().unwrap();
            // Without the connection of this command.
            all += list.lines().count() - 1;
        }
        all
    };
    soon_works(async || clients().await == 0).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    soon("the tasks of callers end", || tasks() == 0).await;
    let store = redis_store(&servers.url(), "").await;
    store.read_log(LogPosition::START, Duration::from_millis(1)).await.unwrap();
    assert_eq!(clients().await, 4, "one for each server, and one for the log");
    drop(store);
    soon_works(async || clients().await == 0).await;
    soon("every task ends with the store", || tasks() == 0).await;
}

/// Makes a server name another one as itself.
///
/// Redis 6.2 takes a port only when it starts, but an address at any time: there a relay listens on the same port at
/// another address of this machine, until the returned tasks are dropped.
async fn announce(old: &RedisServer, new: &RedisServer) -> Option<JoinSet<()>> {
    let set = async |name: &'static str, value: String| {
        servers::ask(old, "CONFIG", vec!["SET".into(), name.into(), value.into()]).await.unwrap();
    };
    let names = async |address: &[u8]| {
        let slots = servers::ask(old, "CLUSTER", vec!["SLOTS".into()]).await.unwrap();
        let server = slots.into_array().remove(0).into_array().remove(2).into_array();
        server.iter().take(2).any(|part| part.as_string().is_some_and(|part| part.as_bytes() == address))
    };
    let port = new.port().to_string();
    set("cluster-announce-port", port.clone()).await;
    if names(port.as_bytes()).await {
        return None;
    }
    let (there, target) = ("127.0.0.2", (Ipv4Addr::LOCALHOST, new.port()));
    let listener = TcpListener::bind((there, old.port())).await.expect("Linux has this address");
    let mut relay = JoinSet::new();
    relay.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            connections.spawn(async move {
                let mut to = TcpStream::connect(target).await.expect("the other server");
                let _closed = copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    set("cluster-announce-ip", there.to_owned()).await;
    soon_works(async || names(there.as_bytes()).await).await;
    Some(relay)
}

/// The reader leaves a server that has lost the log, even if it does not report that, and closes its connections.
#[tokio::test]
async fn reader_waits_at_current_server_of_log() {
    let folder = Folder::new();
    let [old, new] = ["old", "new"].map(|name| servers::launch(folder.join(name), &[]));
    for server in [&old, &new] {
        let slots = (0..16_384).map(|slot| Value::from(slot.to_string()));
        servers::ask(server, "CLUSTER", ["ADDSLOTS".into()].into_iter().chain(slots).collect()).await.unwrap();
    }
    let url = |server: &RedisServer| server.url().replace("redis://", "redis-cluster://");
    let mut here = None;
    soon_works(async || {
        here = RedisStore::connect(&url(&old)).await.ok();
        here.is_some()
    })
    .await;
    let here = node(here.expect("a connected store")).build().unwrap();
    here.revocation_feed().caught_up().await;
    let headers = browser(here.login("alice").await.unwrap());
    let _relay = announce(&old, &new).await;
    // A failure makes the store read the slots again.
    servers::ask(&old, "SET", vec![sessions_key("", &owner("bob")).into(), "text".into()]).await.unwrap();
    assert!(here.login("bob").await.is_err());
    let there = node(redis_store(&url(&new), "").await).build().unwrap();
    soon_works(async || here.login("carol").await.is_ok() && there.list("carol").await.unwrap().len() == 1).await;
    let presented = there.verifier().present(&headers);
    let _removal = there.logout(&presented).await.unwrap();
    let log = servers::ask(&new, "EXISTS", vec![log_key("").into()]).await.unwrap();
    assert_eq!(log.as_u64(), Some(1));
    refuses_soon(&here, &headers).await;
    soon_works(async || {
        let clients = servers::ask(&old, "CLIENT", vec!["LIST".into()]).await.unwrap().into_string().unwrap();
        // The connection of this command.
        clients.lines().count() == 1
    })
    .await;
}
