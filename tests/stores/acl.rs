//! The ACLs of `docs/redis.md`: they suffice, and nothing in them is superfluous.

use std::{cell::Cell, num::NonZeroU32, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{
        Value,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
    },
};
use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    keys::DeviceKey,
    policy::{ReplayWindow, SessionLimit},
    redis::RedisStore,
    store::{
        EndSessions, LogPosition, NewSession, Owner, PutData, RefreshAttempt, RegisterDevice, RotateSession,
        SessionStore as _, WhichSessions,
    },
    testing::conformance,
};

use super::redis::chain;
use crate::{
    cluster::{
        scene::{id, log_key, slot, user_apart},
        servers::{self, Servers},
    },
    support::{folder::Folder, nodes::soon_works, owner::sessions_key, redis_server::RedisServer},
};

const HOUR: Duration = Duration::from_secs(3600);
/// Only the Redis client asks for these, and goes on without an answer.
const OF_THE_CLIENT: [&str; 2] = ["+info", "+client|id"];

/// The rules of the user under this heading of the page.
fn documented(heading: &str, user: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/redis.md");
    let chapter = page.split(&format!("\n### {heading}\n")).nth(1).expect("such a chapter");
    let chapter = chapter.split("\n### ").next().unwrap_or_default();
    let line =
        chapter.lines().find_map(|line| line.strip_prefix(&format!("user {user} "))).expect("a line of that user");
    line.split(' ').collect()
}

