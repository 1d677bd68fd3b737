//! The connection on which the steps are taken.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{ConnectHandle, Value, scripts::Script},
};
use tokio::time::Instant;

use super::{reasons, scripts, settings};
use crate::{clock::Timestamp, error::ConfigError};

/// A client that was never answered for this long is given up. fred finds silence by itself only where commands are
/// rare, for it counts from the last one sent, and not at all while it waits to write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

pub(super) struct Connection(Mutex<Current>);

/// A script and what it is given.
pub(super) struct Call<'a> {
    pub(super) script: &'a Script,
    pub(super) keys: &'a [String],
    /// Replaces the server's time.
    pub(super) clock: Option<Timestamp>,
    pub(super) args: &'a [Value],
}

struct Current {
    client: Client,
    /// Of a client that we made. One of the application is for the application to close and to repair.
    router: Option<ConnectHandle>,
    /// The first of the timeouts since the server answered last.
    silent_since: Option<Instant>,
    /// What the server's clock showed in an answer, and when that came.
    server_time: Option<(Timestamp, Instant)>,
}

impl Connection {
    pub(super) async fn open(client: Client) -> Result<Self, ConfigError> {
        match client.init().await {
            Ok(router) => {
                reasons::log(&client);
                Ok(Self::of(client, Some(router)))
            }
            Err(error) => Err(settings::unreachable(error, &client)),
        }
    }

    pub(super) fn of_application(client: Client) -> Self {
        Self::of(client, None)
    }

    /// Connects in the background, for as long as it takes. Until then every step fails at once.
    pub(super) fn connecting(client: Client) -> Self {
        let router = connect(&client);
        Self::of(client, Some(router))
    }

    fn of(client: Client, router: Option<ConnectHandle>) -> Self {
        Self(Mutex::new(Current { client, router, silent_since: None, server_time: None }))
    }

    pub(super) fn client(&self) -> Client {
        self.current().client.clone()
    }

    /// How long a step may take.
    pub(super) fn timeout(&self) -> Duration {
        self.client().perf_config().default_command_timeout
    }

    /// Runs a script by the server's clock, or by that of the call.
    ///
    /// What was reported as a failure must not happen later, when a server that stood still goes on: so the script is
    /// told when nobody waits any more, by what the server's clock will show then.
    pub(super) async fn run(&self, call: &Call<'_>, timeout: Duration, asking: bool) -> Result<Value, FredError> {
        let begun = Instant::now();
        for _ in 0..2 {
            // Zero would mean no timeout.
            let left = timeout.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
            let time = match call.clock {
                Some(now) => format!("c{}", now.as_millis()),
                None => self.current().deadline(left),
            };
            let keys = call.keys.iter().map(|key| Value::from(key.as_str()));
            let count = Value::from(call.keys.len().to_string());
            let all = [count].into_iter().chain(keys).chain([time.into()]).chain(call.args.iter().cloned());
            let outcome = scripts::run(&self.client(), call.script, all.collect(), left, asking).await;
            let mut current = self.current();
            current.note(matches!(&outcome, Err(error) if *error.kind() == ErrorKind::Timeout));
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
    /// When the server's clock will show that `left` has passed; empty while that is not known.
    fn deadline(&self, left: Duration) -> String {
        let Some((shown, at)) = self.server_time else { return String::new() };
        format!("d{}", shown.saturating_add(at.elapsed()).saturating_add(left).as_millis())
    }

    /// Whether the script did nothing, because it was too late. Every answer begins with the server's time.
    fn is_late(&mut self, reply: &Value) -> bool {
        let Value::Array(items) = reply else { return false };
        if let Some(millis) = items.first().and_then(Value::as_u64) {
            self.server_time = Some((Timestamp::from_millis(millis), Instant::now()));
        }
        items.get(1).and_then(Value::as_bytes) == Some(b"late")
    }

    fn note(&mut self, timed_out: bool) {
        if !timed_out {
            self.silent_since = None;
        } else if self.silent_since.get_or_insert_with(Instant::now).elapsed() >= GIVE_UP_AFTER {
            self.silent_since = None;
            self.replace();
        }
    }

    /// A new client in place of one of ours, connecting in the background. To ask the old one to reconnect is not
    /// enough: while it waits to write it hears nothing.
    fn replace(&mut self) {
        if self.router.is_some() {
            self.close();
            self.client = settings::again(&self.client);
            self.router = Some(connect(&self.client));
        }
    }

    fn close(&self) {
        // fred's task keeps its own client, and with it the connection, for ever.
        if let Some(router) = &self.router {
            router.abort();
        }
    }
}

fn connect(client: &Client) -> ConnectHandle {
    reasons::log(client);
    client.connect()
}

impl Drop for Current {
    fn drop(&mut self) {
        self.close();
    }
}
