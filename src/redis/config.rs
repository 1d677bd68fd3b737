//! The settings of clients, from a URL or checked.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error as FredError,
    interfaces::ClientLike,
    types::config::{
        Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig,
        UnresponsiveConfig,
    },
};

use super::reply::without_arguments;
use crate::error::{BoxError, ConfigError, ConfigErrorKind};

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

/// What a URL names, not connected yet.
pub(super) enum Target {
    One(Client),
    Cluster(Client),
    /// The settings of a client for the master, and how to ask the sentinels for it.
    Sentinels(Client, Config),
}

pub(super) fn target(url: &str) -> Result<Target, ConfigError> {
    let Scheme { tls, deployment, address } = split_scheme(url)?;
    #[cfg(feature = "redis-rustls")]
    let tls = if tls { Some(super::tls::config()?) } else { None };
    #[cfg(not(feature = "redis-rustls"))]
    debug_assert!(!tls, "refused above");
    // fred's own set-up of TLS panics when rustls was compiled with two providers.
    let client = |config| {
        #[cfg(feature = "redis-rustls")]
        let config = Config { tls: tls.clone(), ..config };
        Client::new(config, Some(performance()), Some(connection()), Some(policy()))
    };
    if let Deployment::Sentinels = deployment {
        if url.contains('#') {
            return Err(invalid_sentinels());
        }
        let (master, sentinels) = sentinels(address)?;
        return Ok(Target::Sentinels(client(master), client(sentinels).client_config()));
    }
    let cluster = matches!(deployment, Deployment::Cluster);
    let (server, query) = address.split_once('?').map_or((address, None), |(server, query)| (server, Some(query)));
    // Refused, since it would be ignored.
    if url.contains('#') || query.is_some_and(|query| !cluster || !query.split('&').all(names_node)) {
        return Err(invalid(if cluster {
            "it has a fragment, or more in its query than node=host:port; write ? and # in a password as %3F and %23"
        } else {
            "it has a query or a fragment; write ? and # in a password as %3F and %23"
        }));
    }
    let plain = if cluster {
        if server.split_once('/').is_some_and(|(_, database)| !matches!(database, "" | "0")) {
            return Err(invalid("it names a database, and a cluster has only one"));
        }
        Config::from_url_clustered(&format!("redis-cluster://{address}"))
    } else {
        Config::from_url_centralized(&format!("redis://{address}"))
    };
    // These messages are constants, which do not repeat the URL.
    let config = plain.map_err(|error| invalid(error.details()))?;
    Ok(if cluster { Target::Cluster(client(config)) } else { Target::One(client(config)) })
}

/// Reads `[user:password@]host:port[/database]?sentinelServiceName=…[&node=host:port][&sentinelUsername=…]`
/// `[&sentinelPassword=…]`: the settings of the master, whose address is not known yet, and those of the sentinels.
fn sentinels(address: &str) -> Result<(Config, Config), ConfigError> {
    let (first, query) = address.split_once('?').ok_or_else(invalid_sentinels)?;
    let at = first.rsplit('@').next().and_then(|at| at.split('/').next()).unwrap_or_default();
    let (mut hosts, mut name, mut user, mut password) = (vec![at], None, "", "");
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("node", host)) => hosts.push(host),
            Some(("sentinelServiceName", value)) if !value.is_empty() && !value.contains('%') => name = Some(value),
            Some(("sentinelUsername", value)) => user = value,
            Some(("sentinelPassword", value)) => password = value,
            _ => return Err(invalid_sentinels()),
        }
    }
    let read = |url: &str| Config::from_url_centralized(url).map_err(|_| invalid_sentinels());
    let mut servers = Vec::with_capacity(hosts.len());
    for host in hosts {
        // The default would be that of Redis.
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let server = read(&format!("redis://{host}"))?.server.hosts().into_iter().next();
        let Server { host, port, .. } = server.filter(|_| has_port).ok_or_else(invalid_sentinels)?;
        servers.push((host.to_string(), port));
    }
    let server = ServerConfig::new_sentinel(servers, name.ok_or_else(invalid_sentinels)?);
    let credentials =
        if user.is_empty() && password.is_empty() { String::new() } else { format!("{user}:{password}@") };
    let sentinels = Config { server, fail_fast: true, ..read(&format!("redis://{credentials}{at}"))? };
    Ok((read(&format!("redis://{first}"))?, sentinels))
}

fn invalid_sentinels() -> ConfigError {
    invalid_store(
        "invalid Redis URL: write redis-sentinel://[user:password@]host:port[/database]?sentinelServiceName=name, with \
         the sentinels as host:port and &node=host:port, and their own password, if they have one, as &sentinelPassword=",
    )
}

/// Returns whether a part of the query names another server of the cluster: `node=host:port`.
fn names_node(part: &str) -> bool {
    let address = part.strip_prefix("node=").and_then(|node| node.split_once(':'));
    address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
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

enum Deployment {
    One,
    Cluster,
    Sentinels,
}

struct Scheme<'a> {
    tls: bool,
    deployment: Deployment,
    /// What follows.
    address: &'a str,
}

/// Splits off the scheme, and refuses all but `redis`, `rediss` and those of clusters and sentinels.
fn split_scheme(url: &str) -> Result<Scheme<'_>, ConfigError> {
    let Some((scheme, address)) = url.split_once("://") else { return Err(invalid("it has no scheme")) };
    let scheme = scheme.to_ascii_lowercase();
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        // Not shown, since it may be a password.
        return Err(invalid("it does not begin with a scheme"));
    }
    let (kind, deployment) = match scheme.rsplit_once('-') {
        Some((kind, "cluster")) => (kind, Deployment::Cluster),
        Some((kind, "sentinel")) => (kind, Deployment::Sentinels),
        _ => (&*scheme, Deployment::One),
    };
    let help = match (kind, &deployment) {
        ("redis", _) => return Ok(Scheme { tls: false, deployment, address }),
        ("rediss", _) if cfg!(feature = "redis-rustls") => return Ok(Scheme { tls: true, deployment, address }),
        ("rediss", _) => "enable the feature redis-rustls",
        ("valkey", Deployment::Cluster) => "write redis-cluster://",
        ("valkeys", Deployment::Cluster) => "write rediss-cluster://",
        ("valkey", Deployment::Sentinels) => "write redis-sentinel://",
        ("valkeys", Deployment::Sentinels) => "write rediss-sentinel://",
        ("valkey", Deployment::One) => "write redis://",
        ("valkeys", Deployment::One) => "write rediss://",
        _ if scheme.ends_with("+sentinel") => "write redis-sentinel://",
        _ if scheme.ends_with("unix") => "use TCP, or give a fred client with a Unix socket to RedisStore::new",
        _ => "write redis:// or rediss://",
    };
    Err(invalid_store(format!("unsupported Redis URL scheme {scheme:?}: {help}")))
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

/// Returns the error for a server that could not be reached, with what probably helps.
pub(super) fn unreachable(error: impl Into<BoxError>, remedy: &str) -> ConfigError {
    let source = error.into();
    ConfigError::new(ConfigErrorKind::StoreUnreachable, format!("Redis unreachable ({source}): {remedy}"))
        .caused_by(source)
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

/// The URL itself is not shown, since it may hold a password.
fn invalid(problem: &str) -> ConfigError {
    invalid_store(format!("invalid Redis URL ({problem}): write redis://[user:password@]host[:port][/database]"))
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
