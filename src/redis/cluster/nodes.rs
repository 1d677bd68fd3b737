//! The servers of a cluster, each with a connection of its own.
//!
//! fred's clustered client is not used: while one of its servers is unavailable, it serves none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{
        ClientState, ClusterHash, CustomCommand, Value,
        config::{Config, Options, Server, ServerConfig},
    },
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    super::{
        client_guard::ClientGuard,
        config,
        connection::{Connection, ScriptCall},
        connection_log::ConnectionLog,
        remedy::remedy,
        reply::without_arguments,
    },
    slots::{Redirection, Slots},
};

/// After this many redirections, the servers disagree about a slot.
const MAX_REDIRECTIONS: usize = 5;
/// The delay of a retry while keys of a slot are being moved.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// The shortest interval of requests for the owners of slots.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// For a connection that is new.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

pub(super) struct Nodes {
    /// Has the settings, and the addresses of the first servers. Never connected.
    template: Client,
    known: Mutex<Known>,
    /// Held while the owners of slots are requested.
    asking: Arc<tokio::sync::Mutex<()>>,
    /// Logs why no server could be reached.
    log: ConnectionLog,
}

#[derive(Default)]
struct Known {
    slots: Slots,
    connections: HashMap<Server, Node>,
    asked_at: Option<Instant>,
    /// Why the owners of slots are unknown.
    failure: Option<FredError>,
}

#[derive(Clone)]
struct Node {
    connection: Arc<Connection>,
    since: Instant,
}

impl Node {
    fn client(&self) -> Client {
        self.connection.client()
    }

    async fn wait_until(&self, deadline: Instant) {
        while self.client().state() != ClientState::Connected && Instant::now() < deadline {
            sleep(LOOK_AGAIN_AFTER).await;
        }
    }
}

impl Nodes {
    pub(super) fn new(template: Client) -> Self {
        let log = ConnectionLog::new(template.client_config());
        Self { template, known: Mutex::default(), asking: Arc::default(), log }
    }