/// The commands of a line.
fn commands(rules: &[&'static str]) -> Vec<&'static str> {
    rules.iter().copied().filter(|rule| rule.starts_with('+')).collect()
}

fn without(rules: &[&'static str], rule: &str) -> Vec<&'static str> {
    rules.iter().copied().filter(|other| *other != rule).collect()
}

/// The servers of a topology, which an administrator without limits prepares.
struct Place<'a> {
    servers: &'a [RedisServer],
    url: String,
}

impl Place<'_> {
    async fn ask(&self, server: usize, command: &'static str, args: &[&str]) -> Value {
        let args = args.iter().map(|arg| Value::from(*arg)).collect();
        servers::ask(&self.servers[server], command, args).await.expect("the command works")
    }

    async fn everywhere(&self, command: &'static str, args: &[&str]) {
        for server in 0..self.servers.len() {
            self.ask(server, command, args).await;
        }
    }

    /// Empties all servers, forgets their scripts, and gives the user these rules.
    async fn allow(&self, rules: &[&str]) {
        self.everywhere("FLUSHALL", &[]).await;
        self.everywhere("SCRIPT", &["FLUSH"]).await;
        self.everywhere("ACL", &[&["SETUSER", "sessions", "reset"], rules].concat()).await;
        self.everywhere("ACL", &["LOG", "RESET"]).await;
    }

    /// Returns the commands that were denied, as each server writes them.
    async fn denied(&self) -> Vec<String> {
        let mut denied = Vec::new();
        for server in 0..self.servers.len() {
            for entry in self.ask(server, "ACL", &["LOG"]).await.into_array() {
                let fields = entry.into_array();
                let field = |name: &str| {
                    let at = fields.iter().position(|field| field.as_string().as_deref() == Some(name));
                    at.and_then(|at| fields.get(at + 1)?.as_string()).unwrap_or_default()
                };
                denied.push(format!("{} {}", field("reason"), field("object")));
            }
        }
        denied
    }

    async fn store(&self) -> Result<RedisStore, String> {
        RedisStore::connect(&self.url).await.map_err(|error| chain(&error))
    }
}

fn rotation(user: &Owner, id: SessionId) -> RotateSession {
    let attempt = RefreshAttempt::new(1, Timestamp::from_secs(1 << 33), ReplayWindow::default(), HOUR);
    RotateSession::new(user.clone(), id, attempt, HOUR)
}

/// Takes each step of the store, in each way that uses other commands, and returns the errors.
async fn every_step(store: &RedisStore, user: &Owner) -> Vec<String> {
    let mut new = NewSession::new(user.clone(), id(1), HOUR, HOUR, HOUR);
    new.device.user_agent = Some("agent".to_owned());
    new.data = Some(b"data".to_vec());
    let mut second = NewSession::new(user.clone(), id(2), HOUR, HOUR, HOUR);
    second.limit = Some(SessionLimit::evict(NonZeroU32::MIN));
    let key = DeviceKey::from_bytes([1; DeviceKey::LEN]);
    let end = |which| EndSessions::new(user.clone(), which, HOUR);
    let outcomes = [
        store.create(&new).await.err(),
        store.find(user, id(1)).await.err(),
        store.get_data(user, id(1)).await.err(),
        store.put_data(&PutData::new(user.clone(), id(1), 1, b"other".to_vec())).await.err(),
        store.rotate(&rotation(user, id(1))).await.err(),
        store.register_device(&RegisterDevice::new(user.clone(), id(1), key)).await.err(),
        store.confirm(user, id(1), 2).await.err(),
        store.list(user).await.err(),
        store.expire_access(user, HOUR).await.err(),
        // Evicts the first.
        store.create(&second).await.err(),
        store.end(&end(WhichSessions::Others(id(2)))).await.err(),
        store.end(&end(WhichSessions::All)).await.err(),
        store.create(&new).await.err(),
        store.end(&end(WhichSessions::One(id(1)))).await.err(),
        store.end(&end(WhichSessions::Proven(id(7)))).await.err(),
        store.read_log(LogPosition::START, Duration::ZERO).await.err(),
        store.read_log(LogPosition::START, Duration::from_millis(1)).await.err(),
    ];
    outcomes.into_iter().flatten().map(|error| chain(&error)).collect()
}

/// Returns whether the errors name what was denied. Redis 6.2 names neither the commands of scripts nor subcommands:
/// there its own log does.
fn is_named(rule: &str, errors: &[String], denied: &[String]) -> bool {
    let command = rule.trim_start_matches('+');
    let (whole, quoted) = (command.split('|').next().unwrap_or_default(), |name: &str| format!("'{name}'"));
    errors.iter().any(|error| {
        error.contains(&quoted(command))
            || error.contains(&quoted(whole))
            || error.contains("can't run this command or subcommand")
                && denied.iter().any(|denied| denied == &format!("command {whole}"))
    })
}

async fn each_command_is_needed(place: &Place<'_>, rules: &[&'static str], user: &Owner) {
    let mut failed = Vec::new();
    for rule in commands(rules) {
        if rule == "+asking" {
            // Only while slots are moved.
            continue;
        }
        place.allow(&without(rules, rule)).await;
        let errors = match place.store().await {
            Ok(store) => every_step(&store, user).await,
            Err(error) => vec![error],
        };
        let denied = place.denied().await;
        let is_as_documented = match OF_THE_CLIENT.contains(&rule) {
            true => errors.is_empty() && !denied.is_empty(),
            false => is_named(rule, &errors, &denied),
        };
        if !is_as_documented {
            failed.push(format!("{rule}: the errors are {errors:?}, denied was {denied:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    for pattern in rules.iter().filter(|rule| rule.starts_with('~')) {
        place.allow(&without(rules, pattern)).await;
        let errors = every_step(&place.store().await.expect("a connection"), user).await;
        assert!(errors.iter().any(|error| error.contains("NOPERM")), "{pattern}: {errors:?}");
    }
    place.allow(rules).await;
    assert_eq!(every_step(&place.store().await.expect("a connection"), user).await, Vec::<String>::new());
    assert_eq!(place.denied().await, Vec::<String>::new());
}

async fn suite_passes(place: &Place<'_>, rules: &[&'static str]) {
    place.allow(rules).await;
    let store = place.store().await.expect("a connection");
    let cases = Cell::new(0);
    conformance::run(async |clock| {
        cases.set(cases.get() + 1);
        place.everywhere("FLUSHALL", &[]).await;
        store.clone().with_clock(clock)
    })
    .await;
    assert!(cases.get() > 50);
    assert_eq!(place.denied().await, Vec::<String>::new());
}

fn as_user(url: &str) -> String {
    url.replace("://", "://sessions:password@")
}

#[tokio::test]
async fn documented_acl_suffices_for_one_server() {
    let server = [RedisServer::start()];
    let place = Place { url: as_user(&server[0].url()), servers: &server };
    suite_passes(&place, &documented("One server", "sessions")).await;
}

#[tokio::test]
async fn documented_acl_of_one_server_has_only_what_is_needed() {
    let server = [RedisServer::start()];
    let place = Place { url: as_user(&server[0].url()), servers: &server };
    each_command_is_needed(&place, &documented("One server", "sessions"), &user_apart("")).await;
}

#[tokio::test]
async fn documented_acl_suffices_with_prefix_and_database() {
    let server = [RedisServer::start()];
    let place = Place { url: as_user(&server[0].url()) + "/1", servers: &server };
    let rules = documented("One server", "sessions").join(" ").replace('~', "~shop:") + " +select";
    place.allow(&rules.split(' ').collect::<Vec<_>>()).await;
    let store = place.store().await.expect("a connection").key_prefix("shop:").expect("a plain prefix");
    assert_eq!(every_step(&store, &user_apart("")).await, Vec::<String>::new());
    assert_eq!(place.denied().await, Vec::<String>::new());
}

#[tokio::test]
async fn documented_acl_suffices_for_cluster() {
    let cluster = Servers::start().await;
    let place = Place { url: as_user(&cluster.url()), servers: &cluster.nodes };
    let rules = documented("Cluster", "sessions");
    suite_passes(&place, &rules).await;

    // While the slot of a user is moved, the keys that have arrived are asked for.
    let user = user_apart("");
    let key = sessions_key("", &user);
    let (from, slot) = (servers::owner(&key), slot(&key));
    let to = 3 - from - servers::owner(&log_key(""));
    place.allow(&rules).await;
    let mut new = NewSession::new(user.clone(), id(1), HOUR, HOUR, HOUR);
    new.data = Some(b"data".to_vec());
    place.store().await.expect("a connection").create(&new).await.unwrap();
    cluster.begin_move(slot, from, to).await;
    for key in [key.replace("sessions:", "session-data:"), key] {
        cluster.move_key(&key, from, to).await;
    }
    for (rules, is_allowed) in [(rules.clone(), true), (without(&rules, "+asking"), false)] {
        place.everywhere("ACL", &[&["SETUSER", "sessions", "reset"], &rules[..]].concat()).await;
        let store = place.store().await.expect("a connection");
        let outcome = store.find(&user, id(1)).await;
        assert_eq!(outcome.is_ok(), is_allowed, "{outcome:?}");
        let errors: Vec<String> = outcome.err().iter().map(|error| chain(error)).collect();
        assert_eq!(is_named("+asking", &errors, &place.denied().await), !is_allowed, "{errors:?}");
    }
}

#[tokio::test]
async fn documented_acl_of_cluster_has_only_what_is_needed() {
    let cluster = Servers::start().await;
    let place = Place { url: as_user(&cluster.url()), servers: &cluster.nodes };
    each_command_is_needed(&place, &documented("Cluster", "sessions"), &user_apart("")).await;
}

#[tokio::test]
async fn documented_acl_suffices_for_replicas() {
    let rules = documented("One server", "replica");
    let servers = [RedisServer::start(), RedisServer::start()];
    let place = Place { url: String::new(), servers: &servers };
    place.ask(0, "ACL", &[&["SETUSER", "replica", "reset"], &rules[..]].concat()).await;
    for setting in [["masteruser", "replica"], ["masterauth", "password"]] {
        place.ask(1, "CONFIG", &[&["SET"], &setting[..]].concat()).await;
    }
    place.ask(1, "REPLICAOF", &["127.0.0.1", &servers[0].port().to_string()]).await;
    let info = async || place.ask(1, "INFO", &["replication"]).await.as_string().unwrap_or_default();
    soon_works(async || info().await.contains("master_link_status:up")).await;
    assert_eq!(place.denied().await, Vec::<String>::new());
    // Every command is needed.
    for rule in commands(&rules) {
        place.ask(0, "ACL", &[&["SETUSER", "replica", "reset"], &without(&rules, rule)[..]].concat()).await;
        place.ask(0, "CLIENT", &["KILL", "TYPE", "replica"]).await;
        soon_works(async || !place.denied().await.is_empty()).await;
        place.ask(0, "ACL", &["LOG", "RESET"]).await;
    }
}

/// A client of the application.
async fn fred_client(url: &str) -> Result<Client, String> {
    let performance = PerformanceConfig { default_command_timeout: Duration::from_secs(10), ..Default::default() };
    let connection = ConnectionConfig { max_command_attempts: 1, ..Default::default() };
    let config = Config::from_url(url).map_err(|error| error.to_string())?;
    let policy = ReconnectPolicy::new_exponential(0, 50, 1000, 2);
    let client = Client::new(config, Some(performance), Some(connection), Some(policy));
    client.init().await.map_err(|error| error.to_string())?;
    Ok(client)
}

#[tokio::test]
async fn documented_acl_suffices_with_sentinel() {
    let folder = Folder::new();
    let file = folder.join("sentinel.conf");
    std::fs::write(&file, "").unwrap();
    let master = RedisServer::start();
    let path = file.to_str().unwrap();
    let sentinel = RedisServer::start_sentinel(path);
    let both = [master, sentinel];
    let place = |server: usize| Place { url: String::new(), servers: &both[server..=server] };
    let (at_master, at_sentinel) = (documented("One server", "sessions"), documented("Sentinel", "sessions"));
    let port = both[0].port().to_string();
    place(1).ask(0, "SENTINEL", &["MONITOR", "sessions", "127.0.0.1", &port, "1"]).await;
    let allow = async |rules: [&[&str]; 2]| {
        place(0).allow(rules[0]).await;
        place(1).ask(0, "ACL", &[&["SETUSER", "sessions", "reset"], rules[1]].concat()).await;
        place(1).ask(0, "ACL", &["LOG", "RESET"]).await;
    };
    let denied = async || [place(0).denied().await, place(1).denied().await].concat();

    let address = format!("127.0.0.1:{}", both[1].port());
    let url = format!("redis-sentinel://sessions:password@{address}?sentinelServiceName=sessions");
    let own = url.clone() + "&sentinelUsername=sessions&sentinelPassword=password";
    let connect = async || RedisStore::connect(&own).await.map_err(|error| chain(&error));
    allow([&at_master, &at_sentinel]).await;
    let store = connect().await.expect("a connection");
    assert_eq!(every_step(&store, &user_apart("")).await, Vec::<String>::new());
    assert_eq!(denied().await, Vec::<String>::new());
    drop(store);
    for rule in commands(&at_sentinel) {
        allow([&at_master, &without(&at_sentinel, rule)]).await;
        let (error, denied) = (connect().await.err(), denied().await);
        match OF_THE_CLIENT.contains(&rule) {
            true => assert!(error.is_none() && !denied.is_empty(), "{rule}: {error:?}, {denied:?}"),
            false => assert!(is_named(rule, error.as_slice(), &denied), "{rule}: {error:?}, {denied:?}"),
        }
    }

    // A client of the application asks for more.
    let [more_at_master, more_at_sentinel] =
        [&[&at_master[..], &["+role"]].concat(), &[&at_sentinel[..], &["+sentinel|sentinels"]].concat()];
    allow([more_at_master, more_at_sentinel]).await;
    let client = fred_client(&url).await.expect("a connection");
    let store = RedisStore::new(client.clone()).expect("safe settings");
    assert_eq!(every_step(&store, &user_apart("")).await, Vec::<String>::new());
    assert_eq!(denied().await, Vec::<String>::new());
    client.quit().await.unwrap();
    for (rule, rules) in
        [("+role", [&at_master, more_at_sentinel]), ("+sentinel|sentinels", [more_at_master, &at_sentinel])]
    {
        allow([rules[0], rules[1]]).await;
        let error = fred_client(&url).await.err();
        assert!(is_named(rule, error.as_slice(), &denied().await), "{rule}: {error:?}");
        assert!(include_str!("../../docs/redis.md").contains(&format!("`{rule}`")), "{rule}");
    }
}

#[test]
fn lines_of_the_page_differ_only_by_what_their_topology_needs() {
    let [one, cluster] = ["One server", "Cluster"].map(|heading| documented(heading, "sessions"));
    assert_eq!([&one[..], &["+cluster|slots", "+asking"]].concat(), cluster);
}
