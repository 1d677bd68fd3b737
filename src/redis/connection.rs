//! The connection on which the steps are taken.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
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

pub(super) struct Connection {
    pub(super) client: Client,
    /// Of a client that we made. One of the application is for the application to close and to repair.
    router: Option<ConnectHandle>,
    /// The first of the timeouts since the server answered last.
    silent_since: Mutex<Option<Instant>>,
}

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self, ConfigError> {
        let client = settings::client(url)?;
        match client.init().await {
            Ok(router) => Ok(Self { client, router: Some(router), silent_since: Mutex::default() }),
            Err(error) => Err(settings::unreachable(error, &client)),
        }
    }

    pub(super) fn of_application(client: Client) -> Result<Self, ConfigError> {
        settings::check(&client)?;
        Ok(Self { client, router: None, silent_since: Mutex::default() })
    }

    pub(super) async fn run(&self, script: &Script, args: Vec<Value>) -> Result<Value, FredError> {
        let outcome = scripts::run(&self.client, script, args).await;
        let timed_out = matches!(&outcome, Err(error) if *error.kind() == ErrorKind::Timeout);
        if self.router.is_some() && self.is_given_up(timed_out) {
            // Asks for it, which the first poll does, and does not wait.
            let mut reconnection = pin!(self.client.force_reconnection());
            poll_fn(|context| {
                let _ = reconnection.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
        }
        outcome
    }

    /// Whether the server has been silent for too long. fred finds out by itself only while there is little to do: it
    /// counts from the last command sent, not from the first that was not answered.
    fn is_given_up(&self, timed_out: bool) -> bool {
        let mut silent_since = self.silent_since.lock().unwrap_or_else(PoisonError::into_inner);
        if !timed_out {
            *silent_since = None;
            return false;
        }
        let given_up = silent_since.get_or_insert_with(Instant::now).elapsed() >= settings::UNRESPONSIVE_AFTER;
        if given_up {
            *silent_since = None;
        }
        given_up
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // fred's task keeps its own client, and with it the connection, for ever.
        if let Some(router) = &self.router {
            router.abort();
        }
    }
}
