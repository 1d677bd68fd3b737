//! A client of fred, closed when it is dropped.

use std::sync::Arc;

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::ConnectHandle,
};

use super::{
    config,
    connection_log::{self, ConnectionLog},
};

/// A client whose connection is closed on drop, unless the client is one of the application.
pub(super) struct ClientGuard {
    client: Client,
    /// The task of a client that we made. The application closes and reconnects its own clients.
    router: Option<ConnectHandle>,
}

impl ClientGuard {
    /// Connects. The error does not repeat the credentials.
    pub(super) async fn open(client: Client) -> Result<Self, FredError> {
        let config = client.client_config();
        // In a task of its own, which ends also when the caller is gone: the task of fred would never end.
        let opening = tokio::spawn(async move {
            let router = client.init().await?;
            Ok(Self { client, router: Some(router) })
        });
        let opened = opening.await.unwrap_or_else(|_| Err(shutting_down()));
        opened.map_err(|error| config::without_credentials(error, &config))
    }

    /// Connects in the background, and retries without end.
    pub(super) fn connecting(client: Client, log: &Arc<ConnectionLog>) -> Self {
        connection_log::log(&client, log);
        let router = client.connect();
        Self { client, router: Some(router) }
    }

    pub(super) fn of_application(client: Client) -> Self {
        Self { client, router: None }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns whether the client is one that we made.
    pub(super) fn is_ours(&self) -> bool {
        self.router.is_some()
    }
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        // The task of fred holds a client of its own, and with it the connection.
        if let Some(router) = &self.router {
            router.abort();
        }
    }
}

pub(super) fn shutting_down() -> FredError {
    FredError::new(ErrorKind::Canceled, "the runtime is shutting down")
}
