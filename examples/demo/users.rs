//! The user table: who may log in, and as what.
//!
//! In memory, or in Redis so that several nodes see the same users. An application has a database here.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{self, PasswordHasher as _},
};
use fred::{
    clients::Client,
    interfaces::{ClientLike as _, KeysInterface as _},
    types::{
        SetOptions,
        config::{Config as RedisConfig, ConnectionConfig, PerformanceConfig, ReconnectPolicy, UnresponsiveConfig},
    },
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::JoinError};
use tower_jwt_sessions::{ClaimsSource, UserId};

use crate::Claims;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Admin,
    User,
}

/// Not `Debug`: a password hash belongs into no log.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    password_hash: String,
    role: Role,
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    table: Table,
    /// Checked when there is no such user, so that the answer takes as long as for one who exists.
    nobody: Arc<str>,
    /// One check needs 19 MiB and a core for some milliseconds: a crowd of logins waits here instead of filling the
    /// memory. A real application also limits the attempts for each account and address.
    checks: Arc<Semaphore>,
}

#[derive(Clone)]
enum Table {
    Memory(Arc<RwLock<HashMap<String, User>>>),
    /// The client, and the users that an empty table gets.
    Redis(Client, Arc<[(&'static str, User)]>),
}

const SEED: [(&str, &str, Role); 2] = [("alice", "wonderland", Role::Admin), ("bob", "builder", Role::User)];

impl Users {
    /// `redis_url`: where the table lives, in this process if nowhere.
    pub(crate) async fn open(redis_url: Option<&str>) -> Result<Self, UsersError> {
        let mut seed = Vec::new();
        for (name, password, role) in SEED {
            seed.push((name, User { password_hash: hash_password(password).await?, role }));
        }
        let table = match redis_url {
            Some(url) => Table::Redis(connect(url).await?, seed.into()),
            None => {
                let users = seed.into_iter().map(|(name, user)| (name.to_owned(), user));
                Table::Memory(Arc::new(RwLock::new(users.collect())))
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let nobody = hash_password("nobody has this password").await?.into();
        Ok(Self { table, nobody, checks: Arc::new(Semaphore::new(cores)) })
    }

    /// Whether this is the password of this user.
    pub(crate) async fn check_password(&self, name: &str, password: String) -> Result<bool, UsersError> {
        let user = self.table.get(name).await?;
        let exists = user.is_some();
        let hash = user.map_or_else(|| self.nobody.to_string(), |user| user.password_hash);
        let _permit = self.checks.acquire().await.map_err(|closed| UsersError(closed.into()))?;
        // Not on the threads that serve requests: it is meant to be slow.
        let verified = tokio::task::spawn_blocking(move || {
            let verifier: &dyn PasswordVerifier<str> = &Argon2::default();
            verifier.verify_password(password.as_bytes(), &hash)
        });
        match verified.await? {
            Ok(()) => Ok(exists),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            // Not a wrong password but a broken hash: somebody has to hear about it.
            Err(error) => Err(error.into()),
        }
    }

    /// Says whether there is such a user.
    pub(crate) async fn set_role(&self, name: &str, role: Role) -> Result<bool, UsersError> {
        self.table.set_role(name, role).await
    }

    /// Says whether there was such a user.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, UsersError> {
        self.table.delete(name).await
    }
}

/// The library asks this at every login and refresh, so a new role shows at the next refresh and a deleted user is
/// logged out. An error changes nothing: the client gets a 503 and tries again.
impl ClaimsSource<Claims> for Users {
    async fn load(&self, user: &UserId) -> Result<Option<Claims>, BoxError> {
        let user = self.table.get(user.as_str()).await?;
        Ok(user.map(|User { role, .. }| Claims { role }))
    }
}

impl Table {
    async fn get(&self, name: &str) -> Result<Option<User>, UsersError> {
        match self {
            Self::Memory(users) => Ok(users.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()),
            Self::Redis(client, seed) => {
                let (mut json, seeded): (Option<String>, Option<String>) =
                    client.mget(vec![key(name), SEEDED.into()]).await?;
                // A server that is new, or that came back empty: the demo must go on. A user who was deleted stays so.
                if seeded.is_none() {
                    fill(client, seed).await?;
                    json = client.get(key(name)).await?;
                }
                Ok(json.as_deref().map(serde_json::from_str).transpose()?)
            }
        }
    }

    async fn set_role(&self, name: &str, role: Role) -> Result<bool, UsersError> {
        match self {
            Self::Memory(users) => {
                let mut users = users.write().unwrap_or_else(PoisonError::into_inner);
                Ok(users.get_mut(name).map(|user| user.role = role).is_some())
            }
            Self::Redis(client, _) => {
                let Some(user) = self.get(name).await? else { return Ok(false) };
                let json = serde_json::to_string(&User { role, ..user })?;
                // Only if still there: a user who is deleted at this moment must not come back.
                let written: Option<String> = client.set(key(name), json, None, Some(SetOptions::XX), false).await?;
                Ok(written.is_some())
            }
        }
    }

    async fn delete(&self, name: &str) -> Result<bool, UsersError> {
        match self {
            Self::Memory(users) => Ok(users.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()),
            Self::Redis(client, _) => {
                let deleted: u64 = client.del(key(name)).await?;
                Ok(deleted > 0)
            }
        }
    }
}

/// Leaves a user alone who is there already: another node may have changed the role.
async fn fill(client: &Client, seed: &[(&str, User)]) -> Result<(), UsersError> {
    for (name, user) in seed {
        let json = serde_json::to_string(user)?;
        let _written: Option<String> = client.set(key(name), json, None, Some(SetOptions::NX), false).await?;
    }
    Ok(client.set(SEEDED, "1", None, None, false).await?)
}

/// There once the table was filled.
const SEEDED: &str = "demo:seeded";

fn key(name: &str) -> String {
    format!("demo:user:{name}")
}

/// fred's defaults wait for ever when the server goes away, and send commands twice; these settings do neither.
async fn connect(url: &str) -> Result<Client, UsersError> {
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
    // For ever (0), after 50 ms at first and 1 s at last.
    let reconnect = ReconnectPolicy::new_exponential(0, 50, 1000, 2);
    let client = Client::new(RedisConfig::from_url(url)?, Some(performance), Some(connection), Some(reconnect));
    client.init().await?;
    Ok(client)
}

async fn hash_password(password: &'static str) -> Result<String, UsersError> {
    let hash = tokio::task::spawn_blocking(|| Argon2::default().hash_password(password.as_bytes())).await??;
    Ok(hash.to_string())
}

/// The user table failed: that is no statement about any user.
#[derive(Debug)]
pub(crate) struct UsersError(BoxError);

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UsersError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<fred::error::Error> for UsersError {
    fn from(error: fred::error::Error) -> Self {
        Self(error.into())
    }
}

impl From<password_hash::Error> for UsersError {
    fn from(error: password_hash::Error) -> Self {
        Self(error.into())
    }
}

impl From<serde_json::Error> for UsersError {
    fn from(error: serde_json::Error) -> Self {
        Self(error.into())
    }
}

impl From<JoinError> for UsersError {
    fn from(error: JoinError) -> Self {
        Self(error.into())
    }
}
