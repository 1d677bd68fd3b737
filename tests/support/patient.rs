//! A store for tests that are not about time limits.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
};
use tower_jwt_sessions::redis::RedisStore;

/// A step may take as long as a machine needs that is busy with something else.
const STEP_LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn patient_store(url: &str, prefix: &str) -> RedisStore {
    let config = Config::from_url(url).expect("an address of the tests");
    let performance = PerformanceConfig { default_command_timeout: STEP_LIMIT, ..PerformanceConfig::default() };
    let connection = ConnectionConfig {
        connection_timeout: STEP_LIMIT,
        internal_command_timeout: STEP_LIMIT,
        max_command_attempts: 1,
        ..ConnectionConfig::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
    let client = Client::new(config, Some(performance), Some(connection), Some(policy));
    client.init().await.expect("the server runs");
    RedisStore::new(client).expect("safe settings").key_prefix(prefix).expect("a plain prefix")
}
