//! The connection on which the steps are taken.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{Value, scripts::Script},
};
use tokio::time::Instant;

use super::{client_guard::ClientGuard, config, connection_log, scripts};
use crate::{clock::Timestamp, error::ConfigError};

/// A client that was never answered for this long is given up. fred finds silence by itself only where commands are
/// rare, for it counts from the last one sent, and not at all while it waits to write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// Digits of the time, which is the first argument of every step.
///
/// A server that does not know a command repeats the first 128 bytes of its arguments. fred takes an error that is not
/// UTF-8, as session ids are not, for a broken connection, and reports a timeout instead of the server's text. With
/// this many digits, padded with zeros, the repetition ends before a session id.
const TIME_WIDTH: usize = 128;

pub(super) struct Connection(Mutex<Current>);

/// A script and what it is given.
pub(super) struct ScriptCall<'a> {
    pub(super) script: &'a Script,
    pub(super) keys: &'a [String],
    /// Replaces the server's time.
    pub(super) clock: Option<Timestamp>,
    pub(super) args: &'a [Value],
}

struct Current {
    link: ClientGuard,
    /// The first of the timeouts since the server answered last.
    silent_since: Option<Instant>,
    replaced_at: Option<Instant>,
    /// What the server's clock showed in an answer, and when that came.
    server_time: Option<(Timestamp, Instant)>,
}

impl Connection {
    pub(super) async fn open(client: Client) -> Result<Self, ConfigError> {
        let link = ClientGuard::open(client).await.map_err(config::unreachable)?;
        connection_log::log(link.client());
        Ok(Self::of(link))
    }

    pub(super) fn of_application(client: Client) -> Self {
        Self::of(ClientGuard::of_application(client))
    }

    /// Connects in the background, for as long as it takes. Until then every step fails at once.
    pub(super) fn connecting(client: Client) -> Self {
        Self::of(ClientGuard::connecting(client))
    }

    fn of(link: ClientGuard) -> Self {
        Self(Mutex::new(Current { link, silent_since: None, replaced_at: None, server_time: None }))
    }

    pub(super) fn client(&self) -> Client {
        self.current().link.client().clone()
    }

    /// How long a step may take.
    pub(super) fn timeout(&self) -> Duration {
        self.client().perf_config().default_command_timeout
    }

    /// Runs a script by the server's clock, or by that of the call.
    ///
    /// What was reported as a failure must not happen later, when a server that stood still goes on: so the script is
    /// told when nobody waits any more, by what the server's clock will show then.
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
            current.note(&outcome);
            let reply = outcome?;
            if call.clock.is_some() || !current.is_late(&reply) {
                return Ok(reply);
            }
            // And yet somebody waits: the server's clock was set. Now it is known.
        }
        Err(FredError::new(ErrorKind::Timeout, "the server received the command too late"))
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    /// When the server's clock will show that `left` has passed, in milliseconds; never while that is not known.
    fn deadline(&self, left: Duration) -> u64 {
        let Some((shown, at)) = self.server_time else { return scripts::LARGEST };
        shown.saturating_add(at.elapsed()).saturating_add(left).as_millis().min(scripts::LARGEST)
    }

    /// Whether the script did nothing, because it was too late. Every answer begins with the server's time.
    fn is_late(&mut self, reply: &Value) -> bool {
        let Value::Array(items) = reply else { return false };
        if let Some(millis) = items.first().and_then(Value::as_u64) {
            self.server_time = Some((Timestamp::from_millis(millis), Instant::now()));
        }
        items.get(1).and_then(Value::as_bytes) == Some(b"late")
    }

    fn note(&mut self, outcome: &Result<Value, FredError>) {
        let error = outcome.as_ref().err();
        if error.is_some_and(|error| *error.kind() == ErrorKind::Timeout) {
            if self.silent_since.get_or_insert_with(Instant::now).elapsed() >= GIVE_UP_AFTER {
                self.replace();
            }
            return;
        }
        self.silent_since = None;
        // Another server may answer at this address by now, and this connection would never tell.
        let is_recent = self.replaced_at.is_some_and(|at| at.elapsed() < GIVE_UP_AFTER);
        if !is_recent && error.is_some_and(came_from_replica) {
            self.replace();
        }
    }

    /// A new client in place of one of ours, connecting in the background. To ask the old one to reconnect is not
    /// enough: while it waits to write it hears nothing.
    fn replace(&mut self) {
        self.silent_since = None;
        self.replaced_at = Some(Instant::now());
        if self.link.is_ours() {
            self.link = ClientGuard::connecting(config::again(self.link.client()));
        }
    }
}

/// Redis 6 puts the error of a command inside a script behind other words.
fn came_from_replica(error: &FredError) -> bool {
    ["READONLY ", "MASTERDOWN "].iter().any(|kind| error.details().contains(kind))
}
