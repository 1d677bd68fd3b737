//! What an operator types into redis-cli.

use std::time::{Duration, Instant};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};

use super::nodes::PATIENCE;

/// A connection to a server, as with redis-cli.
pub(crate) async fn admin(url: &str) -> Client {
    let client = Client::new(Config::from_url(url).unwrap(), None, None, None);
    client.init().await.unwrap();
    client
}

/// Sends a command, which must work.
pub(crate) async fn command(client: &Client, name: &'static str, args: &[&str]) -> Value {
    let args = args.iter().map(|arg| Value::from(*arg)).collect();
    try_command(client, name, args).await.unwrap()
}

pub(crate) async fn try_command(
    client: &Client,
    name: &'static str,
    args: Vec<Value>,
) -> Result<Value, fred::error::Error> {
    client.custom(CustomCommand::new_static(name, ClusterHash::FirstKey, false), args).await
}

/// Makes a server the replica of another one, and waits until it keeps up. That is later than its link is up: a master
/// passes commands on when the replica has confirmed that it has the copy.
pub(crate) async fn follows(replica: &Client, master: u16) {
    command(replica, "REPLICAOF", &["127.0.0.1", &master.to_string()]).await;
    let master = admin(&format!("redis://127.0.0.1:{master}")).await;
    let begun = Instant::now();
    // Refused until there are enough replicas, if the settings say so.
    while try_command(&master, "SET", ["a write", "to be copied"].map(Value::from).to_vec()).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "the master accepts no write");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    keeps_up(replica, offset(&master).await).await;
}

/// Returns how much a master has written, or a replica has copied.
pub(crate) async fn offset(server: &Client) -> u64 {
    let info = command(server, "INFO", &["replication"]).await.into_string().expect("a text");
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
    field("slave_repl_offset:").or_else(|| field("master_repl_offset:")).expect("an offset")
}

/// Waits until a replica has copied this much.
pub(crate) async fn keeps_up(replica: &Client, goal: u64) {
    let begun = Instant::now();
    while offset(replica).await < goal {
        assert!(begun.elapsed() < PATIENCE, "the replica does not keep up");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
