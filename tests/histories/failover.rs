//! Failovers that lose writes: a replica stops following while clients work, and takes over when they are at rest. It has
//! what happened before it stopped, and nothing of what happened after: the end of the history is lost, and nothing else.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use tower_jwt_sessions::{SessionId, redis::RedisStore, store::SessionStore as _, testing::TestClock};

use crate::{
    backends::REDIS,
    chance::Chance,
    checks::{Caught, Tally},
    late::store_with,
    support::{owner::owner, proxy::Proxy, redis_server::RedisServer},
    world::{Settings, Surroundings, World},
};

const FAILOVER: Settings = Settings { bursts: 10, set_back: false, ..REDIS };

/// Two servers, one of which follows the other, and clients of the one that leads.
pub(crate) struct Pair {
    servers: [RedisServer; 2],
    clients: [Client; 2],
    leader: AtomicUsize,
    proxy: Proxy,
    stores: Vec<RedisStore>,
    has_stopped_following: AtomicBool,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        let servers = [0, 1].map(|_| RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]));
        let mut clients = Vec::new();
        for server in &servers {
            let client = Client::new(Config::from_url(&server.url()).expect("an address"), None, None, None);
            client.init().await.expect("the server runs");
            clients.push(client);
        }
        let proxy = Proxy::before(servers[0].port()).await;
        let mut stores = Vec::new();
        for _ in 0..3 {
            stores.push(store_with(&proxy.url(), Duration::from_secs(60)).await);
        }
        let clients = clients.try_into().expect("two");
        let (leader, has_stopped_following) = (AtomicUsize::new(0), AtomicBool::new(false));
        let pair = Self { servers, clients, leader, proxy, stores, has_stopped_following };
        pair.follow().await;
        pair
    }

    pub(crate) async fn world(&self, seed: u64) -> Result<Tally, Caught> {
        let clock = TestClock::new();
        let own = |store: &RedisStore| {
            store.clone().key_prefix(format!("{seed}:")).expect("a plain prefix").with_clock(clock.clone())
        };
        World::within(self, self.stores.iter().map(own).collect(), clock.clone(), seed, FAILOVER).run().await
    }

    async fn command(&self, server: usize, command: &'static str, args: &[&str]) -> Value {
        let args: Vec<Value> = args.iter().map(|arg| Value::from(*arg)).collect();
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        self.clients[server].custom(command, args).await.expect("the command works")
    }

    /// Lets the other server follow, until it has all that the leader has.
    async fn follow(&self) {
        let leader = self.leader.load(SeqCst);
        let port = self.servers[leader].port().to_string();
        self.command(1 - leader, "REPLICAOF", &["127.0.0.1", &port]).await;
        loop {
            let info = self.command(1 - leader, "INFO", &["replication"]).await.into_string().expect("a text");
            if info.contains("master_link_status:up") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.has_followed().await;
    }

    async fn has_followed(&self) {
        let leader = self.leader.load(SeqCst);
        self.command(leader, "SET", &["written", "last"]).await;
        let followers = self.command(leader, "WAIT", &["1", "0"]).await;
        assert_eq!(followers.as_u64(), Some(1), "no server follows");
    }
}

impl Surroundings for &Pair {
    async fn disturb(&self, mut chance: Chance) {
        if chance.one_in(2) {
            return;
        }
        for _ in 0..chance.below(30) {
            tokio::task::yield_now().await;
        }
        self.command(1 - self.leader.load(SeqCst), "REPLICAOF", &["NO", "ONE"]).await;
        self.has_stopped_following.store(true, SeqCst);
    }

    async fn fail_over(&self) -> bool {
        if !self.has_stopped_following.swap(false, SeqCst) {
            self.has_followed().await;
            return false;
        }
        let before = self.leader.load(SeqCst);
        self.leader.store(1 - before, SeqCst);
        self.proxy.lead_to(self.servers[1 - before].port());
        self.command(before, "CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        self.follow().await;
        for store in &self.stores {
            while store.find(&owner("carol"), SessionId::from_bytes([1; SessionId::LEN])).await.is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        true
    }
}
