//! The worlds of each place where sessions are kept.

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use tower_jwt_sessions::{MemoryStore, redis::RedisStore, testing::TestClock};

use crate::{
    chance::Chance,
    checks::{Caught, Tally},
    recorder::Late,
    reference::{Place, Rules},
    servers::{self, Servers},
    support::{patient::patient_store, redis_server},
    world::{Settings, Surroundings, World},
};

const CLIENTS: usize = 3;

pub(crate) const MEMORY: Settings = Settings {
    bursts: 40,
    faults: true,
    threads: false,
    by_server_clock: false,
    set_back: true,
    compare_one_in: 10,
    rules: Rules { place: Place::Memory, ages: true, times: true },
    late: Late::Never,
};
const THREADS: Settings = Settings { threads: true, ..MEMORY };
pub(crate) const REDIS: Settings = Settings { rules: Rules { place: Place::Redis, ..MEMORY.rules }, ..MEMORY };
const CLUSTER: Settings =
    Settings { set_back: false, rules: Rules { place: Place::Cluster, ..MEMORY.rules }, ..MEMORY };

pub(crate) async fn memory(seed: u64) -> Result<Tally, Caught> {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    World::new(vec![store; CLIENTS], clock, seed, MEMORY).run().await
}

/// Each client is a thread.
pub(crate) async fn threads(seed: u64) -> Result<Tally, Caught> {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    World::new(vec![store; CLIENTS + 1], clock, seed, THREADS).run().await
}

/// Clients with a connection each.
pub(crate) struct Connected {
    prefix: String,
    stores: Vec<RedisStore>,
}

impl Connected {
    pub(crate) async fn to_redis() -> Self {
        let (server, prefix) = redis_server::shared();
        Self::to(&server.url(), prefix).await
    }

    async fn to(url: &str, prefix: String) -> Self {
        let mut stores = Vec::new();
        for _ in 0..CLIENTS {
            stores.push(patient_store(url, "").await);
        }
        Self { prefix, stores }
    }

    /// The keys of a world.
    fn prefix_of(&self, seed: u64) -> String {
        format!("{}{seed}:", self.prefix)
    }

    pub(crate) fn stores_of(&self, seed: u64, clock: &TestClock) -> Vec<RedisStore> {
        let own = |store: &RedisStore| {
            let store = store.clone().key_prefix(self.prefix_of(seed)).expect("a plain prefix");
            store.with_clock(clock.clone())
        };
        self.stores.iter().map(own).collect()
    }

    pub(crate) async fn redis(&self, seed: u64) -> Result<Tally, Caught> {
        let clock = TestClock::new();
        World::new(self.stores_of(seed, &clock), clock, seed, REDIS).run().await
    }
}

/// Clients of a cluster, and a way to let the log fail.
pub(crate) struct InCluster {
    connected: Connected,
    /// One for each server.
    clients: Vec<Client>,
    _servers: &'static Servers,
}

impl InCluster {
    pub(crate) async fn start() -> Self {
        let (servers, prefix) = servers::shared().await;
        let mut clients = Vec::new();
        for node in &servers.nodes {
            let client = Client::new(Config::from_url(&node.url()).expect("an address"), None, None, None);
            client.init().await.expect("the server runs");
            clients.push(client);
        }
        Self { connected: Connected::to(&servers.url(), prefix).await, clients, _servers: servers }
    }

    pub(crate) async fn cluster(&self, seed: u64) -> Result<Tally, Caught> {
        let clock = TestClock::new();
        let log = format!("{}sessions:log", self.connected.prefix_of(seed));
        let client = self.clients[servers::owner(&log)].clone();
        let stores = self.connected.stores_of(seed, &clock);
        World::within(Log { key: log, client }, stores, clock, seed, CLUSTER).run().await
    }
}

/// The log of a world, which can be made to fail.
struct Log {
    key: String,
    client: Client,
}

impl Log {
    /// Runs a script with the key of the log, and one in its slot.
    async fn run(&self, script: &str) {
        let (key, kept) = (self.key.as_str(), format!("{{{}}}:kept", self.key));
        let args: Vec<Value> = vec![script.into(), 2.into(), key.into(), kept.into()];
        let eval = CustomCommand::new_static("EVAL", ClusterHash::FirstKey, false);
        let _: Value = self.client.custom(eval, args).await.expect("the script runs");
    }
}

impl Surroundings for Log {
    /// The key of the log has another type for a while, so that nothing can be published.
    async fn disturb(&self, mut chance: Chance) {
        if chance.one_in(2) {
            return;
        }
        for _ in 0..chance.below(20) {
            tokio::task::yield_now().await;
        }
        self.run("if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end redis.call('SET', KEYS[1], 'text')")
            .await;
        if chance.one_in(2) {
            for _ in 0..chance.below(40) {
                tokio::task::yield_now().await;
            }
            self.calm().await;
        }
    }

    async fn calm(&self) {
        self.run(
            "if redis.call('TYPE', KEYS[1]).ok == 'string' then redis.call('DEL', KEYS[1]) end \
             if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end",
        )
        .await;
    }
}
