//! Redis Sentinel: which of several servers is the master.
//!
//! A failover closes no connection at first: some ten seconds pass until the old master learns that it is a replica, and
//! what it accepts until then is lost. So the sentinels are asked all the time, not only when a connection breaks.

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{
        ClusterHash, CustomCommand, Value,
        config::{Config, Options, Server, ServerConfig},
    },
};
use tokio::time::sleep;

use super::{
    client_guard::ClientGuard,
    config,
    connection::{Connection, WeakConnection},
    connection_log::ConnectionLog,
    remedy::{remedy, unreachable},
    reply::without_arguments,
};
use crate::{error::ConfigError, event::LOG_TARGET};

/// The interval of requests for the address of the master.
const ASK_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Sentinels {
    servers: Vec<Server>,
    /// The name of the master.
    name: String,
    config: Config,
    /// The sentinel that answered last.
    link: Option<ClientGuard>,
}

impl Sentinels {
    pub(super) fn new(config: Config) -> Self {
        let name = match &config.server {
            ServerConfig::Sentinel { service_name, .. } => service_name.clone(),
            _ => String::new(),
        };
        Self { servers: config.server.hosts(), name, config, link: None }
    }

    /// Connects to the master, and then to any that replaces it.
    pub(super) async fn open(mut self, template: Client) -> Result<Connection, ConfigError> {
        let found = self.master(&template).await;
        let master = found.map_err(|(error, _)| {
            let remedy = self.remedy(&error);
            unreachable(error, remedy)
        })?;
        let server = ServerConfig::Centralized { server: master };
        let config = Config { server, fail_fast: true, ..template.client_config() };
        let connection = Connection::open(config::like(&template, config)).await?;
        tokio::spawn(self.follow(template, connection.downgrade()));
        Ok(connection)
    }

    /// Connects in the background.
    pub(super) fn connecting(self, template: Client) -> Connection {
        let connection = Connection::waiting(template.clone());
        tokio::spawn(self.follow(template, connection.downgrade()));
        connection
    }

    /// Leads the connection to the master, for as long as there is a connection.
    async fn follow(mut self, template: Client, connection: WeakConnection) {
        let log = ConnectionLog::new(self.config.clone());
        let mut known = None;
        loop {
            let found = self.master(&template).await;
            let Some(connection) = connection.upgrade() else { return };
            match found {
                Ok(master) => {
                    log.connected();
                    connection.lead_to(&master);
                    if known.replace(master.clone()).is_some_and(|known| known != master) {
                        tracing::info!(target: LOG_TARGET, server = %master, "Redis Sentinel names another master");
                    }
                }
                Err((error, server)) => log.failed(error, &server),
            }
            // This one may not know yet, or have lost touch with the others.
            if !connection.client().is_connected() {
                self.try_another();
            }
            drop(connection);
            sleep(ASK_EVERY).await;
        }
    }

    fn try_another(&mut self) {
        self.link = None;
        self.servers.rotate_left(1);
    }

    /// Asks the sentinels one after the other until one names the master.
    async fn master(&mut self, template: &Client) -> Result<Server, (FredError, Server)> {
        let mut failure = None;
        for _ in 0..self.servers.len() {
            let Some(server) = self.servers.first().cloned() else { break };
            match self.ask(template, &server).await {
                Ok(master) => return Ok(master),
                Err(error) => failure = Some((error, server)),
            }
            self.try_another();
        }
        let none = || (FredError::new(ErrorKind::Config, "no sentinel is known"), Server::new("", 0));
        Err(failure.unwrap_or_else(none))
    }

    async fn ask(&mut self, template: &Client, sentinel: &Server) -> Result<Server, FredError> {
        let link = match &self.link {
            Some(link) => link,
            None => {
                let server = ServerConfig::Centralized { server: sentinel.clone() };
                let client = config::like(template, Config { server, ..self.config.clone() });
                self.link.insert(ClientGuard::open(client).await?)
            }
        };
        let timeout = template.perf_config().default_command_timeout;
        let options = Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let command = CustomCommand::new_static("SENTINEL", ClusterHash::FirstKey, false);
        let args = vec!["get-master-addr-by-name", &self.name];
        let answer: Value =
            link.client().with_options(&options).custom(command, args).await.map_err(without_arguments)?;
        let unknown = || FredError::new(ErrorKind::Sentinel, "the sentinel knows no master of this name");
        if answer.is_null() {
            return Err(unknown());
        }
        let (host, port): (String, u16) = answer.convert()?;
        Ok(Server::new(host, port))
    }

    fn remedy(&self, error: &FredError) -> &'static str {
        match error.kind() {
            ErrorKind::Sentinel => "sentinelServiceName must be the name in `sentinel monitor <name> …`",
            _ => remedy(error, &self.config),
        }
    }
}
