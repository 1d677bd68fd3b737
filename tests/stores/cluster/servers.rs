//! Real clusters for tests: a redis-server for each third of the slots.

use std::{
    fs,
    ops::RangeInclusive,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
    util::redis_keyslot,
};
use tokio::sync::OnceCell;

pub(crate) use crate::support::folder::Folder;
use crate::support::redis_server::RedisServer;

const READY_WITHIN: Duration = Duration::from_secs(60);
const RANGES: [RangeInclusive<u16>; 3] = [0..=5460, 5461..=10922, 10923..=16383];

/// Three servers without replicas. Each keeps working when another is down.
pub(crate) struct Servers {
    // Dropped before the folder, into which the servers write until they exit.
    pub(crate) nodes: Vec<RedisServer>,
    _folder: Folder,
}

impl Servers {
    pub(crate) async fn start() -> Self {
        Self::start_with(3, &[]).await
    }

    /// Starts more than three servers: the others own no slots.
    pub(crate) async fn start_with(count: usize, options: &[&str]) -> Self {
        let folder = Folder::new();
        let nodes: Vec<_> = (0..count).map(|node| launch(folder.join(&node.to_string()), options)).collect();
        let servers = Self { nodes, _folder: folder };
        for (node, range) in RANGES.into_iter().enumerate() {
            let slots: Vec<String> = range.map(|slot| slot.to_string()).collect();
            let slots: Vec<&str> = ["ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
            servers.command(node, "CLUSTER", &slots).await;
        }
        for node in 0..count {
            servers.command(node, "CLUSTER", &["SET-CONFIG-EPOCH", &(node + 1).to_string()]).await;
        }
        for node in 1..count {
            let port = servers.nodes[node].port().to_string();
            servers.command(0, "CLUSTER", &["MEET", "127.0.0.1", &port]).await;
        }
        servers.are_ready().await;
        servers
    }

    /// Waits until every server knows the owners of all slots.
    pub(crate) async fn are_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        for node in 0..self.nodes.len() {
            loop {
                let info = self.command(node, "CLUSTER", &["INFO"]).await.into_string().expect("a text");
                let ready = ["cluster_state:ok", "cluster_slots_ok:16384", &known];
                if ready.iter().all(|line| info.contains(line)) {
                    break;
                }
                assert!(Instant::now() < deadline, "the cluster is not ready: {info}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    pub(crate) fn url(&self) -> String {
        let [first, others @ ..] = &self.nodes[..] else { panic!("no servers") };
        let others: Vec<String> = others.iter().map(|node| format!("node=127.0.0.1:{}", node.port())).collect();
        format!("redis-cluster://127.0.0.1:{}?{}", first.port(), others.join("&"))
    }

    /// Sends one command to one server.
    pub(crate) async fn command(&self, node: usize, command: &'static str, args: &[&str]) -> Value {
        let args = args.iter().map(|arg| Value::from(*arg)).collect();
        self.try_command(node, command, args).await.expect("the command works")
    }

    pub(crate) async fn try_command(
        &self,
        node: usize,
        command: &'static str,
        args: Vec<Value>,
    ) -> Result<Value, fred::error::Error> {
        ask(&self.nodes[node], command, args).await
    }

    pub(crate) async fn id(&self, node: usize) -> String {
        self.command(node, "CLUSTER", &["MYID"]).await.into_string().expect("an id")
    }

    /// Makes one server the replica of another, and waits until it follows.
    pub(crate) async fn replicate(&self, replica: usize, of: usize) {
        self.command(replica, "CLUSTER", &["REPLICATE", &self.id(of).await]).await;
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let info = self.command(replica, "INFO", &["replication"]).await.into_string().expect("a text");
            if info.contains("master_link_status:up") {
                return;
            }
            assert!(Instant::now() < deadline, "the replica does not follow: {info}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Begins to move a slot: its keys are asked for at the server that they are moved to if they are no longer here.
    pub(crate) async fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, ids) = (slot.to_string(), (self.id(from).await, self.id(to).await));
        self.command(to, "CLUSTER", &["SETSLOT", &slot, "IMPORTING", &ids.0]).await;
        self.command(from, "CLUSTER", &["SETSLOT", &slot, "MIGRATING", &ids.1]).await;
    }

    /// Moves a key. Redis reports `IOERR` when it cannot tell whether the other server has it: it is to be moved again.
    pub(crate) async fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port().to_string();
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let args = ["127.0.0.1", &port, key, "0", "5000", "REPLACE"].map(Value::from).to_vec();
            match self.try_command(from, "MIGRATE", args).await {
                Err(error) if error.details().starts_with("IOERR") && Instant::now() < deadline => {}
                outcome => break drop(outcome.expect("the command works")),
            }
        }
    }

    /// Gives a slot to another server, without the keys in it.
    pub(crate) async fn give(&self, slot: u16, to: usize) {
        let (slot, id) = (slot.to_string(), self.id(to).await);
        // The new owner first, so that the others do not overwrite its state.
        for node in [to].into_iter().chain((0..self.nodes.len()).filter(|node| *node != to)) {
            self.command(node, "CLUSTER", &["SETSLOT", &slot, "NODE", &id]).await;
        }
        self.agree().await;
    }

    /// Waits until every server knows the newest epoch. The next one would be no newer at a server that does not, and
    /// so its new slot be taken from it again.
    async fn agree(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let mut epochs = Vec::new();
            for node in 0..self.nodes.len() {
                let info = self.command(node, "CLUSTER", &["INFO"]).await.into_string().expect("a text");
                epochs.extend(info.lines().find(|line| line.starts_with("cluster_current_epoch:")).map(str::to_owned));
            }
            if epochs.iter().all(|epoch| epochs.first() == Some(epoch)) {
                return;
            }
            assert!(Instant::now() < deadline, "the servers do not agree: {epochs:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends one command to a server.
pub(crate) async fn ask(
    server: &RedisServer,
    command: &'static str,
    args: Vec<Value>,
) -> Result<Value, fred::error::Error> {
    let client = Client::new(Config::from_url(&server.url())?, None, None, None);
    let router = client.init().await?;
    let outcome = client.custom(CustomCommand::new_static(command, ClusterHash::FirstKey, false), args).await;
    router.abort();
    outcome
}

/// Returns how many scripts a server has run.
pub(crate) async fn scripts(server: &RedisServer) -> u64 {
    let info = ask(server, "INFO", vec!["commandstats".into()]).await.expect("the command works");
    let info = info.into_string().expect("a text");
    let calls = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    calls("evalsha") + calls("eval")
}

/// Returns the server that owns the slot of a key at the start.
pub(crate) fn owner(key: &str) -> usize {
    let slot = redis_keyslot(key.as_bytes());
    RANGES.iter().position(|range| range.contains(&slot)).expect("every slot has an owner")
}

/// Returns the cluster of all tests that do not change it, and an unused key prefix.
pub(crate) async fn shared() -> (&'static Servers, String) {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let prefix = format!("t{}:", TESTS.fetch_add(1, Ordering::Relaxed));
    (SERVERS.get_or_init(Servers::start).await, prefix)
}

/// Starts a server in cluster mode.
pub(crate) fn launch(folder: PathBuf, options: &[&str]) -> RedisServer {
    fs::create_dir_all(&folder).expect("a folder");
    let folder = folder.to_str().expect("a plain name");
    let all = ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--dir", folder];
    RedisServer::start_with(&[&all[..], options].concat())
}
