//! The connection on which scripts run.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{
        Value,
        config::{Config, Server, ServerConfig},
        scripts::Script,
    },
};
use tokio::time::{Instant, sleep};

use super::{
    client_guard::ClientGuard,
    config,
    connection_log::{self, ConnectionLog},
    remedy::{remedy, unreachable},
    scripts,
};
use crate::{clock::Timestamp, error::ConfigError, measure};

/// A client without an answer for this long is replaced. fred detects silence itself only where commands are rare,
/// since it counts from the last one sent, and not at all while it waits to write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// How often an idle connection is used: as often as that of the revocation log, which is never idle.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);

/// Digits of the time, which is the first argument of every step.
///
/// A server that does not know a command repeats the first 128 bytes of its arguments. fred treats an error that is not
/// UTF-8, as session ids are not, as a broken connection, and reports a timeout instead of the server's text. With this
/// many digits, padded with zeros, the repetition ends before a session id.
const TIME_WIDTH: usize = 128;

pub(super) struct Connection(Arc<Mutex<Current>>);

/// A connection that may be gone.
pub(super) struct WeakConnection(Weak<Mutex<Current>>);

impl WeakConnection {
    pub(super) fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(Connection)
    }
}

/// A script and its arguments.
pub(super) struct ScriptCall<'a> {
    pub(super) script: &'a Script,
    pub(super) keys: &'a [String],
    /// Replaces the server's time.
    pub(super) clock: Option<Timestamp>,
    pub(super) args: &'a [Value],
}

struct Current {
    guard: ClientGuard,
    log: Arc<ConnectionLog>,
    /// The first of the timeouts since the server answered last.
    silent_since: Option<Instant>,
    replaced_at: Option<Instant>,
    /// When the server answered last, or this client was new.
    answered_at: Instant,
    /// The server's time in an answer, and when that answer arrived.
    server_time: Option<(Timestamp, Instant)>,
}

impl Connection {
    pub(super) async fn open(client: Client) -> Result<Self, ConfigError> {
        let config = client.client_config();
        let guard = ClientGuard::open(client).await.map_err(|error| {
            let remedy = remedy(&error, &config);
            unreachable(error, remedy)
        })?;
        measure::redis_connection();
        let log = Arc::new(ConnectionLog::new(guard.client().client_config()));
        connection_log::log(guard.client(), &log);
        Ok(Self::of(guard, log).with_heartbeat())
    }

    pub(super) fn of_application(client: Client) -> Self {
        let log = Arc::new(ConnectionLog::new(client.client_config()));
        Self::of(ClientGuard::of_application(client), log)
    }

    /// Connects in the background, and retries without end. Until then every step fails at once.
    pub(super) fn connecting(client: Client) -> Self {
        let log = Arc::new(ConnectionLog::new(client.client_config()));
        Self::of(ClientGuard::connecting(client, &log), log).with_heartbeat()
    }

    /// Waits for the address of a server, to which [`lead_to`](Self::lead_to) leads. Until then every step fails at once.
    pub(super) fn waiting(client: Client) -> Self {
        Self::of_application(client).with_heartbeat()
    }

    /// See [`keep_in_use`]. Not for clients of an application, which are its own to keep.
    fn with_heartbeat(self) -> Self {
        tokio::spawn(keep_in_use(self.downgrade()));
        self
    }

    fn of(guard: ClientGuard, log: Arc<ConnectionLog>) -> Self {
        let current = Current {
            guard,
            log,
            silent_since: None,
            replaced_at: None,
            answered_at: Instant::now(),
            server_time: None,
        };
        Self(Arc::new(Mutex::new(current)))
    }

