//! A client, and the task of fred that keeps it connected.

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::ConnectHandle,
};

use super::{config, connection_log};

/// The connection ends with this, unless the client is one of the application.
pub(super) struct ClientGuard {
    client: Client,
    /// Of a client that we made. One of the application is for the application to close and to repair.
    router: Option<ConnectHandle>,
}

impl ClientGuard {
    /// Connects. The error does not repeat the credentials.
    pub(super) async fn open(client: Client) -> Result<Self, FredError> {
        let config = client.client_config();
        // In a task of its own, which comes to its end also when nobody waits any more: fred's task would go on for ever.
        let opening = tokio::spawn(async move {
            let router = client.init().await?;
            Ok(Self { client, router: Some(router) })
        });
        let opened = opening.await.unwrap_or_else(|_| Err(shutting_down()));
        opened.map_err(|error| config::without_credentials(error, &config))
    }

    /// Connects in the background, for as long as it takes.
    pub(super) fn connecting(client: Client) -> Self {
        connection_log::log(&client);
        let router = client.connect();
        Self { client, router: Some(router) }
    }

    pub(super) fn of_application(client: Client) -> Self {
        Self { client, router: None }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the client is one that we made.
    pub(super) fn is_ours(&self) -> bool {
        self.router.is_some()
    }
}

impl Drop for ClientGuard {
    fn drop(&mut self) {
        // fred's task keeps its own client, and with it the connection, for ever.
        if let Some(router) = &self.router {
            router.abort();
        }
    }
}

pub(super) fn shutting_down() -> FredError {
    FredError::new(ErrorKind::Canceled, "the runtime is shutting down")
}
