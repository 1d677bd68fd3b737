//! Why there is no connection: what those who get an error at once are not told.

use std::sync::{Arc, Mutex, PoisonError};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::config::{Config, Server},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::config;
use crate::event::LOG_TARGET;

/// Logs why the connection of this client breaks or cannot be made, each kind of reason once until it is there again:
/// a server that was down refuses first, one that is up again may still not like the password. Ends with the client.
pub(super) fn log(client: &Client) {
    // The client itself would live for as long as they do.
    let config = client.client_config();
    let Some(server) = config.server.hosts().into_iter().next() else { return };
    let log = Arc::new(ConnectionLog::new(config));
    let (errors, connects) = (client.error_rx(), client.reconnect_rx());
    tokio::spawn(each(errors, {
        let log = Arc::clone(&log);
        move |(error, _)| log.failed(error, &server)
    }));
    tokio::spawn(each(connects, move |_| log.connected()));
}

async fn each<T: Clone>(mut events: Receiver<T>, mut told: impl FnMut(T)) {
    loop {
        match events.recv().await {
            Ok(event) => told(event),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

pub(super) struct ConnectionLog {
    config: Config,
    /// Never more than there are kinds.
    told: Mutex<Vec<ErrorKind>>,
}

impl ConnectionLog {
    pub(super) fn new(config: Config) -> Self {
        Self { config, told: Mutex::default() }
    }

    pub(super) fn failed(&self, error: FredError, server: &Server) {
        let error = config::without_credentials(error, &self.config);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(error.kind()) {
            tracing::debug!(target: LOG_TARGET, %server, %error, "still no connection to Redis");
        } else {
            tracing::warn!(target: LOG_TARGET, %server, %error, "no connection to Redis; trying again until there is one");
            told.push(error.kind().clone());
        }
    }

    pub(super) fn connected(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.is_empty() {
            tracing::info!(target: LOG_TARGET, "connected to Redis");
            told.clear();
        }
    }
}