    pub(super) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.0))
    }

    /// Continues with another server, which is connected to in the background. Steps that are under way fail.
    pub(super) fn lead_to(&self, server: &Server) {
        let server = ServerConfig::Centralized { server: server.clone() };
        let mut current = self.current();
        let config = current.guard.client().client_config();
        if config.server == server && current.guard.is_ours() {
            return;
        }
        let client = config::like(current.guard.client(), Config { server, fail_fast: false, ..config });
        current.guard = ClientGuard::connecting(client, &current.log);
        // Of another clock.
        current.server_time = None;
        current.silent_since = None;
        current.answered_at = Instant::now();
    }

    pub(super) fn client(&self) -> Client {
        self.current().guard.client().clone()
    }

    /// Returns how long a step may take.
    pub(super) fn timeout(&self) -> Duration {
        self.client().perf_config().default_command_timeout
    }

    /// Runs a script by the server's clock, or by that of the call.
    ///
    /// What was reported as a failure must not happen later, when a server that was suspended resumes. So the script
    /// gets the time of the server's clock after which the caller no longer waits.
    pub(super) async fn run(&self, call: &ScriptCall<'_>, timeout: Duration, asking: bool) -> Result<Value, FredError> {
        let begun = Instant::now();
        for _ in 0..2 {
            // Zero would mean no timeout.
            let left = timeout.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let time = match call.clock {
                Some(now) => format!("c{:0TIME_WIDTH$}", now.as_millis()),
                None => format!("d{:0TIME_WIDTH$}", self.current().deadline(left)),
            };
            let args = |script: Value| {
                let mut args = Vec::with_capacity(3 + call.keys.len() + call.args.len());
                args.extend([script, scripts::integer(u64::try_from(call.keys.len()).unwrap_or_default())]);
                args.extend(call.keys.iter().map(|key| Value::from(key.as_str())));
                args.push(time.as_str().into());
                args.extend_from_slice(call.args);
                args
            };
            let outcome = scripts::run(&self.client(), call.script, args, left, asking).await;
            let mut current = self.current();
            current.note(outcome.as_ref().err());
            let reply = outcome?;
            if call.clock.is_some() || !current.is_late(&reply) {
                return Ok(reply);
            }
            // The caller still waits, so the server's clock was set. Its time is known now.
        }
        Err(FredError::new(ErrorKind::Timeout, "the server received the command too late"))
    }

    /// Returns whether there is a connection, on which the server has not answered for this long.
    fn is_idle_for(&self, time: Duration) -> bool {
        let current = self.current();
        current.answered_at.elapsed() >= time && scripts::require_connection(current.guard.client()).is_ok()
    }

    /// Asks the server for its time.
    async fn ask_for_time(&self) -> Result<(), FredError> {
        let time = scripts::server_time(&self.client(), self.timeout()).await;
        let mut current = self.current();
        current.note(time.as_ref().err());
        current.server_time = Some((time?, Instant::now()));
        Ok(())
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    /// Returns the server's time when `left` will have passed, in milliseconds; the greatest if its time is unknown.
    fn deadline(&self, left: Duration) -> u64 {
        let Some((shown, at)) = self.server_time else { return scripts::LARGEST };
        shown.saturating_add(at.elapsed()).saturating_add(left).as_millis().min(scripts::LARGEST)
    }

    /// Returns whether the script was too late and did nothing. Every answer begins with the server's time.
    fn is_late(&mut self, reply: &Value) -> bool {
        let Value::Array(items) = reply else { return false };
        if let Some(millis) = items.first().and_then(Value::as_u64) {
            self.server_time = Some((Timestamp::from_millis(millis), Instant::now()));
        }
        items.get(1).and_then(Value::as_bytes) == Some(b"late")
    }

    fn note(&mut self, error: Option<&FredError>) {
        if error.is_some_and(|error| *error.kind() == ErrorKind::Timeout) {
            if self.silent_since.get_or_insert_with(Instant::now).elapsed() >= GIVE_UP_AFTER {
                self.replace();
            }
            return;
        }
        self.silent_since = None;
        self.answered_at = Instant::now();
        // Another server may answer at this address by now, which this connection would never show.
        let is_recent = self.replaced_at.is_some_and(|at| at.elapsed() < GIVE_UP_AFTER);
        if !is_recent && error.is_some_and(came_from_replica) {
            self.replace();
        }
    }

    /// Replaces a client of ours with one that connects in the background. It is not enough to make the old one
    /// reconnect: it does not react while it waits to write.
    fn replace(&mut self) {
        self.silent_since = None;
        self.replaced_at = Some(Instant::now());
        self.answered_at = Instant::now();
        if self.guard.is_ours() {
            self.guard = ClientGuard::connecting(config::again(self.guard.client()), &self.log);
        }
    }
}

/// Asks the server for its time whenever it has not answered anything for a while. Ends with the connection.
///
/// Firewalls, load balancers and address translation forget connections that are idle, many without telling either side:
/// what is sent afterwards is lost, and the requests of the next seconds would fail. A connection that is used every
/// two seconds is not forgotten, and one that died all the same is found and replaced while no request needs it.
async fn keep_in_use(connection: WeakConnection) {
    loop {
        sleep(HEARTBEAT).await;
        // Until the server answers, or the client is replaced or connects again.
        while let Some(connection) = connection.upgrade()
            && connection.is_idle_for(HEARTBEAT)
            && connection.ask_for_time().await.is_err_and(|error| *error.kind() == ErrorKind::Timeout)
        {}
        if connection.0.strong_count() == 0 {
            return;
        }
    }
}

/// Redis 6 puts other words before the error of a command within a script.
fn came_from_replica(error: &FredError) -> bool {
    ["READONLY ", "MASTERDOWN "].iter().any(|kind| error.details().contains(kind))
}