    /// Returns what probably helps against an error of connecting.
    pub(super) fn remedy(&self, error: &FredError) -> &'static str {
        remedy(error, &self.template.client_config())
    }

    /// Returns how long a step may take.
    pub(super) fn timeout(&self) -> Duration {
        self.template.perf_config().default_command_timeout
    }

    /// Returns whether a server is known, and all that are known are connected.
    pub(super) fn are_connected(&self) -> bool {
        let known = self.known();
        !known.slots.is_empty() && known.connections.values().all(|node| node.client().is_connected())
    }

    /// Runs a script at the owner of a slot.
    pub(super) async fn run(
        self: &Arc<Self>,
        slot: u16,
        call: &ScriptCall<'_>,
        deadline: Instant,
    ) -> Result<Value, FredError> {
        let mut ask = None;
        let mut failure = FredError::new(ErrorKind::Timeout, "keys not found in the cluster in time");
        for _ in 0..=MAX_REDIRECTIONS {
            let asking = ask.is_some();
            let server = match ask.take() {
                Some(server) => server,
                None => self.owner(slot, deadline).await?,
            };
            let node = self.node(&server, deadline).await;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let error = match node.run(call, left, asking).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            match self.heed(&error, &server) {
                Some(Redirection::Moved(..)) => {}
                Some(Redirection::Ask(server)) => ask = Some(server),
                Some(Redirection::TryAgain) => sleep(TRY_AGAIN_AFTER).await,
                None => return Err(error),
            }
            failure = error;
        }
        Err(failure)
    }

    /// Follows an error that `from` answered, or that occurred instead of its answer.
    pub(super) fn heed(self: &Arc<Self>, error: &FredError, from: &Server) -> Option<Redirection> {
        let redirection = Redirection::of(error, from);
        if let Some(Redirection::Moved(slot, owner)) = &redirection {
            self.known().slots.set(*slot, owner);
        }
        if !matches!(redirection, Some(Redirection::Ask(_) | Redirection::TryAgain)) {
            self.refresh_soon();
        }
        redirection
    }

    pub(super) async fn owner(self: &Arc<Self>, slot: u16, deadline: Instant) -> Result<Server, FredError> {
        let known = || {
            let known = self.known();
            (known.slots.owner(slot).cloned(), known.failure.clone())
        };
        let failure = match known() {
            (Some(owner), _) => return Ok(owner),
            (None, failure) => failure,
        };
        self.refresh_soon();
        // Only the first attempt is waited for.
        if let Some(failure) = failure {
            return Err(failure);
        }
        let asked = timeout_at(deadline, self.asking.lock()).await;
        let _asked = asked.map_err(|_| {
            FredError::new(ErrorKind::Timeout, "no server of the cluster has named the owners of slots")
        })?;
        let no_owner = || FredError::new(ErrorKind::Cluster, "no server of the cluster has these keys");
        match known() {
            (Some(owner), _) => Ok(owner),
            (None, failure) => Err(failure.unwrap_or_else(no_owner)),
        }
    }

    /// Returns the connection to a server. Waits for a new one to connect.
    pub(super) async fn node(&self, server: &Server, deadline: Instant) -> Arc<Connection> {
        let node = self.connect(&mut self.known(), server);
        node.wait_until(deadline.min(node.since + CONNECT_WITHIN)).await;
        node.connection
    }

    /// Waits until every known server is connected. Returns whether any is.
    pub(super) async fn connected(&self, deadline: Instant) -> bool {
        let nodes: Vec<_> = self.known().connections.values().cloned().collect();
        for node in &nodes {
            node.wait_until(deadline).await;
        }
        nodes.iter().any(|node| node.client().state() == ClientState::Connected)
    }

    fn connect(&self, known: &mut Known, server: &Server) -> Node {
        let connect = || {
            let connection = Arc::new(Connection::connecting(self.client(server, false)));
            Node { connection, since: Instant::now() }
        };
        known.connections.entry(server.clone()).or_insert_with(connect).clone()
    }

    /// Returns a client of one server, with the settings of all.
    fn client(&self, server: &Server, fail_fast: bool) -> Client {
        let server = ServerConfig::Centralized { server: server.clone() };
        config::like(&self.template, Config { server, fail_fast, ..self.template.client_config() })
    }

    /// Requests the owners of slots in the background, unless that is under way or was just done.
    fn refresh_soon(self: &Arc<Self>) {
        let mut known = self.known();
        if known.asked_at.is_some_and(|at| at.elapsed() < REFRESH_EVERY) {
            return;
        }
        let Ok(asking) = Arc::clone(&self.asking).try_lock_owned() else { return };
        known.asked_at = Some(Instant::now());
        let nodes = Arc::clone(self);
        tokio::spawn(async move {
            let _asking = asking;
            nodes.refresh(Some(&nodes.log)).await
        });
    }

    /// Requests the owners of slots from a server that is connected, or from one of the first servers.
    /// Logs why that fails if `log` is given.
    pub(super) async fn refresh(&self, log: Option<&ConnectionLog>) -> Result<(), FredError> {
        let connected: Vec<_> =
            self.known().connections.iter().map(|(server, node)| (server.clone(), node.client())).collect();
        // Existing connections log their errors themselves.
        let log = log.filter(|_| connected.is_empty());
        for (server, client) in connected {
            if client.state() == ClientState::Connected
                && let Ok(slots) = self.ask(&client, &server).await
            {
                self.accept(slots);
                return Ok(());
            }
        }
        let mut failure = FredError::new(ErrorKind::Config, "no server of the cluster is known");
        for server in self.template.client_config().server.hosts() {
            let asked = match ClientGuard::open(self.client(&server, true)).await {
                Ok(link) => self.ask(link.client(), &server).await,
                Err(error) => Err(error),
            };
            match asked {
                Ok(slots) => {
                    if let Some(log) = log {
                        log.connected();
                    }
                    self.accept(slots);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
            if let Some(log) = log {
                log.failed(failure.clone(), &server);
            }
        }
        self.known().failure = Some(failure.clone());
        Err(failure)
    }

    async fn ask(&self, client: &Client, server: &Server) -> Result<Slots, FredError> {
        let options =
            Options { timeout: Some(self.timeout()), max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let command = CustomCommand::new_static("CLUSTER", ClusterHash::FirstKey, false);
        let answer = client.with_options(&options).custom(command, vec!["SLOTS"]).await;
        let answer = answer.map_err(without_arguments)?;
        match Slots::read(answer, server) {
            Ok(slots) if slots.is_empty() => {
                Err(FredError::new(ErrorKind::Cluster, "the server belongs to no cluster that has slots"))
            }
            Ok(slots) => Ok(slots),
            Err(unreadable) => Err(FredError::new(ErrorKind::Protocol, unreadable.to_string())),
        }
    }

    fn accept(&self, slots: Slots) {
        let mut known = self.known();
        for server in slots.owners() {
            self.connect(&mut known, server);
        }
        known.connections.retain(|server, _| slots.owners().contains(server));
        known.slots = slots;
        known.failure = None;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
