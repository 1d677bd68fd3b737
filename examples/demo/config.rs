//! Everything that the environment decides, read once and checked before anything starts.

use std::{env, num::NonZeroU32, time::Duration};

use tower_jwt_sessions::{ConfigError, KeyRing};

pub(crate) struct Config {
    pub(crate) port: u16,
    /// Sessions and users live in this Redis, or, without one, in this process.
    pub(crate) redis_url: Option<String>,
    pub(crate) access_keys: KeyRing,
    pub(crate) refresh_keys: KeyRing,
    // What is not set is left to the library, whose defaults fit together.
    pub(crate) access_ttl: Option<Duration>,
    pub(crate) refresh_ttl: Option<Duration>,
    pub(crate) absolute_ttl: Option<Duration>,
    pub(crate) replay_window: Option<Duration>,
    pub(crate) max_sessions: Option<NonZeroU32>,
}

impl Config {
    /// Every error is a sentence for the person who started the program.
    pub(crate) fn from_env() -> Result<Self, String> {
        let redis_url = variable("REDIS_URL")?;
        let shared = redis_url.is_some();
        Ok(Self {
            port: number("PORT")?.unwrap_or(3000),
            access_keys: keys("JWT_SECRET", shared)?,
            refresh_keys: keys("REFRESH_SECRET", shared)?,
            redis_url,
            access_ttl: seconds("ACCESS_TTL")?,
            refresh_ttl: seconds("REFRESH_TTL")?,
            absolute_ttl: seconds("ABSOLUTE_TTL")?,
            replay_window: seconds("REPLAY_WINDOW")?,
            max_sessions: number("MAX_SESSIONS")?,
        })
    }
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not valid UTF-8")),
    }
}

/// Signing keys from a secret. One that is set but empty is a mistake in the deployment, and not the same as none.
fn keys(name: &str, shared: bool) -> Result<KeyRing, String> {
    let secret = match variable(name)? {
        Some(secret) => secret.into_bytes(),
        None => {
            tracing::warn!("{name} is not set: using a random one, so that a restart logs everybody out");
            if shared {
                tracing::warn!("{name}: two nodes on one Redis cannot read each other's tokens unless it is the same");
            }
            random_secret()?.to_vec()
        }
    };
    KeyRing::hs256(secret).map_err(|error: ConfigError| format!("{name}: {error}"))
}

fn random_secret() -> Result<[u8; 32], String> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| "the operating system gives no random numbers".to_owned())?;
    Ok(secret)
}

fn seconds(name: &str) -> Result<Option<Duration>, String> {
    // Whether a duration makes sense is for the library to say, which knows how they depend on each other.
    Ok(number(name)?.map(Duration::from_secs))
}

/// A whole number of the type that it is for: a port, a count that is not zero, seconds.
fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(name: &str) -> Result<Option<T>, String> {
    let Some(text) = variable(name)? else { return Ok(None) };
    let parsed = text.parse().map_err(|error| format!("{name}={text:?} is not a number that fits here: {error}"));
    parsed.map(Some)
}
