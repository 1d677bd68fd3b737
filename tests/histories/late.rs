//! Redis by its own clock, and a network that holds commands back until their clients have given them up. What was
//! reported as a failure must not happen after that.

use std::{net::Ipv4Addr, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tower_jwt_sessions::{SessionId, redis::RedisStore, store::SessionStore as _, testing::TestClock};

use crate::{
    backends::REDIS,
    chance::Chance,
    checks::{Caught, Tally},
    recorder::Late,
    reference::Rules,
    support::{
        owner::owner,
        patient::patient_store,
        redis_server::{self, RedisServer},
    },
    world::{Settings, Surroundings, World},
};

/// How long the clients behind the network wait for an answer.
const PATIENCE: Duration = Duration::from_millis(50);

const LATE: Settings = Settings {
    bursts: 12,
    faults: false,
    by_server_clock: true,
    rules: Rules { times: false, ages: false, ..REDIS.rules },
    late: Late::Shortly(Duration::from_millis(3)),
    ..REDIS
};

/// Clients of one server: one is patient, the others are behind a network.
pub(crate) struct Behind {
    stores: Vec<RedisStore>,
    prefix: String,
    network: Network,
}

impl Behind {
    pub(crate) async fn start() -> Self {
        let (server, prefix) = redis_server::shared();
        let network = Network::before(server).await;
        let mut stores = vec![patient_store(&server.url(), "").await];
        for _ in 0..2 {
            stores.push(store_with(&format!("redis://127.0.0.1:{}", network.port), PATIENCE).await);
        }
        Self { stores, prefix, network }
    }

    pub(crate) async fn world(&self, seed: u64) -> Result<Tally, Caught> {
        let prefix = format!("{}{seed}:", self.prefix);
        let own = |store: &RedisStore| store.clone().key_prefix(&*prefix).expect("a plain prefix");
        let stores: Vec<RedisStore> = self.stores.iter().map(own).collect();
        // Without an answer a client does not know the server's time.
        let held = Held { network: &self.network, stores: stores.clone() };
        held.calm().await;
        World::within(held, stores, TestClock::new(), seed, LATE).run().await
    }
}

/// Returns a store whose steps may take so long, and which reconnects at once.
pub(crate) async fn store_with(url: &str, timeout: Duration) -> RedisStore {
    let config = Config::from_url(url).expect("an address");
    let performance = PerformanceConfig { default_command_timeout: timeout, ..PerformanceConfig::default() };
    let connection = ConnectionConfig { max_command_attempts: 1, ..ConnectionConfig::default() };
    let policy = ReconnectPolicy::new_constant(0, 10);
    let client = Client::new(config, Some(performance), Some(connection), Some(policy));
    client.init().await.expect("the server runs");
    RedisStore::new(client).expect("safe settings")
}

struct Held<'a> {
    network: &'a Network,
    stores: Vec<RedisStore>,
}

impl Surroundings for Held<'_> {
    async fn disturb(&self, mut chance: Chance) {
        if chance.one_in(2) {
            return;
        }
        for _ in 0..chance.below(10) {
            tokio::task::yield_now().await;
        }
        self.network.holds.send_replace(true);
    }

    /// What was held arrives at the server, and everything that was sent is answered.
    async fn calm(&self) {
        self.network.holds.send_replace(false);
        for store in &self.stores {
            while store.find(&owner("carol"), SessionId::from_bytes([1; SessionId::LEN])).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A proxy that can hold what clients send.
struct Network {
    port: u16,
    holds: watch::Sender<bool>,
}

impl Network {
    async fn before(server: &'static RedisServer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("the port").port();
        let holds = watch::Sender::new(false);
        let held = holds.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.expect("the server runs");
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, Some(held.clone())));
                tokio::spawn(pass(from_server, to_client, None));
            }
        });
        Self { port, holds }
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut held: Option<watch::Receiver<bool>>) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if let Some(held) = &mut held {
            let _ = held.wait_for(|held| !held).await;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
