//! A Redis Sentinel, a master and two replicas.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{
        Value,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
    },
};
use tower_jwt_sessions::redis::RedisStore;

use super::{
    RedisServer,
    admin::{admin, command, follows, try_command},
    nodes::PATIENCE,
    redis_server::COPIED_AT_ONCE,
};

/// A sentinel writes to its configuration. It is killed when the standard input closes, also with the test process.
const GUARDIAN: &str = r#"folder=$(mktemp -d) || exit 1; printf '%s' "$2" > "$folder/sentinel.conf"
"$1" "$folder/sentinel.conf" --sentinel & cat >/dev/null; kill -9 $!; wait; rm -rf "$folder""#;
const NAME: &str = "sessions";

pub(crate) struct Sentinel {
    /// The first is the master at the start.
    pub(crate) servers: [RedisServer; 3],
    port: u16,
    guardian: Child,
    client: Client,
}

impl Sentinel {
    /// Starts servers with these options, and waits until all know each other.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let options = [&COPIED_AT_ONCE[..], options].concat();
        let servers = [(); 3].map(|()| RedisServer::start_with(&options));
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("the port").port();
        drop(free);
        let [master, replicas @ ..] = &servers;
        for replica in replicas {
            // The sentinel asks the master for its replicas once, and then again after ten seconds.
            follows(&admin(&replica.url()).await, master.port()).await;
        }
        let settings = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {} 1\nsentinel down-after-milliseconds \
             {NAME} 500\nsentinel failover-timeout {NAME} 5000\n",
            master.port()
        );
        let binary = env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".to_owned());
        let mut guardian = Command::new("sh");
        guardian.args(["-c", GUARDIAN, "sh", &binary, &settings]);
        guardian.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guardian = guardian.spawn().expect("sh runs");
        let begun = Instant::now();
        let config = Config::from_url(&format!("redis://127.0.0.1:{port}")).expect("an address");
        let client = loop {
            let client = Client::new(config.clone(), None, None, None);
            if client.init().await.is_ok() {
                break client;
            }
            assert!(begun.elapsed() < PATIENCE, "the sentinel does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let sentinel = Self { servers, port, guardian, client };
        while !sentinel.knows_replicas().await {
            assert!(begun.elapsed() < PATIENCE, "the sentinel does not know the replicas");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sentinel
    }

    /// Whether both replicas could be promoted.
    async fn knows_replicas(&self) -> bool {
        let replicas = command(&self.client, "SENTINEL", &["REPLICAS", NAME]).await.into_array();
        let is_ready = |replica: &Value| {
            let fields: Vec<String> = replica.clone().into_array().into_iter().filter_map(Value::into_string).collect();
            let has = |name: &str, value: &str| fields.chunks(2).any(|pair| *pair == [name, value]);
            has("flags", "slave") && has("master-link-status", "ok")
        };
        replicas.len() == 2 && replicas.iter().all(is_ready)
    }

    /// Returns the port of the master, by what the sentinel says.
    pub(crate) async fn master(&self) -> u16 {
        let address = command(&self.client, "SENTINEL", &["GET-MASTER-ADDR-BY-NAME", NAME]).await.into_array();
        address.last().and_then(Value::as_string).and_then(|port| port.parse().ok()).expect("an address")
    }

    /// Waits until the sentinel says that a replica is the master.
    pub(crate) async fn has_switched(&self) {
        let begun = Instant::now();
        while self.master().await == self.servers[0].port() {
            assert!(begun.elapsed() < PATIENCE, "no failover");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the sentinel has made the old master a replica, which then has lost what it accepted meanwhile.
    pub(crate) async fn old_master_follows(&self) {
        let begun = Instant::now();
        loop {
            if self.role_of_old_master().await.is_some_and(|role| role == "slave") {
                return;
            }
            // The sentinel takes ten seconds for that, and more after other changes.
            assert!(begun.elapsed() < 3 * PATIENCE, "the old master is not made a replica");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks on a connection of its own, since the sentinel closes those that it finds.
    async fn role_of_old_master(&self) -> Option<String> {
        let ask = async {
            let config = Config::from_url(&self.servers[0].url()).ok()?;
            let old = Client::new(config, None, None, None);
            old.init().await.ok()?;
            try_command(&old, "ROLE", Vec::new()).await.ok()?.into_array().first()?.as_string()
        };
        tokio::time::timeout(Duration::from_secs(1), ask).await.ok()?
    }

    /// Begins a failover, as before maintenance of the master.
    pub(crate) async fn fail_over(&self) {
        let begun = Instant::now();
        let args = || ["FAILOVER", NAME].map(Value::from).to_vec();
        while try_command(&self.client, "SENTINEL", args()).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "no failover begins");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns a store over a client of an application, which asks the sentinel for the master.
    pub(crate) async fn store(&self) -> RedisStore {
        let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName={NAME}", self.port);
        let config = Config::from_url(&url).expect("an address");
        let limit = Duration::from_millis(500);
        let performance = PerformanceConfig { default_command_timeout: limit, ..PerformanceConfig::default() };
        let connection = ConnectionConfig { max_command_attempts: 1, ..ConnectionConfig::default() };
        let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
        let client = Client::new(config, Some(performance), Some(connection), Some(policy));
        client.init().await.expect("the master runs");
        RedisStore::new(client).expect("safe settings")
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}
