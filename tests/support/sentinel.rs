//! A Redis Sentinel, alone or with the servers that it watches.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{Value, config::Config},
};

use super::{
    RedisServer,
    admin::{admin, command, follows, try_command},
    folder::Folder,
    nodes::PATIENCE,
    redis_server::COPIED_AT_ONCE,
};

/// A sentinel, which ends with the test process.
pub(crate) struct Sentinel {
    pub(crate) port: u16,
    guardian: Child,
    _folder: Folder,
}

const GUARDIAN: &str = r#""$1" "$2" --sentinel >/dev/null & cat >/dev/null; kill -9 $!; wait"#;

impl Sentinel {
    /// Starts one that watches this master, and its replicas.
    pub(crate) fn of(master: u16, options: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let folder = Folder::new();
        let file = folder.join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n{options}\n"
        );
        fs::write(&file, text).unwrap();
        let binary = env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".to_owned());
        let mut guardian = Command::new("sh");
        guardian.args(["-c", GUARDIAN, "sh", &binary]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::null());
        Self { port, guardian: guardian.spawn().unwrap(), _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", self.port)
    }

    /// Connects to the sentinel itself, as soon as it has started.
    async fn client(&self) -> Client {
        let config = Config::from_url(&format!("redis://127.0.0.1:{}", self.port)).expect("an address");
        let begun = Instant::now();
        loop {
            let client = Client::new(config.clone(), None, None, None);
            if client.init().await.is_ok() {
                return client;
            }
            assert!(begun.elapsed() < PATIENCE, "the sentinel does not start");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// A sentinel with a master and a replica.
pub(crate) struct Watched {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    pub(crate) sentinel: Sentinel,
    client: Client,
}

impl Watched {
    /// Starts them, and waits until all know each other.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with further options of the master.
    pub(crate) async fn start_with(options: &[&str]) -> Self {
        let start = |options: &[&str]| RedisServer::start_with(&[&COPIED_AT_ONCE, options].concat());
        let (master, replica) = (start(options), start(&[]));
        // The sentinel asks the master for its replicas once, and then again after ten seconds.
        follows(&admin(&replica.url()).await, master.port()).await;
        let sentinel = Sentinel::of(master.port(), "");
        let client = sentinel.client().await;
        let watched = Self { master, replica, sentinel, client };
        let begun = Instant::now();
        while !watched.is_replica_known().await {
            assert!(begun.elapsed() < PATIENCE, "the sentinel does not know the replica");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        watched
    }

    /// Whether the replica could be promoted.
    async fn is_replica_known(&self) -> bool {
        let replicas = command(&self.client, "SENTINEL", &["REPLICAS", "main"]).await.into_array();
        replicas.into_iter().any(|replica| {
            let fields: Vec<String> = replica.into_array().into_iter().filter_map(Value::into_string).collect();
            let has = |name: &str, value: &str| fields.chunks(2).any(|pair| *pair == [name, value]);
            has("flags", "slave") && has("master-link-status", "ok")
        })
    }

    /// Begins a failover, as before maintenance of the master.
    pub(crate) async fn fail_over(&self) {
        let begun = Instant::now();
        while try_command(&self.client, "SENTINEL", ["FAILOVER", "main"].map(Value::from).to_vec()).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "no failover begins");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the sentinel says that the replica is the master.
    pub(crate) async fn has_switched(&self) {
        let begun = Instant::now();
        let expected = self.replica.port().to_string();
        loop {
            let address = command(&self.client, "SENTINEL", &["GET-MASTER-ADDR-BY-NAME", "main"]).await.into_array();
            if address.last().and_then(Value::as_string).is_some_and(|port| port == expected) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "no failover");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
