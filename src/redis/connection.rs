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

use super::{scripts, settings};
use crate::error::ConfigError;

/// A client that was never answered for this long is given up. fred finds silence by itself only where commands are
/// rare, for it counts from the last one sent, and not at all while it waits to write.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

pub(super) struct Connection(Mutex<Current>);

struct Current {
    client: Client,
    /// Of a client that we made. One of the application is for the application to close and to repair.
    router: Option<ConnectHandle>,
    /// The first of the timeouts since the server answered last.
    silent_since: Option<Instant>,
}

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self, ConfigError> {
        let client = settings::client(url)?;
        match client.init().await {
            Ok(router) => Ok(Self::of(client, Some(router))),
            Err(error) => Err(settings::unreachable(error, &client)),
        }
    }

    pub(super) fn of_application(client: Client) -> Result<Self, ConfigError> {
        settings::check(&client)?;
        Ok(Self::of(client, None))
    }

    fn of(client: Client, router: Option<ConnectHandle>) -> Self {
        Self(Mutex::new(Current { client, router, silent_since: None }))
    }

    pub(super) fn client(&self) -> Client {
        self.current().client.clone()
    }

    pub(super) async fn run(&self, script: &Script, args: Vec<Value>) -> Result<Value, FredError> {
        let outcome = scripts::run(&self.client(), script, args).await;
        self.current().note(matches!(&outcome, Err(error) if *error.kind() == ErrorKind::Timeout));
        outcome
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
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
            self.router = Some(self.client.connect());
        }
    }

    fn close(&self) {
        // fred's task keeps its own client, and with it the connection, for ever.
        if let Some(router) = &self.router {
            router.abort();
        }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        self.close();
    }
}
