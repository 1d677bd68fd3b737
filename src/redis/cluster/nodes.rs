//! The servers of a cluster, each with a connection of its own.
//!
//! Not fred's clustered client: while one of its servers is away, it serves none.

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
        connection::{Call, Connection},
        settings,
    },
    slots::{Redirection, Slots},
};

/// A slot that is sent around for longer than this is in the hands of servers that disagree.
const MAX_REDIRECTIONS: usize = 5;
/// While keys of a slot are moved.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(5);
/// At most so often it is asked who has which slots.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
/// For a connection that is new.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

pub(super) struct Nodes {
    /// Has the settings, and the addresses to begin with. Never connected by us.
    template: Client,
    known: Mutex<Known>,
    /// Held by whoever asks for the first time.
    first: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    slots: Slots,
    connections: HashMap<Server, Node>,
    refreshed_at: Option<Instant>,
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
        Self { template, known: Mutex::default(), first: tokio::sync::Mutex::default() }
    }

    /// How long a step may take.
    pub(super) fn timeout(&self) -> Duration {
        self.template.perf_config().default_command_timeout
    }

    pub(super) fn template(&self) -> &Client {
        &self.template
    }

    /// Whether a server is known, and all that are known are connected.
    pub(super) fn are_connected(&self) -> bool {
        let known = self.known();
        !known.slots.is_empty() && known.connections.values().all(|node| node.client().is_connected())
    }

    /// Runs a script where the first of its keys is.
    pub(super) async fn run(
        self: &Arc<Self>,
        slot: u16,
        call: &Call<'_>,
        deadline: Instant,
    ) -> Result<Value, FredError> {
        let mut ask = None;
        let mut failure = FredError::new(ErrorKind::Timeout, "the cluster did not find the keys in time");
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

    /// Learns from an error that `from` answered, or that came in its place.
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
        let known = move |nodes: &Self| nodes.known().slots.owner(slot).cloned();
        if let Some(owner) = known(self) {
            return Ok(owner);
        }
        let timed_out = || FredError::new(ErrorKind::Timeout, "no server of the cluster told who has which keys");
        // Not given up in the middle, or fred would keep a connection that nobody ends.
        let nodes = Arc::clone(self);
        let refreshed = tokio::spawn(async move {
            let _first = nodes.first.lock().await;
            if known(&nodes).is_some() { Ok(()) } else { nodes.refresh().await }
        });
        timeout_at(deadline, refreshed).await.map_err(|_| timed_out())?.map_err(|_| timed_out())??;
        known(self).ok_or_else(|| FredError::new(ErrorKind::Cluster, "no server of the cluster has these keys"))
    }

    /// The connection to a server. One that is new is given time to connect.
    pub(super) async fn node(&self, server: &Server, deadline: Instant) -> Arc<Connection> {
        let node = self.connect(&mut self.known(), server);
        node.wait_until(deadline.min(node.since + CONNECT_WITHIN)).await;
        node.connection
    }

    /// Waits until every known server is connected. Says whether any is.
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

    /// A client of one server, with the settings of all.
    fn client(&self, server: &Server, fail_fast: bool) -> Client {
        let server = ServerConfig::Centralized { server: server.clone() };
        settings::like(&self.template, Config { server, fail_fast, ..self.template.client_config() })
    }

    /// Asks in the background who has which slots, unless it was asked just now.
    fn refresh_soon(self: &Arc<Self>) {
        let mut known = self.known();
        if known.refreshed_at.is_some_and(|at| at.elapsed() < REFRESH_EVERY) {
            return;
        }
        known.refreshed_at = Some(Instant::now());
        let nodes = Arc::clone(self);
        tokio::spawn(async move { nodes.refresh().await });
    }

    /// Asks who has which slots: a server that is connected, or one of those that we began with.
    pub(super) async fn refresh(&self) -> Result<(), FredError> {
        let connected: Vec<_> =
            self.known().connections.iter().map(|(server, node)| (server.clone(), node.client())).collect();
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
            let client = self.client(&server, true);
            let asked = match client.init().await {
                Ok(router) => {
                    let asked = self.ask(&client, &server).await;
                    router.abort();
                    asked
                }
                Err(error) => Err(error),
            };
            match asked {
                Ok(slots) => {
                    self.accept(slots);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn ask(&self, client: &Client, server: &Server) -> Result<Slots, FredError> {
        let options =
            Options { timeout: Some(self.timeout()), max_attempts: Some(1), fail_fast: true, ..Options::default() };
        let command = CustomCommand::new_static("CLUSTER", ClusterHash::FirstKey, false);
        let answer = client.with_options(&options).custom(command, vec!["SLOTS"]).await?;
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
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
