//! What an operator types into redis-cli.

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};

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
