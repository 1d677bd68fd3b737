//! Sessions in Redis or Valkey, shared by every node.
//!
//! Needs Redis 6.2 or later, or Valkey: one server, one with replicas behind one address or with Sentinel, or a cluster.
//! Every step is one Lua script, so it is atomic, and its time is the server's.
//! [`redis_in_production`](crate::redis_in_production) has the servers that the tests run on, settings, and the ACL that a
//! node needs.
//!
//! # What is stored
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{prefix}sessions:{owner}` | hash | for each session its 16-byte id and the packed record of at most 62 bytes |
//! | `{prefix}session-data:{owner}` | hash | user agent, address and the application's data; for an hour, when access was last expired and when all or the other sessions were last ended; in a cluster also revocations that are not published yet |
//! | `{prefix}sessions:log` | stream | the revocation log, kept for as long as access tokens live: for the longest time that any manager on the store asks for |
//!
//! `owner` is in braces: the [`Population`](crate::store::Population), a dot, and the user id in base64url. So managers
//! with different issuers or audiences never see each other's sessions, whatever the prefix. No value is a token or a
//! key, so a copy of the database gives access to no session. Every key has a time to live, so no clean-up is needed.
//!
//! Set `maxmemory-policy noeviction`: a server that evicts keys logs users out and loses revocations, those first under
//! `volatile-ttl`.
//!
//! # When Redis is unavailable
//!
//! Every step fails within half a second, at once when the connection is known to be down, and is never sent twice. The
//! client reconnects in the background, and the log states the cause, once for each kind of error. It also reconnects
//! when the server has become a replica, since another server may answer at the address. For nodes that may start
//! before Redis there is [`RedisStore::connect_in_background`]. A *failover to a replica* may lose the last writes; see
//! [`SessionRecord::rotate`](crate::store::SessionRecord::rotate) for what that does to refreshes.
//!
//! Limits of a client that the store makes itself (one of an application has its own, see [`RedisStore::new`]):
//!
//! | what | limit |
//! |---|---|
//! | a step | 500 ms; never sent twice |
//! | to connect, TLS included | 2 s |
//! | `AUTH` and `SELECT` | 1 s |
//! | a connection that answers nothing while a step waits | given up after 2 s |
//! | an idle connection | asked for the server's time every 2 s, so that no firewall forgets it unnoticed |
//! | to reconnect | after 50 ms, doubling up to 1 s, without end |
//! | steps that wait for the connection | 16384; more are refused at once |
//!
//! # When Redis is restored from a back-up
//!
//! A node that knows of an end keeps refusing that session and its refreshes for as long as access tokens live. Redis
//! itself does not know of it, and neither does a node that starts afterwards: there the session and its refresh token
//! are valid again. So after a restore, end the sessions of every user whose sessions may have ended since the back-up,
//! or drop all of them: after a `FLUSHDB` no client can refresh, and all users are logged out when their access tokens
//! expire.
//!
//! # In a cluster
//!
//! The two keys of a user are on one server, the log on another, and no script can change both. A step that ends
//! sessions removes them and stores the unpublished revocations with the user, appends those to the log, and then
//! removes them: three scripts instead of one. All other steps are one script as elsewhere. If it stops in between, the
//! operation reports a failure, the sessions have ended, and their access tokens are refused everywhere as soon as a
//! retry, or a later request of that user, has published that.
//!
//! An unavailable server affects only the users whose keys it has. Without the log's server no session can be ended,
//! and verified requests are served. That needs `cluster-require-full-coverage no`: by default Redis itself refuses all
//! commands then. Slots may be moved while serving; while the keys of one are being moved, requests of its users may be
//! answered with `503`. With TLS, the certificates must name the servers as `CLUSTER SLOTS` does.
//!
//! # With Sentinel
//!
//! `redis-sentinel://` asks the sentinels for the address of the master four times a second, and moves to another one
//! within that time. A client that waits until its connection breaks, as fred's own does, would go on for some ten seconds
//! after `SENTINEL FAILOVER`: so long the old master accepts writes, which are then lost.
//!
//! What remains is the time in which the sentinels themselves do not tell of the new master yet, about a second, and what
//! had not reached the replica. A master that is cut off from its replicas and sentinels, but not from a node, accepts
//! writes for longer. Let it refuse them:
//!
//! ```text
//! min-replicas-to-write 1
//! min-replicas-max-lag 10
//! ```
//!
//! Redis 6.2 does not apply these to scripts; Redis 7 and Valkey do. With a single replica, the old master then refuses
//! writes as soon as the replica has left it, and no more is lost than was on its way. The new master refuses them, too,
//! until the old one follows it: some ten seconds of `503`. With two or more replicas the old master may still have one,
//! and accept writes, and the new master has one at once. See *A replica was promoted* on the
//! [operations page](crate::operations).
//!
//! # Users with many sessions
//!
//! A login and a refresh cost the same however many sessions the user has. Without a limit, a login looks at four of
//! them, chosen at random, and removes those that have expired, so that at most about a quarter of what is stored has
//! expired. With a limit it looks at all of them, but only when the limit may be reached. The first login after a limit
//! was lowered ends all surplus sessions in one script.
//!
//! Operations on all sessions of a user (the list, ends of all or of the others, the expiry of access) take one script
//! for every 250 of them, so that no user blocks the server. If one of the scripts fails, the operation reports a
//! failure: what it ended is published, and a retry ends the rest.
//!
//! # Unreadable values
//!
//! A value that is no session record of a known version is an error for every step that reads it, and never removed or
//! taken for "no session". A login reads it only if it has to count the sessions against a limit. Ending *all* sessions
//! of the user removes it, and publishes its session as ended.

