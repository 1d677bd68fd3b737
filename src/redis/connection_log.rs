//! Logs why there is no connection, which errors of steps do not say.

use std::sync::{Arc, Mutex, PoisonError};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::config::{Config, Server},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::config;
use crate::{event::LOG_TARGET, measure};

/// Logs why the connection of this client breaks or cannot be made, each kind of error once until there is a
/// connection: a server may refuse connections first and then the password. Ends with the client.
pub(super) fn log(client: &Client) {
    // A clone of the client in the tasks would keep it open.
    let config = client.client_config();
    let Some(server) = config.server.hosts().into_iter().next() else { return };
    let log = Arc::new(ConnectionLog::new(config));
    let (errors, connects) = (client.error_rx(), client.reconnect_rx());
    tokio::spawn(each(errors, {
        let log = Arc::clone(&log);
        move |(error, _)| log.failed(error, &server)
    }));
    tokio::spawn(each(connects, move |_| {
        measure::redis_connection();
        log.connected();
    }));
}

async fn each<T: Clone>(mut events: Receiver<T>, mut handle: impl FnMut(T)) {
    loop {
        match events.recv().await {
            Ok(event) => handle(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

pub(super) struct ConnectionLog {
    config: Config,
    /// The kinds of errors that were logged since the last connection.
    logged: Mutex<Vec<ErrorKind>>,
}

impl ConnectionLog {
    pub(super) fn new(config: Config) -> Self {
        Self { config, logged: Mutex::default() }
    }

    pub(super) fn failed(&self, error: FredError, server: &Server) {
        let error = config::without_credentials(error, &self.config);
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.contains(error.kind()) {
            tracing::debug!(target: LOG_TARGET, %server, %error, "still no connection to Redis");
        } else {
            tracing::warn!(target: LOG_TARGET, %server, %error, "no connection to Redis: retrying until connected");
            logged.push(error.kind().clone());
        }
    }

    pub(super) fn connected(&self) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if !logged.is_empty() {
            tracing::info!(target: LOG_TARGET, "connected to Redis");
            logged.clear();
        }
    }
}
