//! The settings, read from the environment once and checked before anything starts.

use std::{env, num::NonZeroU32, time::Duration};

use tower_jwt_sessions::{
    ConfigError, KeyRing,
    manager::SessionManagerBuilder,
    policy::{ReplayWindow, SessionLimit},
};

use crate::Claims;

pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) storage: Storage,
    access_keys: KeyRing,
    refresh_keys: KeyRing,
    // `None` leaves the default of the library.
    access_ttl: Option<Duration>,
    refresh_ttl: Option<Duration>,
    absolute_ttl: Option<Duration>,
    replay_window: Option<Duration>,
    max_sessions: Option<NonZeroU32>,
}

/// Where sessions and users are kept.
pub(crate) enum Storage {
    /// In memory, until the process ends.
    Memory,
    /// In the Redis at this URL, shared by every node.
    #[cfg(feature = "redis")]
    Redis(String),
}

impl Config {
    /// Reads all variables. The error is one line for the person who started the program.
    pub(crate) fn from_env() -> Result<Self, String> {
        let storage = Storage::from_env()?;
        let shared = !matches!(storage, Storage::Memory);
        Ok(Self {
            port: number("PORT")?.unwrap_or(3000),
            access_keys: keys("JWT_SECRET", shared)?,
            refresh_keys: keys("REFRESH_SECRET", shared)?,
            storage,
            access_ttl: seconds("ACCESS_TTL")?,
            refresh_ttl: seconds("REFRESH_TTL")?,
            absolute_ttl: seconds("ABSOLUTE_TTL")?,
            replay_window: seconds("REPLAY_WINDOW")?,
            max_sessions: number("MAX_SESSIONS")?,
        })
    }
}

impl Config {
    /// Sets keys and limits.
    pub(crate) fn apply_to(&self, builder: SessionManagerBuilder<Claims>) -> SessionManagerBuilder<Claims> {
        let (access, refresh) = (self.access_keys.clone(), self.refresh_keys.clone());
        let mut builder = builder.access_keys(access).refresh_keys(refresh);
        if let Some(lifetime) = self.access_ttl {
            builder = builder.access_lifetime(lifetime);
        }
        if let Some(lifetime) = self.refresh_ttl {
            builder = builder.refresh_lifetime(lifetime);
        }
        if let Some(lifetime) = self.absolute_ttl {
            builder = builder.absolute_lifetime(lifetime);
        }
        if let Some(window) = self.replay_window {
            builder = builder.replay_window(ReplayWindow::Fixed(window));
        }
        if let Some(max) = self.max_sessions {
            builder = builder.session_limit(SessionLimit::evict(max));
        }
        builder
    }
}

impl Storage {
    fn from_env() -> Result<Self, String> {
        match variable("REDIS_URL")? {
            None => Ok(Self::Memory),
            #[cfg(feature = "redis")]
            Some(url) => Ok(Self::Redis(url)),
            #[cfg(not(feature = "redis"))]
            Some(_) => Err("REDIS_URL is set, but this program was built without Redis: add `--features redis`".into()),
        }
    }
}

pub(crate) fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8")),
    }
}

/// Makes keys from a secret. One that is set but empty is an error: most often the deployment lost it.
fn keys(name: &str, shared: bool) -> Result<KeyRing, String> {
    let secret = match variable(name)? {
        Some(secret) => secret.into_bytes(),
        None => {
            tracing::warn!("{name} is not set: using a random one, so a restart logs all users out");
            if shared {
                tracing::warn!("{name}: nodes that share a Redis need the same secret to read each other's tokens");
            }
            random_secret()?.to_vec()
        }
    };
    KeyRing::hs256(secret).map_err(|error: ConfigError| format!("{name}: {error}"))
}

fn random_secret() -> Result<[u8; 32], String> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| "the operating system provides no random numbers".to_owned())?;
    Ok(secret)
}

pub(crate) fn seconds(name: &str) -> Result<Option<Duration>, String> {
    // The library checks the durations: it knows how they depend on each other.
    Ok(number(name)?.map(Duration::from_secs))
}

/// Reads a number: a port, a count that is not zero, seconds.
fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(name: &str) -> Result<Option<T>, String> {
    let Some(text) = variable(name)? else { return Ok(None) };
    let parsed = text.parse().map_err(|error| format!("{name}={text:?} is not a valid number: {error}"));
    parsed.map(Some)
}
