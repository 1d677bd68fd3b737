//! The settings of clients, and those that are required of clients of an application.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error as FredError,
    interfaces::ClientLike,
    types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig},
};

use super::reply::without_arguments;
use crate::error::{ConfigError, ConfigErrorKind};

/// For one step of the store. Callers then still have time to answer within a second.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(500);
/// For the TCP and TLS handshakes.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// For `AUTH` and `SELECT` while connecting.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that leaves a command unanswered for this long is closed.
const UNRESPONSIVE_AFTER: Duration = Duration::from_secs(2);
const UNRESPONSIVE_CHECKS: Duration = Duration::from_millis(500);
/// Commands waiting for the connection; more are refused at once.
const MAX_QUEUED: usize = 16_384;
/// Milliseconds between two attempts to reconnect: from the first to the second, doubling, without end.
const RECONNECT_AFTER: (u32, u32) = (50, 1_000);
const RECONNECT_JITTER: u32 = 50;

/// Returns a client with the settings that the documentation lists, not connected yet.
pub(super) fn client(config: Config) -> Client {
    Client::new(config, Some(performance()), Some(connection()), Some(policy()))
}

/// Returns another client like this one, which retries if its first attempt to connect fails.
pub(super) fn again(client: &Client) -> Client {
    like(client, Config { fail_fast: false, ..client.client_config() })
}

/// Returns a client of another server with the settings of this one.
pub(super) fn like(client: &Client, config: Config) -> Client {
    let policy = client.client_reconnect_policy().unwrap_or_else(policy);
    Client::new(config, Some(client.perf_config()), Some(client.connection_config().clone()), Some(policy))
}

fn policy() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::new_exponential(0, RECONNECT_AFTER.0, RECONNECT_AFTER.1, 2);
    policy.set_jitter(RECONNECT_JITTER);
    policy
}

fn performance() -> PerformanceConfig {
    PerformanceConfig { default_command_timeout: COMMAND_TIMEOUT, ..PerformanceConfig::default() }
}

fn connection() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECTION_TIMEOUT,
        internal_command_timeout: HANDSHAKE_TIMEOUT,
        // A second attempt could repeat a script whose answer was lost.
        max_command_attempts: 1,
        max_command_buffer_len: MAX_QUEUED,
        unresponsive: UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE_AFTER), interval: UNRESPONSIVE_CHECKS },
        // Commands are small, and a request waits for each.
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

/// Refuses a client whose settings can hang a request or run a command twice.
pub(super) fn check(client: &Client) -> Result<(), ConfigError> {
    let refuse = |problem, help| Err(invalid_store(format!("the Redis client {problem}: {help}")));
    if client.perf_config().default_command_timeout.is_zero() {
        return refuse(
            "has no command timeout, so requests hang when the server stops answering",
            "set PerformanceConfig::default_command_timeout, for example to 500 ms",
        );
    }
    if client.connection_config().max_command_attempts != 1 {
        return refuse(
            "sends a command again when the connection breaks, so that it may run twice",
            "set ConnectionConfig::max_command_attempts to 1",
        );
    }
    if !client.has_reconnect_policy() {
        return refuse(
            "never reconnects",
            "give it a ReconnectPolicy, for example ReconnectPolicy::new_exponential(0, 50, 1000, 2)",
        );
    }
    Ok(())
}

/// Removes the arguments of a command from an error, and its message if that repeats user name or password: the
/// arguments of `AUTH` are the credentials, and servers differ in how they write errors.
pub(super) fn without_credentials(error: FredError, config: &Config) -> FredError {
    let error = without_arguments(error);
    let kind = error.kind().clone();
    let shown =
        |secret: &Option<String>, text: &str| secret.as_ref().is_some_and(|secret| text.contains(secret.as_str()));
    let text = without_user(error.details(), config.username.as_deref());
    if shown(&config.password, &text) || shown(&config.username, &text) {
        FredError::new(kind, "message withheld: it repeats the credentials")
    } else {
        FredError::new(kind, text)
    }
}

/// Removes the name of the user from a server's refusal of a command, which names the command, too.
fn without_user(text: &str, user: Option<&str>) -> String {
    let named = user.map(|user| format!("NOPERM User {user} has no permissions"));
    match named.as_deref().and_then(|named| text.strip_prefix(named)) {
        Some(rest) => format!("NOPERM no permissions{rest}"),
        None => text.to_owned(),
    }
}

pub(super) fn invalid_store(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::InvalidStore, message)
}

#[cfg(test)]
mod tests {
    use super::{super::connection::HEARTBEAT, *};

    /// The security page sends its readers there (OWASP ASVS 5.0, 13.1.3).
    #[test]
    fn limits_are_documented() {
        let page = include_str!("mod.rs");
        let (first, last) = RECONNECT_AFTER;
        for row in [
            format!("| a step | {} ms;", COMMAND_TIMEOUT.as_millis()),
            format!("| to connect, TLS included | {} s |", CONNECTION_TIMEOUT.as_secs()),
            format!("| `AUTH` and `SELECT` | {} s |", HANDSHAKE_TIMEOUT.as_secs()),
            format!("while a step waits | given up after {} s |", UNRESPONSIVE_AFTER.as_secs()),
            format!("| an idle connection | asked for the server's time every {} s", HEARTBEAT.as_secs()),
            format!("| to reconnect | after {first} ms, doubling up to {} s, without end |", last / 1000),
            format!("| steps that wait for the connection | {MAX_QUEUED};"),
        ] {
            assert!(page.contains(&row), "{row}");
        }
    }
}
