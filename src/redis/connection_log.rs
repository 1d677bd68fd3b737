//! Logs why there is no connection, which errors of steps do not say.

use std::sync::{Arc, Mutex, PoisonError};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::config::{Config, Server},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{config, remedy::remedy};
use crate::{event::LOG_TARGET, log_lines::OutageLines, measure};

/// Logs why the connection of this client breaks or cannot be made, each kind of error once until there is a
/// connection: a server may refuse connections first and then the password. Ends with the client.
pub(super) fn log(client: &Client, log: &Arc<ConnectionLog>) {
    // A clone of the client in the tasks would keep it open.
    let Some(server) = client.client_config().server.hosts().into_iter().next() else { return };
    let (errors, connects) = (client.error_rx(), client.reconnect_rx());
    tokio::spawn(each(errors, {
        let log = Arc::clone(log);
        move |(error, _)| log.failed(error, &server)
    }));
    let log = Arc::clone(log);
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

/// What is logged of a connection, and of those that replace it.
pub(super) struct ConnectionLog {
    config: Config,
    /// The kinds of errors so far, of which there are few.
    errors: Mutex<Vec<(ErrorKind, OutageLines)>>,
}

impl ConnectionLog {
    pub(super) fn new(config: Config) -> Self {
        Self { config, errors: Mutex::default() }
    }

    pub(super) fn failed(&self, error: FredError, server: &Server) {
        let error = config::without_credentials(error, &self.config);
        let unreported = {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            match errors.iter().find(|(kind, _)| kind == error.kind()) {
                Some((_, lines)) => lines.failed(),
                None => {
                    let lines = OutageLines::default();
                    let unreported = lines.failed();
                    errors.push((error.kind().clone(), lines));
                    unreported
                }
            }
        };
        if let Some(unreported) = unreported {
            let help = remedy(&error, &self.config);
            tracing::warn!(target: LOG_TARGET, %server, %error, help, unreported, "no connection to Redis: retrying until connected");
        } else {
            tracing::debug!(target: LOG_TARGET, %server, %error, "still no connection to Redis");
        }
    }

    pub(super) fn connected(&self) {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        // All of them, since each has an end.
        let reported = errors.iter().filter(|(_, lines)| lines.recovered()).count();
        if reported > 0 {
            tracing::info!(target: LOG_TARGET, "connected to Redis");
        }
    }
}
