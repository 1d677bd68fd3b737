//! Addresses and clients that are refused, and errors without secrets.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{
        RespVersion,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, ServerConfig},
    },
};
use tower_jwt_sessions::{
    ConfigError,
    error::ConfigErrorKind,
    redis::RedisStore,
    store::{LogPosition, SessionStore as _},
    testing::conformance::{self, STEP_LIMIT},
};

use super::redis::{Raw, chain, id, new_session, user};
use crate::support::redis_server::{self, RedisServer};

const SECRET: &str = "hunter2";

async fn refused(url: &str) -> ConfigError {
    RedisStore::connect(url).await.err().unwrap_or_else(|| panic!("{url} must be refused"))
}

#[tokio::test]
async fn unsupported_deployments_are_refused_with_help() {
    let cases = [
        ("valkey-sentinel://localhost:26379?sentinelServiceName=x", "redis-sentinel://"),
        ("redis+sentinel://localhost:26379/x", "redis-sentinel://"),
        ("redis+unix:///run/redis.sock", "TCP"),
        ("unix:///run/redis.sock", "TCP"),
        ("valkey://localhost", "redis://"),
        ("valkey-cluster://localhost", "redis-cluster://"),
        ("valkeys-cluster://localhost", "rediss-cluster://"),
        ("http-cluster://localhost", "redis://"),
        ("http://localhost", "redis://"),
    ];
    for (url, expected) in cases {
        let error = refused(url).await;
        assert_eq!(error.kind(), ConfigErrorKind::InvalidStore, "{url}: {error}");
        let text = error.to_string();
        let help = text.strip_prefix("unsupported Redis URL scheme ").and_then(|text| text.split_once(": "));
        assert!(help.is_some_and(|(_, help)| help.contains(expected)), "{url}: {error}");
    }
}

#[tokio::test]
async fn invalid_addresses_are_refused_without_quoting_them() {
    let cases = [
        "",
        "localhost:6379",
        ":hunter2@localhost",
        "redis:hunter2@localhost",
        "hunter2@redis://localhost",
        "user:hunter2@redis://localhost",
        "redis://",
        "redis://:hunter2@",
        "redis://:hunter2@localhost:port",
        "redis://:hunter2@localhost:99999",
        "redis://:hunter2@localhost/database",
        "redis://:hunter2@localhost/0/1",
        "redis://:hunter2@localhost/999",
        "redis://:hunter2@local host",
        "redis://:hunter2@localhost?ssl=true",
        "redis://:hunter2#x@localhost",
        "redis://:hunter2%ff@localhost/x",
    ];
    for url in cases {
        let error = refused(url).await;
        assert!(
            error.kind() == ConfigErrorKind::InvalidStore && error.to_string().contains("invalid Redis URL"),
            "{url}: {error:?}"
        );
        assert!(!chain(&error).contains(SECRET), "{error}");
    }
}

#[tokio::test]
async fn unreachable_server_is_error_at_once() {
    let mut server = RedisServer::start();
    let url = server.url();
    server.kill();
    let begun = Instant::now();
    let error = refused(&url.replace("://", "://user:hunter2@")).await;
    assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(!chain(&error).contains(SECRET), "{error}");
}