mod address;
mod batches;
mod client_guard;
mod cluster;
mod config;
mod connection;
mod connection_log;
mod remedy;
mod reply;
mod revocation_log;
mod scripts;
mod sentinel;
mod store;
#[cfg(feature = "redis-rustls")]
mod tls;

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fred::{clients::Client, interfaces::ClientLike, types::Value};
use tokio::runtime::Handle;

use self::{
    address::Target,
    cluster::{Cluster, Keys},
    connection::{Connection, ScriptCall},
    reply::Reply,
    revocation_log::LogReader,
    scripts::ScriptPair,
    sentinel::Sentinels,
};
#[cfg(doc)]
use crate::store::SessionStore;
use crate::{
    clock::Clock,
    error::{BoxError, ConfigError},
    id::SessionId,
    store::Owner,
};

/// A [`SessionStore`] in Redis or Valkey. Clones share its connection.
///
/// The [module](self) has the keys, the limits and the settings of the server.
///
/// ```no_run
/// use tower_jwt_sessions::redis::RedisStore;
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://:password@localhost:6379/0").await?.key_prefix("shop:")?;
/// # let _ = store;
/// # Ok(())
/// # }
/// ```
///
/// The end of a session that a signed token names is published even when its record is missing, since the server may
/// have lost it. A tombstone prevents that repeats publish it again.
#[derive(Clone)]
pub struct RedisStore {
    servers: Arc<Servers>,
    tail: Arc<LogReader>,
    prefix: Arc<str>,
    /// Replaces the server's time.
    clock: Option<Arc<dyn Clock>>,
}

enum Servers {
    One(Connection),
    Cluster(Cluster),
}

impl RedisStore {
    /// Connects to `redis://[user:password@]host[:port][/database]`, or with the feature `redis-rustls` to
    /// `rediss://…`, which trusts the certificates that the system trusts.
    ///
    /// A cluster is `redis-cluster://[user:password@]host[:port][?node=host:port&node=…]` or `rediss-cluster://…`, with
    /// some of its servers: one that answers is enough to find the others.
    ///
    /// Redis Sentinel is
    /// `redis-sentinel://[user:password@]host:port[/database]?sentinelServiceName=name[&node=host:port&node=…]` or
    /// `rediss-sentinel://…`, with the name of the master as the sentinels know it, and the addresses of some of them: one
    /// that answers is enough. User and password are those of Redis; sentinels with a password of their own get it by
    /// `&sentinelPassword=…`, and `&sentinelUsername=…`. See [With Sentinel](self#with-sentinel).
    ///
    /// Reserved characters in user name and password are percent-encoded. The client reconnects whenever the connection
    /// breaks. Only the first attempt is not repeated, so that a wrong address is an error.
    ///
    /// # Errors
    ///
    /// [`InvalidStore`](crate::error::ConfigErrorKind::InvalidStore) for any other scheme or a URL that cannot be read,
    /// and [`StoreUnreachable`](crate::error::ConfigErrorKind::StoreUnreachable) when the server does not answer within
    /// seconds or refuses the login. Neither message repeats the password.
    pub async fn connect(url: &str) -> Result<Self, ConfigError> {
        Ok(Self::over(match address::target(url)? {
            Target::One(client) => Servers::One(Connection::open(client).await?),
            Target::Cluster(client) => Servers::Cluster(Cluster::open(client).await?),
            Target::Sentinels(client, sentinels) => Servers::One(Sentinels::new(sentinels).open(client).await?),
        }))
    }

