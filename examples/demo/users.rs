//! The user table, in memory or in Redis. An application has a database here.

#[cfg(feature = "redis")]
mod redis;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    thread,
};

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{self, PasswordHasher as _},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, task::JoinError};
use tower_jwt_sessions::{UserId, manager::ClaimsSource};

#[cfg(feature = "redis")]
use self::redis::RedisTable;
use crate::{Claims, config::Storage};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Admin,
    User,
}

/// Not `Debug`, so that no password hash gets into a log.
#[derive(Clone, Serialize, Deserialize)]
struct User {
    password_hash: String,
    role: Role,
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    table: Table,
    /// Checked for unknown users, so that the response takes as long as for those that exist.
    dummy_hash: Arc<str>,
    /// Bounds the checks that run at the same time: each takes 19 MiB and a core for some milliseconds. A real
    /// application also limits the attempts for each account and address.
    checks: Arc<Semaphore>,
}

#[derive(Clone)]
enum Table {
    Memory(Arc<RwLock<HashMap<String, User>>>),
    #[cfg(feature = "redis")]
    Redis(RedisTable),
}

const SEED: [(&str, &str, Role); 2] = [("alice", "wonderland", Role::Admin), ("bob", "builder", Role::User)];

impl Users {
    /// Opens the table, and adds `alice` and `bob` to an empty one.
    pub(crate) async fn open(storage: &Storage) -> Result<Self, UsersError> {
        let mut seed = Vec::new();
        for (name, password, role) in SEED {
            seed.push((name, User { password_hash: hash_password(password).await?, role }));
        }
        let table = match storage {
            Storage::Memory => {
                let users = seed.into_iter().map(|(name, user)| (name.to_owned(), user));
                Table::Memory(Arc::new(RwLock::new(users.collect())))
            }
            #[cfg(feature = "redis")]
            Storage::Redis(url) => Table::Redis(RedisTable::connect(url, seed).await?),
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let dummy_hash = hash_password("the password of no user").await?.into();
        Ok(Self { table, dummy_hash, checks: Arc::new(Semaphore::new(cores)) })
    }

    /// Returns whether this is the password of this user.
    pub(crate) async fn check_password(&self, name: &str, password: String) -> Result<bool, UsersError> {
        let user = self.table.get(name).await?;
        let exists = user.is_some();
        let hash = user.map_or_else(|| self.dummy_hash.to_string(), |user| user.password_hash);
        let _permit = self.checks.acquire().await.map_err(|closed| UsersError(closed.into()))?;
        // Not on the threads that serve requests, since it is slow on purpose.
        let verified = tokio::task::spawn_blocking(move || {
            let verifier: &dyn PasswordVerifier<str> = &Argon2::default();
            verifier.verify_password(password.as_bytes(), &hash)
        });
        match verified.await? {
            Ok(()) => Ok(exists),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            // A malformed hash is an error, not a wrong password.
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the role of a user. Returns whether there is such a user.
    pub(crate) async fn set_role(&self, name: &str, role: Role) -> Result<bool, UsersError> {
        self.table.set_role(name, role).await
    }

    /// Deletes a user. Returns whether there was such a user.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, UsersError> {
        self.table.delete(name).await
    }
}

/// Called at every login and refresh, so a new role takes effect at the next refresh and a deleted user is logged out.
/// After an error the client gets a 503 and tries again.
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
            #[cfg(feature = "redis")]
            Self::Redis(table) => table.get(name).await,
        }
    }

    async fn set_role(&self, name: &str, role: Role) -> Result<bool, UsersError> {
        match self {
            Self::Memory(users) => {
                let mut users = users.write().unwrap_or_else(PoisonError::into_inner);
                Ok(users.get_mut(name).map(|user| user.role = role).is_some())
            }
            #[cfg(feature = "redis")]
            Self::Redis(table) => table.set_role(name, role).await,
        }
    }

    async fn delete(&self, name: &str) -> Result<bool, UsersError> {
        match self {
            Self::Memory(users) => Ok(users.write().unwrap_or_else(PoisonError::into_inner).remove(name).is_some()),
            #[cfg(feature = "redis")]
            Self::Redis(table) => table.delete(name).await,
        }
    }
}

async fn hash_password(password: &'static str) -> Result<String, UsersError> {
    let hash = tokio::task::spawn_blocking(|| Argon2::default().hash_password(password.as_bytes())).await??;
    Ok(hash.to_string())
}

/// The user table failed, so nothing is known about the user.
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

impl From<password_hash::Error> for UsersError {
    fn from(error: password_hash::Error) -> Self {
        Self(error.into())
    }
}

impl From<JoinError> for UsersError {
    fn from(error: JoinError) -> Self {
        Self(error.into())
    }
}