#[tokio::test]
async fn silent_server_is_error() {
    let server = RedisServer::start();
    server.freeze();
    let begun = Instant::now();
    for url in [server.url(), server.url().replace("://", "://:hunter2@")] {
        let error = refused(&url).await;
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{error:?}");
        assert!(!chain(&error).contains(SECRET), "{error}");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn tls_address_without_tls_feature_is_refused() {
    let (server, _) = redis_server::shared();
    let url = format!("rediss://:{SECRET}@127.0.0.1:{}", server.port());
    let begun = Instant::now();
    let error = refused(&url).await;
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(!chain(&error).contains(SECRET), "{error}");
    if cfg!(feature = "redis-rustls") {
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "the server has no TLS: {error:?}");
    } else {
        assert!(
            error.kind() == ConfigErrorKind::InvalidStore && error.to_string().contains("unsupported Redis URL scheme"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn errors_of_connecting_say_what_helps() {
    let open = RedisServer::start();
    let closed = RedisServer::start_with(&["--requirepass", SECRET]);
    let admin = Raw::connect(&open).await;
    admin.command("ACL", &["SETUSER", "reader", "on", "nopass", "-@all"]).await;
    let with = |server: &RedisServer, credentials: &str| server.url().replace("://", &format!("://{credentials}@"));
    let cluster = |server: &RedisServer| server.url().replace("redis://", "redis-cluster://");
    let mut cases = vec![
        ("redis://127.0.0.1:1".to_owned(), "no server listens there"),
        ("redis-cluster://127.0.0.1:1".to_owned(), "no server listens there"),
        ("redis://redis.invalid".to_owned(), "the name of the host is unknown"),
        (closed.url(), "it requires a password"),
        (cluster(&closed), "it requires a password"),
        (with(&closed, ":hunter3"), "check the user and the password"),
        (cluster(&open), "it is no cluster: write redis://"),
        (format!("{}/99", open.url()), "no database of that number"),
        (format!("{}/1", with(&open, "reader:hunter3")), "'select' command"),
        (format!("{}/1", with(&open, "reader:hunter3")), "allow the user this command"),
        (cluster(&open).replace("://", "://reader:hunter3@"), "allow the user this command"),
    ];
    if cfg!(feature = "redis-rustls") {
        cases.push((open.url().replace("redis://", "rediss://"), "write redis:// for a port without TLS"));
    }
    for (url, help) in cases {
        let error = refused(&url).await;
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with("Redis unreachable (") && text.contains(help), "{url}: {help} is not in {text}");
    }
}

#[tokio::test]
async fn passwords_work_and_are_not_printed() {
    let server = RedisServer::start_with(&["--requirepass", "hunter2@:/?#"]);
    let url = |password: &str| server.url().replace("://", &format!("://:{password}@"));
    let store = RedisStore::connect(&url("hunter2%40%3A%2F%3F%23")).await.unwrap();
    store.create(&new_session(1)).await.unwrap();
    assert!(store.find(&user(), id(1)).await.unwrap().is_some());
    let shown = format!("{store:?}");
    assert!(shown.contains("RedisStore") && !shown.contains(SECRET), "{shown}");

    for wrong in [url("hunter2-wrong"), server.url()] {
        let error = refused(&wrong).await;
        assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{error:?}");
        assert!(!chain(&error).contains(SECRET), "{error}");
    }
}

#[tokio::test]
async fn server_error_repeating_password_is_not_quoted() {
    // The server then returns: unknown command 'AUTH', with args beginning with: 'hunter2'.
    let server = RedisServer::start_with(&["--rename-command", "AUTH", ""]);
    for credentials in [":hunter2@", "hunter2:hunter2@"] {
        let url = server.url().replace("://", &format!("://{credentials}"));
        for url in [url.clone(), url.replace("redis://", "redis-cluster://")] {
            let error = refused(&url).await;
            assert_eq!(error.kind(), ConfigErrorKind::StoreUnreachable, "{error:?}");
            assert!(!chain(&error).contains(SECRET), "{error}");
            let store = RedisStore::connect_in_background(&url).unwrap();
            let error = store.find(&user(), id(1)).await.unwrap_err();
            assert!(!chain(&error).contains(SECRET), "{}", chain(&error));
            let error = store.read_log(LogPosition::START, Duration::from_secs(1)).await.unwrap_err();
            assert!(!chain(&error).contains(SECRET), "{}", chain(&error));
        }
    }
}

#[tokio::test]
async fn key_prefixes_with_braces_or_control_characters_are_refused() {
    let (server, _) = redis_server::shared();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    for prefix in ["{", "}", "a{b}:", "a\n", "\0", "a\u{7f}"] {
        assert!(
            store.clone().key_prefix(prefix).is_err_and(
                |error| error.kind() == ConfigErrorKind::InvalidStore && error.to_string().contains("key prefix")
            ),
            "{prefix:?}"
        );
    }
    for prefix in ["", "shop:", "ü ", "a/b"] {
        assert!(store.clone().key_prefix(prefix).is_ok(), "{prefix:?}");
    }
}

fn performance() -> PerformanceConfig {
    PerformanceConfig { default_command_timeout: Duration::from_millis(400), ..PerformanceConfig::default() }
}

fn connection() -> ConnectionConfig {
    ConnectionConfig { max_command_attempts: 1, ..ConnectionConfig::default() }
}

fn policy() -> Option<ReconnectPolicy> {
    Some(ReconnectPolicy::new_exponential(0, 50, 1000, 2))
}

#[tokio::test]
async fn clients_without_timeout_or_with_retries_are_refused() {
    let clustered = || Config {
        server: ServerConfig::new_clustered(vec![("localhost", 6379)]),
        password: Some(SECRET.to_owned()),
        ..Config::default()
    };
    let plain = || Config { password: Some(SECRET.to_owned()), ..Config::default() };
    let cases = [
        (Client::default(), "default_command_timeout"),
        (Client::new(plain(), None, Some(connection()), policy()), "default_command_timeout"),
        (Client::new(plain(), Some(performance()), None, policy()), "max_command_attempts"),
        (Client::new(plain(), Some(performance()), Some(connection()), None), "ReconnectPolicy"),
        (Client::new(clustered(), None, Some(connection()), policy()), "default_command_timeout"),
        (Client::new(clustered(), Some(performance()), Some(connection()), None), "ReconnectPolicy"),
    ];
    for (client, expected) in cases {
        let error = RedisStore::new(client).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidStore);
        let text = error.to_string();
        assert!(text.starts_with("the Redis client ") && text.contains(expected), "{error}");
        assert!(!chain(&error).contains(SECRET));
    }
}

#[tokio::test]
async fn application_client_works() {
    let (server, prefix) = redis_server::shared();
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        let config = Config { version: version.clone(), ..Config::from_url(&server.url()).unwrap() };
        // The suite is not about time limits.
        let performance = PerformanceConfig { default_command_timeout: STEP_LIMIT, ..performance() };
        let client = Client::new(config, Some(performance), Some(connection()), policy());
        client.init().await.unwrap();
        let cases = Cell::new(0);
        conformance::run(async |clock| {
            cases.set(cases.get() + 1);
            let store = RedisStore::new(client.clone()).unwrap();
            store.key_prefix(format!("{prefix}{version:?}:{}:", cases.get())).unwrap().with_clock(clock)
        })
        .await;
        assert!(client.ping::<String>(None).await.is_ok(), "the client of the application is closed");
    }
}

#[tokio::test]
async fn unconnected_client_is_error_at_once() {
    let client = Client::new(Config::default(), Some(performance()), Some(connection()), policy());
    let store = RedisStore::new(client).unwrap();
    let begun = Instant::now();
    let error = store.find(&user(), id(1)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
    assert!(chain(&error).contains("not connected"), "{}", chain(&error));
}