    /// Connects in the background, and returns at once. Attempts are repeated without end, at most two seconds apart.
    /// With a cluster, each step that fails begins the next attempt, and so does the feed of a manager.
    ///
    /// For services that may start in any order, such as a node and its Redis after a power cut. Until Redis is
    /// available every step fails at once and is answered with `503`, and so are requests with a session
    /// (`revocations_unknown`, see
    /// [`serve_before_catch_up`](crate::manager::SessionManagerBuilder::serve_before_catch_up)), and
    /// [`SessionManager::revocation_feed`](crate::SessionManager::revocation_feed) says
    /// [`CatchingUp`](crate::revocation::FeedStatus::CatchingUp): make the readiness of the node depend on that, and do
    /// not wait for [`caught_up`](crate::revocation::RevocationFeed::caught_up) before it listens.
    ///
    /// Prefer `connect` if a supervisor restarts the program, or if a person starts it: there a wrong address or
    /// password is an error at start, here only a line in the log, once for each kind of error.
    ///
    /// # Errors
    ///
    /// [`InvalidStore`](crate::error::ConfigErrorKind::InvalidStore) as with `connect`, and
    /// [`NoRuntime`](crate::error::ConfigErrorKind::NoRuntime) outside of a tokio runtime.
    pub fn connect_in_background(url: &str) -> Result<Self, ConfigError> {
        // fred panics without one.
        Handle::try_current().map_err(|_| ConfigError::no_runtime())?;
        Ok(Self::over(match address::target(url)? {
            Target::One(client) => Servers::One(Connection::connecting(config::again(&client))),
            Target::Cluster(client) => Servers::Cluster(Cluster::unconnected(client)),
            Target::Sentinels(client, sentinels) => Servers::One(Sentinels::new(sentinels).connecting(client)),
        }))
    }

    /// Uses a client of the application, already connected: for TLS with certificates of your own, or to
    /// share one connection. The revocation log is read on a connection of its own with the same settings.
    ///
    /// Of a client for a cluster only the settings are used, for connections to each of its servers: fred's own client
    /// serves nothing while one of the servers is unavailable.
    ///
    /// The client is one of fred 10. This constructor follows fred's version and is outside of what this crate promises
    /// about its own: a minor release may move it to the next major version of fred. [`connect`](Self::connect) takes
    /// no type of fred.
    ///
    /// # Errors
    ///
    /// [`InvalidStore`](crate::error::ConfigErrorKind::InvalidStore) when the client has no command timeout, sends
    /// commands twice or never reconnects, as with fred's defaults.
    pub fn new(client: Client) -> Result<Self, ConfigError> {
        config::check(&client)?;
        Ok(Self::over(match client.is_clustered() {
            true => Servers::Cluster(Cluster::unconnected(client)),
            false => Servers::One(Connection::of_application(client)),
        }))
    }

    fn over(servers: Servers) -> Self {
        Self { servers: Arc::new(servers), tail: Arc::default(), prefix: "".into(), clock: None }
    }

    /// Sets a prefix for every key, for applications that share a database. Empty by default.
    ///
    /// # Errors
    ///
    /// [`InvalidStore`](crate::error::ConfigErrorKind::InvalidStore) when it contains braces or control characters.
    pub fn key_prefix(self, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        if prefix.contains(|c: char| c.is_control() || c == '{' || c == '}') {
            return Err(config::invalid_store(
                "key prefix with braces or control characters: use others, since braces choose the slot in Redis Cluster",
            ));
        }
        Ok(Self { prefix: prefix.into(), ..self })
    }

    /// Uses this clock instead of the server's. Keys still expire by the server's.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Arc::new(clock)), ..self }
    }

    fn log_key(&self) -> String {
        format!("{}sessions:log", self.prefix)
    }

    /// Runs a step over the keys of a user.
    async fn run(
        &self,
        step: &'static ScriptPair,
        owner: &Owner,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<Reply, BoxError> {
        Ok(self.run_and_find_unfinished(step, owner, args).await?.0)
    }

    /// Runs a step. Also returns the sessions that an earlier, unfinished step had ended.
    async fn run_and_find_unfinished(
        &self,
        step: &'static ScriptPair,
        owner: &Owner,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<(Reply, Vec<SessionId>), BoxError> {
        let owner = format!("{}.{}", owner.population(), URL_SAFE_NO_PAD.encode(owner.user_id().as_str()));
        let sessions = format!("{}sessions:{{{owner}}}", self.prefix);
        let data = format!("{}session-data:{{{owner}}}", self.prefix);
        let log = self.log_key();
        let clock = self.clock.as_ref().map(|clock| clock.now());
        let args: Vec<Value> = args.into_iter().collect();
        match &*self.servers {
            Servers::One(connection) => {
                let call = ScriptCall { script: &step.whole, keys: &[sessions, data, log], clock, args: &args };
                Ok((Reply::new(connection.run(&call, connection.timeout(), false).await?), Vec::new()))
            }
            Servers::Cluster(cluster) => {
                let outcome = cluster.run(step, Keys { user: [sessions, data], log }, clock, args).await?;
                Ok((
                    Reply::new(outcome.reply),
                    Reply::new(Value::Array(vec![Value::Array(outcome.unfinished)])).session_ids()?,
                ))
            }
        }
    }
}

impl Servers {
    fn are_connected(&self) -> bool {
        match self {
            Self::One(connection) => connection.client().is_connected(),
            Self::Cluster(cluster) => cluster.is_connected(),
        }
    }
}

impl fmt::Debug for RedisStore {
    /// Neither address nor credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("connected", &self.servers.are_connected())
            .finish_non_exhaustive()
    }
}
