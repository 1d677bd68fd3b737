//! A user on one server, the log on another, and failures between them.

use std::time::Duration;

use fred::{types::Value, util::redis_keyslot};
use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    policy::{ReplayWindow, SessionLimit},
    redis::RedisStore,
    store::{
        CreateOutcome, EndSessions, LogPosition, NewSession, Owner, PutData, RefreshAttempt, Revocation, RotateSession,
        SessionStore as _, StoreError, WhichSessions,
    },
    testing::TestClock,
};

use crate::{
    cluster::servers::{self, Servers},
    support::{
        owner::{owner, sessions_key},
        patient::patient_store,
    },
};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Longer than the time after which an end counts as abandoned.
pub(crate) const A_WHILE: Duration = Duration::from_secs(2);

pub(crate) struct Scene<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) store: RedisStore,
    pub(crate) clock: TestClock,
    pub(crate) prefix: String,
    pub(crate) user: Owner,
}

impl Scene<'static> {
    /// Returns a scene in the shared cluster.
    pub(crate) async fn new() -> Self {
        let (servers, prefix) = servers::shared().await;
        Self::on(servers, prefix).await
    }
}

impl<'a> Scene<'a> {
    pub(crate) async fn on(servers: &'a Servers, prefix: String) -> Self {
        let clock = TestClock::new();
        let store = patient_store(&servers.url(), &prefix).await.with_clock(clock.clone());
        let user = user_apart(&prefix);
        Self { servers, store, clock, prefix, user }
    }

    /// Returns another scene in the shared cluster, on the same connections.
    pub(crate) async fn beside(&self) -> Self {
        let (_, prefix) = servers::shared().await;
        let store = self.store.clone().key_prefix(&*prefix).expect("a plain prefix");
        Self { servers: self.servers, store, clock: self.clock.clone(), user: user_apart(&prefix), prefix }
    }

    pub(crate) fn log_key(&self) -> String {
        log_key(&self.prefix)
    }

    pub(crate) fn sessions_key(&self) -> String {
        sessions_key(&self.prefix, &self.user)
    }

    pub(crate) fn data_key(&self) -> String {
        self.sessions_key().replace("sessions:", "session-data:")
    }

    async fn at(&self, key: &str, command: &'static str, args: Vec<Value>) -> Value {
        let args = [vec![Value::from(key)], args].concat();
        self.servers.try_command(servers::owner(key), command, args).await.expect("the command works")
    }

    /// Makes publication fail: every server works, but the key of the log has another type.
    pub(crate) async fn refuse_log(&self) {
        self.rename(&self.log_key(), &self.kept_log()).await;
        self.at(&self.log_key(), "SET", vec!["text".into()]).await;
    }

    pub(crate) async fn allow_log(&self) {
        self.at(&self.log_key(), "DEL", Vec::new()).await;
        self.rename(&self.kept_log(), &self.log_key()).await;
    }

    /// Appends an entry with these fields to the log.
    pub(crate) async fn append_to_log(&self, fields: &[&[u8]]) {
        let fields = fields.iter().map(|field| Value::from(*field));
        self.at(&self.log_key(), "XADD", [Value::from("*")].into_iter().chain(fields).collect()).await;
    }

    /// A key in the slot of the log.
    fn kept_log(&self) -> String {
        format!("{{{}}}:kept", self.log_key())
    }

    /// Renames a key if it exists.
    async fn rename(&self, from: &str, to: &str) {
        let owner = servers::owner(&self.log_key());
        let _renamed = self.servers.try_command(owner, "RENAME", vec![from.into(), to.into()]).await;
    }

    /// Returns the pending ends, which are not published.
    pub(crate) async fn pending(&self) -> Option<Vec<u8>> {
        self.at(&self.data_key(), "HGET", vec!["p".into()]).await.into_owned_bytes()
    }

    pub(crate) async fn set_pending(&self, packed: &[u8]) {
        self.at(&self.data_key(), "HSET", vec!["p".into(), packed.into()]).await;
    }

    pub(crate) async fn pending_ttl(&self) -> Duration {
        Duration::from_millis(self.at(&self.data_key(), "PTTL", Vec::new()).await.as_u64().expect("a time to live"))
    }

    /// Returns whether the server has a record of the session, read without the store.
    pub(crate) async fn is_stored(&self, session: SessionId) -> bool {
        self.at(&self.sessions_key(), "HEXISTS", vec![session.as_bytes().as_slice().into()]).await.as_bool()
            == Some(true)
    }

    pub(crate) fn new_session(&self, n: u8) -> NewSession {
        NewSession::new(self.user.clone(), id(n), DAY, 30 * DAY, HOUR)
    }

    pub(crate) async fn login(&self, n: u8) {
        let created = self.store.create(&self.new_session(n)).await.expect("the store works");
        assert!(matches!(created, CreateOutcome::Created { .. }), "{created:?}");
    }

    pub(crate) fn rotation(&self, n: u8, generation: u32) -> RotateSession {
        let attempt = RefreshAttempt::new(
            generation,
            Timestamp::from_secs(1 << 33),
            ReplayWindow::Fixed(Duration::from_secs(10)),
            DAY,
        );
        RotateSession::new(self.user.clone(), id(n), attempt, HOUR)
    }

    pub(crate) async fn end(&self, which: WhichSessions) -> Result<Vec<SessionId>, StoreError> {
        self.store.end(&EndSessions::new(self.user.clone(), which, HOUR)).await
    }

    pub(crate) fn put(&self, n: u8) -> PutData {
        PutData::new(self.user.clone(), id(n), 0, b"data".to_vec())
    }

    /// Returns a login with a limit of two sessions.
    pub(crate) fn third_login(&self, n: u8) -> NewSession {
        let mut new = self.new_session(n);
        new.limit = Some(SessionLimit::evict(2.try_into().expect("not zero")));
        new
    }

    pub(crate) async fn live(&self) -> Vec<SessionId> {
        let mut live: Vec<_> = self
            .store
            .list(&self.user)
            .await
            .expect("the store works")
            .sessions
            .iter()
            .map(|listed| listed.id)
            .collect();
        live.sort_unstable();
        live
    }

    pub(crate) async fn published(&self) -> Vec<Revocation> {
        let page = self.store.read_log(LogPosition::START, Duration::ZERO).await.expect("the log can be read");
        page.entries.into_iter().flat_map(|entry| entry.revocations).collect()
    }
}

pub(crate) fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; SessionId::LEN])
}

pub(crate) fn ended(n: u8) -> Revocation {
    Revocation::ended(id(n))
}

pub(crate) fn log_key(prefix: &str) -> String {
    format!("{prefix}sessions:log")
}

pub(crate) fn slot(key: &str) -> u16 {
    redis_keyslot(key.as_bytes())
}

/// Returns a user whose sessions are not on the server of the log.
pub(crate) fn user_apart(prefix: &str) -> Owner {
    let log = servers::owner(&log_key(prefix));
    let mut users = (0..).map(|n| owner(format!("user{n}")));
    users.find(|user| servers::owner(&sessions_key(prefix, user)) != log).expect("there are many")
}
