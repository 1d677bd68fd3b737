//! Reads URLs.

use fred::{
    clients::Client,
    interfaces::ClientLike,
    types::config::{Config, Server, ServerConfig},
};

use super::config::{self, invalid_store};
use crate::error::ConfigError;

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
    let client = |config: Config| {
        #[cfg(feature = "redis-rustls")]
        let config = Config { tls: tls.clone(), ..config };
        config::client(config)
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

/// The URL itself is not shown, since it may hold a password.
fn invalid(problem: &str) -> ConfigError {
    invalid_store(format!("invalid Redis URL ({problem}): write redis://[user:password@]host[:port][/database]"))
}
