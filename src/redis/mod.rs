//! Sessions in Redis or Valkey, shared by every node.
//!
//! Needs Redis 6.2 or later, or Valkey: one server, one with replicas behind one address, or a cluster. Every step is
//! one Lua script, so it happens entirely or not at all, and its time is the server's.
//!
//! # What is stored
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{prefix}sessions:{user}` | hash | for each session its 16-byte id and the packed record of 62 bytes |
//! | `{prefix}session-data:{user}` | hash | user agent, address and the application's data; when access was expired last; in a cluster also what is still to be published |
//! | `{prefix}sessions:log` | stream | what ended, for as long as access tokens live |
//!
//! `user` is the base64url form of the user id, in braces. No value is a token or a key, so a copy of the database
//! opens no session. Every key has a time to live and vanishes by itself: no sweeping is needed.
//!
//! Set `maxmemory-policy noeviction`: a server that evicts keys logs users out and forgets revocations, those first
//! under `volatile-ttl`.
//!
//! # When Redis is away
//!
//! Every step fails within half a second, at once when the connection is known to be down, and is never sent twice.
//! The connection is made again in the background. A *failover to a replica* may lose the last writes; see
//! [`SessionRecord::rotate`](crate::store::SessionRecord::rotate) for what that does to refreshes.
//!
//! # In a cluster
//!
//! The two keys of a user are on one server, the log on another, and no script can change both. A step that ends
//! sessions removes them and keeps with the user what is to be published, appends that to the log, and then forgets
//! it: three scripts instead of one. All other steps are one script as elsewhere. Where it stops in between, the
//! operation reports a failure, the sessions are over, and their access tokens are refused everywhere as soon as a
//! retry, or a later request of that user, has published it.
//!
//! A server that is away takes along only the users whose keys it has; with the log's server away, nothing can be ended
//! and verified requests are served on. That needs `cluster-require-full-coverage no`: by default Redis itself refuses
//! everything then. Slots may be moved while serving; for as long as the keys of one are under way, its users may be told
//! to try again. With TLS, the certificates must name the servers as `CLUSTER SLOTS` does.
//!
//! # What cannot be read
//!
//! A value that is no session record of a known version is an error for every step that meets it, and never removed
//! or taken for "no session". One step repairs it: ending *all* sessions of the user removes it, and publishes its
//! session as ended.

mod cluster;
mod connection;
mod log;
mod reply;
mod scripts;
mod settings;
#[cfg(feature = "redis-rustls")]
mod tls;

use std::{fmt, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fred::{clients::Client, interfaces::ClientLike, types::Value};

use self::{
    cluster::{Cluster, Keys},
    connection::{Call, Connection},
    log::Tail,
    reply::{Reply, Unreadable},
    scripts::{Step, bytes, duration, duration_rounded_up, integer, optional, time},
};
use crate::{
    clock::{Clock, Timestamp},
    error::{BoxError, ConfigError},
    id::{SessionId, UserId},
    policy::{ReplayWindow, WhenFull},
    store::{
        AccessExpiry, ClaimsAge, CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, PutData,
        PutOutcome, RotateOutcome, RotateSession, Rotation, SessionData, SessionList, SessionRecord, SessionStore,
        StoreError, WhichSessions,
    },
};

/// The oldest gives way to one more.
const MAX_TOMBSTONES_OF_A_USER: u64 = 100;

/// A [`SessionStore`] in Redis or Valkey. Clones share its connection.
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
/// have lost it; a tombstone keeps repeats from publishing again.
#[derive(Clone)]
pub struct RedisStore {
    servers: Arc<Servers>,
    tail: Arc<Tail>,
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
    /// some of its servers: one that answers is enough, and tells which others there are.
    ///
    /// Reserved characters in user name and password are percent-encoded. The connection is made again whenever it
    /// breaks; only this first attempt is not repeated, so that a wrong address is noticed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnsupportedRedisUrl`] for any other scheme, [`ConfigError::InvalidRedisUrl`] for a URL that
    /// cannot be read, and [`ConfigError::StoreUnreachable`] when the server does not answer within seconds or does
    /// not let us in. None of them repeats the password.
    pub async fn connect(url: &str) -> Result<Self, ConfigError> {
        let client = settings::client(url)?;
        Ok(Self::over(match client.is_clustered() {
            true => Servers::Cluster(Cluster::open(client).await?),
            false => Servers::One(Connection::open(client).await?),
        }))
    }

    /// Uses a client of the application, already connected: for TLS with certificates of your own, for sentinels, or
    /// to share one connection. The revocation log is awaited on a connection with the same settings.
    ///
    /// Of a client for a cluster only the settings are used, for connections to each of its servers: fred's own serve
    /// nothing while one of the servers is away.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnsafeRedisClient`] when the client waits for ever, sends commands twice or never reconnects, as
    /// with fred's defaults.
    pub fn new(client: Client) -> Result<Self, ConfigError> {
        settings::check(&client)?;
        Ok(Self::over(match client.is_clustered() {
            true => Servers::Cluster(Cluster::of_application(client)),
            false => Servers::One(Connection::of_application(client)),
        }))
    }

    fn over(servers: Servers) -> Self {
        Self { servers: Arc::new(servers), tail: Arc::default(), prefix: "".into(), clock: None }
    }

    /// Puts this in front of every key, for applications that share a database. Empty by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKeyPrefix`] when it contains braces or control characters.
    pub fn key_prefix(self, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        if prefix.contains(|c: char| c.is_control() || c == '{' || c == '}') {
            return Err(ConfigError::InvalidKeyPrefix);
        }
        Ok(Self { prefix: prefix.into(), ..self })
    }

    /// Judges by this clock instead of the server's. Keys still expire by the server's.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Arc::new(clock)), ..self }
    }

    fn log_key(&self) -> String {
        format!("{}sessions:log", self.prefix)
    }

    /// Takes a step over the keys of a user.
    async fn run(
        &self,
        step: &'static Step,
        user: &UserId,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<Reply, BoxError> {
        Ok(self.take(step, user, args).await?.0)
    }

    /// Takes a step, and tells which sessions an earlier one ended that could not finish.
    async fn take(
        &self,
        step: &'static Step,
        user: &UserId,
        args: impl IntoIterator<Item = Value>,
    ) -> Result<(Reply, Vec<SessionId>), BoxError> {
        let user = URL_SAFE_NO_PAD.encode(user.as_str());
        let sessions = format!("{}sessions:{{{user}}}", self.prefix);
        let data = format!("{}session-data:{{{user}}}", self.prefix);
        let log = self.log_key();
        let clock = self.clock.as_ref().map(|clock| clock.now());
        let args: Vec<Value> = args.into_iter().collect();
        match &*self.servers {
            Servers::One(connection) => {
                let call = Call { script: &step.whole, keys: &[sessions, data, log], clock, args: &args };
                Ok((Reply::new(connection.run(&call, connection.timeout(), false).await?), Vec::new()))
            }
            Servers::Cluster(cluster) => {
                let taken = cluster.take(step, Keys { user: [sessions, data], log }, clock, args).await?;
                Ok((Reply::new(taken.reply), Reply::new(Value::Array(vec![Value::Array(taken.met)])).session_ids()?))
            }
        }
    }

    /// Reads a live session and its data.
    async fn read(&self, user: &UserId, id: SessionId) -> Result<Option<(FoundSession, Reply)>, BoxError> {
        let mut reply = self.run(&scripts::READ, user, [sid(id)]).await?;
        let now = reply.time()?;
        let record = reply.optional_record()?.filter(|record: &SessionRecord| record.is_live(now));
        Ok(record.map(|record| (FoundSession { record, now }, reply)))
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

fn sid(id: SessionId) -> Value {
    bytes(id.as_bytes())
}

/// The arguments of `are_claims_outdated`.
fn claims(claims: Option<ClaimsAge>) -> [Value; 3] {
    let nothing = || bytes(b"");
    let known = claims.and_then(|claims| claims.newer_than);
    [
        claims.map_or_else(nothing, |claims| duration(claims.age)),
        known.map_or_else(nothing, |known| time(known.at)),
        known.map_or_else(nothing, |known| integer(known.epoch)),
    ]
}

fn expiry(reply: &mut Reply) -> Result<AccessExpiry, BoxError> {
    Ok(AccessExpiry { at: reply.time()?, epoch: reply.integer()? })
}

fn failed(doing: &'static str) -> impl FnOnce(BoxError) -> StoreError {
    move |source| StoreError::new(doing, source)
}

impl SessionStore for RedisStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let step = async {
            let ip = new.device.ip.map(|ip| ip.to_string());
            let args = [
                sid(new.id),
                duration(new.refresh_lifetime),
                duration(new.absolute_lifetime),
                duration(new.log_retention),
                integer(new.limit.map_or(0, |limit| limit.max())),
                match new.limit.map(|limit| limit.when_full()) {
                    Some(WhenFull::Refuse) => bytes(b"refuse"),
                    Some(WhenFull::EndLeastRecentlyRefreshed) | None => bytes(b"evict"),
                },
                new.replaces.map_or_else(|| bytes(b""), sid),
                optional(new.device.user_agent.as_deref().map(str::as_bytes)),
                optional(ip.as_deref().map(str::as_bytes)),
                optional(new.data.as_deref()),
            ];
            let args = args.into_iter().chain(claims(new.claims));
            let mut reply = self.run(&scripts::CREATE, &new.user_id, args).await?;
            let now = reply.time()?;
            match reply.word()?.as_str() {
                "limit" => Ok(CreateOutcome::LimitReached),
                "outdated" => Ok(CreateOutcome::ClaimsOutdated(expiry(&mut reply)?)),
                "created" => Ok(CreateOutcome::Created { record: reply.record()?, now, ended: reply.session_ids()? }),
                _ => Err(unknown_outcome()),
            }
        };
        step.await.map_err(failed("creating a session"))
    }

    async fn find(&self, user: &UserId, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let read = self.read(user, id).await.map_err(failed("reading a session"))?;
        Ok(read.map(|(found, _)| found))
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        let step = async {
            let presentation = &rotation.presentation;
            let length = presentation.window.length();
            let args = [
                sid(rotation.id),
                integer(presentation.generation),
                time(presentation.token_expires_at),
                match presentation.window {
                    ReplayWindow::Fixed(_) => bytes(b"fixed"),
                    ReplayWindow::UntilConfirmed(_) => bytes(b"confirmed"),
                },
                duration_rounded_up(length),
                duration_rounded_up(length.saturating_mul(2)),
                duration(presentation.refresh_lifetime),
                duration(rotation.log_retention),
            ];
            let args = args.into_iter().chain(claims(rotation.claims));
            let mut reply = self.run(&scripts::ROTATE, &rotation.user_id, args).await?;
            let now = reply.time()?;
            let rotation = match reply.word()?.as_str() {
                "ended" => return Ok(RotateOutcome::Ended),
                "reused" => return Ok(RotateOutcome::Reused),
                "outdated" => return Ok(RotateOutcome::ClaimsOutdated(expiry(&mut reply)?)),
                "current" => Rotation::Current,
                "rotated" => Rotation::Rotated,
                "repeated" => Rotation::Repeated,
                _ => return Err(unknown_outcome()),
            };
            let record = reply.record()?;
            Ok(RotateOutcome::Live { rotation, record, now, rolled_back: reply.integer::<u64>()? == 1 })
        };
        step.await.map_err(failed("rotating a session"))
    }

    async fn confirm(&self, user: &UserId, id: SessionId, generation: u32) -> Result<(), StoreError> {
        let args = [sid(id), integer(generation)];
        self.run(&scripts::CONFIRM, user, args).await.map_err(failed("confirming a session"))?;
        Ok(())
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        let step = async {
            let (which, id) = match end.which {
                WhichSessions::One(id) => ("one", sid(id)),
                WhichSessions::Proven(id) => ("proven", sid(id)),
                WhichSessions::Others(id) => ("others", sid(id)),
                WhichSessions::All => ("all", bytes(b"")),
            };
            let args = [which.into(), id, duration(end.log_retention), integer(MAX_TOMBSTONES_OF_A_USER)];
            let (mut reply, unfinished) = self.take(&scripts::END, &end.user_id, args).await?;
            reply.time()?;
            let mut ended = reply.session_ids()?;
            // The attempt before this one reported a failure.
            ended.extend(unfinished.into_iter().filter(|id| end.which.includes(*id)));
            Ok(ended)
        };
        step.await.map_err(failed("ending sessions"))
    }

    async fn list(&self, user: &UserId) -> Result<SessionList, StoreError> {
        let step = async {
            let mut reply = self.run(&scripts::LIST, user, []).await?;
            Ok(SessionList { now: reply.time()?, sessions: reply.rows(Reply::listed)? })
        };
        step.await.map_err(failed("listing sessions"))
    }

    async fn expire_access(&self, user: &UserId, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        let step = async {
            let mut reply = self.run(&scripts::EXPIRE_ACCESS, user, [duration(log_retention)]).await?;
            reply.time()?;
            reply.rows(|mut row| Ok((row.session_id()?, row.integer()?)))
        };
        step.await.map_err(failed("expiring access tokens"))
    }

    async fn get_data(&self, user: &UserId, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        let read = async { self.read(user, id).await?.map(|(_, mut reply)| reply.data()).transpose() };
        read.await.map_err(failed("reading session data"))
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        let step = async {
            // Never stored: no version is greater than the last.
            let Some(version) = put.expected_version.checked_add(1) else { return Ok(PutOutcome::Conflict) };
            let args = [
                sid(put.id),
                bytes(&put.expected_version.to_be_bytes()),
                bytes(&version.to_be_bytes()),
                bytes(&put.bytes),
            ];
            let mut reply = self.run(&scripts::PUT_DATA, &put.user_id, args).await?;
            reply.time()?;
            match reply.word()?.as_str() {
                "stored" => Ok(PutOutcome::Stored { version }),
                "conflict" => Ok(PutOutcome::Conflict),
                "ended" => Ok(PutOutcome::Ended),
                _ => Err(unknown_outcome()),
            }
        };
        step.await.map_err(failed("writing session data"))
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let key = self.log_key();
        let page = match &*self.servers {
            Servers::One(connection) => self.tail.read(&connection.client(), &key, after, wait).await,
            Servers::Cluster(cluster) => cluster.read_log(&self.tail, &key, after, wait).await,
        };
        page.map_err(failed("reading the revocation log"))
    }

    /// Redis outlives the process, so there is no such time.
    fn started_at(&self) -> Option<Timestamp> {
        None
    }
}

fn unknown_outcome() -> BoxError {
    Unreadable("an outcome of another release").into()
}
