//! The users, in SQLite.

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{self, PasswordHasher as _},
};
use serde::{Deserialize, Serialize};
use sqlx::{
    Row as _, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tower_jwt_sessions::{UserId, manager::ClaimsSource};

use crate::sessions::Claims;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Admin,
    User,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    fn of(name: &str) -> Self {
        if name == "admin" { Self::Admin } else { Self::User }
    }
}

const SCHEMA: &str =
    "CREATE TABLE users (name TEXT PRIMARY KEY, password_hash TEXT NOT NULL, role TEXT NOT NULL) STRICT";

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Users {
    pool: SqlitePool,
    /// Checked for unknown users, so that the response takes as long as for those that exist.
    dummy_hash: String,
}

impl Users {
    /// Opens a new database in memory with `alice` and `bob`.
    pub(crate) async fn open() -> Result<Self, BoxError> {
        // One connection that never closes: each has a database of its own.
        let pool = SqlitePoolOptions::new().min_connections(1).max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(SqliteConnectOptions::new().in_memory(true)).await?;
        sqlx::query(SCHEMA).execute(&pool).await?;
        let users = Self { pool, dummy_hash: hash("the password of no user".to_owned()).await? };
        users.add("alice", "wonderland", Role::Admin).await?;
        users.add("bob", "builder", Role::User).await?;
        Ok(users)
    }

    async fn add(&self, name: &str, password: &str, role: Role) -> Result<(), BoxError> {
        let query = sqlx::query("INSERT INTO users (name, password_hash, role) VALUES (?, ?, ?)");
        query.bind(name).bind(hash(password.to_owned()).await?).bind(role.name()).execute(&self.pool).await?;
        Ok(())
    }

    /// Returns whether this is the password of this user. A real site also limits the attempts for each account and
    /// address.
    pub(crate) async fn check_password(&self, name: &str, password: String) -> Result<bool, BoxError> {
        let query = sqlx::query("SELECT password_hash FROM users WHERE name = ?").bind(name);
        let found = query.fetch_optional(&self.pool).await?;
        let exists = found.is_some();
        let hash = match found {
            Some(row) => row.try_get(0)?,
            None => self.dummy_hash.clone(),
        };
        // Not on the threads that serve requests, since it is slow on purpose.
        let verified = tokio::task::spawn_blocking(move || {
            let verifier: &dyn PasswordVerifier<str> = &Argon2::default();
            verifier.verify_password(password.as_bytes(), &hash)
        });
        match verified.await? {
            Ok(()) => Ok(exists),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn set_password(&self, name: &str, password: String) -> Result<(), BoxError> {
        let query = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?");
        query.bind(hash(password).await?).bind(name).execute(&self.pool).await?;
        Ok(())
    }

    /// Returns whether there is such a user.
    pub(crate) async fn set_role(&self, name: &str, role: Role) -> Result<bool, BoxError> {
        let query = sqlx::query("UPDATE users SET role = ? WHERE name = ?").bind(role.name()).bind(name);
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Returns all users with their roles.
    pub(crate) async fn list(&self) -> Result<Vec<(String, Role)>, BoxError> {
        let rows = sqlx::query("SELECT name, role FROM users ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, Role::of(row.try_get(1)?)))).collect()
    }
}

/// Called at every login and refresh, so a new role takes effect at the next refresh and a deleted user is logged out.
impl ClaimsSource<Claims> for Users {
    async fn load(&self, user: &UserId) -> Result<Option<Claims>, BoxError> {
        let query = sqlx::query("SELECT role FROM users WHERE name = ?").bind(user.as_str());
        let row = query.fetch_optional(&self.pool).await?;
        row.map(|row| Ok(Claims { role: Role::of(row.try_get(0)?) })).transpose()
    }
}

async fn hash(password: String) -> Result<String, BoxError> {
    let hash = tokio::task::spawn_blocking(move || Argon2::default().hash_password(password.as_bytes())).await??;
    Ok(hash.to_string())
}
