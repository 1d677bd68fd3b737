//! The user table in Redis, where all nodes see the same users.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{
        SetOptions,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, UnresponsiveConfig},
    },
};

use super::{Role, User, UsersError};

/// The key that is set once the table has been filled.
const SEEDED: &str = "demo:seeded";

#[derive(Clone)]
pub(super) struct RedisTable {
    client: Client,
    /// The users that an empty table gets.
    seed: Arc<[(&'static str, User)]>,
}

impl RedisTable {
    /// With fred's defaults, commands wait without a limit while the server is unavailable, and are sent twice.
    pub(super) async fn connect(url: &str, seed: Vec<(&'static str, User)>) -> Result<Self, UsersError> {
        let performance =
            PerformanceConfig { default_command_timeout: Duration::from_millis(500), ..PerformanceConfig::default() };
        let connection = ConnectionConfig {
            connection_timeout: Duration::from_secs(2),
            internal_command_timeout: Duration::from_secs(1),
            max_command_attempts: 1,
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(Duration::from_secs(2)),
                interval: Duration::from_millis(500),
            },
            ..ConnectionConfig::default()
        };
        // Attempts without a limit (0), with delays from 50 ms to 1 s.
        let reconnect = ReconnectPolicy::new_exponential(0, 50, 1000, 2);
        let client = Client::new(Config::from_url(url)?, Some(performance), Some(connection), Some(reconnect));
        client.init().await?;
        Ok(Self { client, seed: seed.into() })
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<User>, UsersError> {
        let (mut json, seeded): (Option<String>, Option<String>) =
            self.client.mget(vec![key(name), SEEDED.into()]).await?;
        // The server is new or was restarted without its data. A deleted user stays deleted.
        if seeded.is_none() {
            self.fill().await?;
            json = self.client.get(key(name)).await?;
        }
        Ok(json.as_deref().map(serde_json::from_str).transpose()?)
    }

    pub(super) async fn set_role(&self, name: &str, role: Role) -> Result<bool, UsersError> {
        let Some(user) = self.get(name).await? else { return Ok(false) };
        let json = serde_json::to_string(&User { role, ..user })?;
        // Only if it still exists: a user who is deleted at this moment must stay deleted.
        let written: Option<String> = self.client.set(key(name), json, None, Some(SetOptions::XX), false).await?;
        Ok(written.is_some())
    }

    pub(super) async fn delete(&self, name: &str) -> Result<bool, UsersError> {
        let deleted: u64 = self.client.del(key(name)).await?;
        Ok(deleted > 0)
    }

    /// Does not overwrite users: another node may have changed their role.
    async fn fill(&self) -> Result<(), UsersError> {
        for (name, user) in &*self.seed {
            let json = serde_json::to_string(user)?;
            let _written: Option<String> = self.client.set(key(name), json, None, Some(SetOptions::NX), false).await?;
        }
        Ok(self.client.set(SEEDED, "1", None, None, false).await?)
    }
}

fn key(name: &str) -> String {
    format!("demo:user:{name}")
}

impl From<fred::error::Error> for UsersError {
    fn from(error: fred::error::Error) -> Self {
        Self(error.into())
    }
}

impl From<serde_json::Error> for UsersError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.into())
    }
}
