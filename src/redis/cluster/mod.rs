//! Redis Cluster, where the sessions of a user and the revocation log are on different servers.
//!
//! No script can change both, so what one server does in one step is three here: *flag*, *publish*, *settle*.
//!
//! 1. The script of the step runs where the user's two hashes are. What it revokes it does not append to the log but to
//!    the field `p` beside the user's data: *pending*. The same script removes the sessions, so from here on they are
//!    over, whatever happens.
//! 2. What is pending is appended to the log.
//! 3. Exactly that is removed from `p`. What others added meanwhile stays.
//!
//! An operation that revokes is reported as done after 2, and as failed before. Whoever fails or dies between the steps
//! leaves something pending. It lasts as long as the tokens that it revokes, and later steps of that user meet it:
//!
//! - A step on a session that was ended publishes that, and all else, before it answers that the session is over.
//! - A login that replaces a session which an earlier one ended publishes that.
//! - `end` and `expire_access`, and so their retries, publish all of it too, and `end` names what an earlier one ended.
//! - Any other publishes along with its answer what was left behind for a second. It does not fail if that fails.
//! - A login that ends others creates its session on probation: step 3 of the same login makes it one for good. If that
//!   does not come within a second, the session is removed, for nobody has the tokens of it. Nobody else can do that for
//!   the login, whatever they publish.
//!
//! So a session is never served again, and nothing that was revoked is forgotten. Two who meet the same at the same time
//! both publish it, each once, which is harmless: the log is a set.
//!
//! A step runs in a task of its own: a request that is given up stops nothing between flag and publish. All of it has
//! the time of one step, by the clock of each server that takes part.

mod nodes;
mod slots;

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    types::{Value, scripts::Script},
};
use tokio::time::Instant;

use self::{nodes::Nodes, slots::slot};
use super::{
    client_guard::shutting_down,
    config,
    connection::ScriptCall,
    revocation_log::LogReader,
    scripts::{self, ScriptPair},
};
use crate::{
    clock::Timestamp,
    error::{BoxError, ConfigError},
    store::{LogPage, LogPosition},
};

/// How long to wait for the servers at the start. Those that are away by then are tried further.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Cluster(Arc<Nodes>);

/// The user's keys, and that of the log.
pub(super) struct Keys {
    pub(super) user: [String; 2],
    pub(super) log: String,
}

/// What a step answered.
pub(super) struct StepOutcome {
    pub(super) reply: Value,
    /// Sessions that an earlier step ended and that are published only now.
    pub(super) met: Vec<Value>,
}

impl Cluster {
    /// Connects to the servers of the cluster that this client is configured for.
    pub(super) async fn open(template: Client) -> Result<Self, ConfigError> {
        let nodes = Nodes::new(template);
        nodes.refresh(None).await.map_err(config::unreachable)?;
        if !nodes.connected(Instant::now() + CONNECT_WITHIN).await {
            let unreachable = "no server answers at the addresses that the cluster tells: see cluster-announce-ip";
            return Err(ConfigError::StoreUnreachable { source: unreachable.into() });
        }
        Ok(Self(Arc::new(nodes)))
    }

    /// Connects at the first step.
    pub(super) fn unconnected(client: Client) -> Self {
        Self(Arc::new(Nodes::new(client)))
    }

    pub(super) fn is_connected(&self) -> bool {
        self.0.are_connected()
    }

    pub(super) async fn take(
        &self,
        step: &'static ScriptPair,
        keys: Keys,
        clock: Option<Timestamp>,
        args: Vec<Value>,
    ) -> Result<StepOutcome, FredError> {
        let deadline = Instant::now() + self.0.timeout();
        let run = Run { nodes: Arc::clone(&self.0), keys, clock, deadline };
        let task = tokio::spawn(async move { run.take(step, args).await });
        task.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    pub(super) async fn read_log(
        &self,
        tail: &LogReader,
        key: &str,
        after: LogPosition,
        wait: Duration,
    ) -> Result<LogPage, BoxError> {
        let deadline = Instant::now() + self.0.timeout();
        let server = self.0.owner(slot(key), deadline).await?;
        let node = self.0.node(&server, deadline).await;
        let read = tail.read(&node.client(), key, after, wait).await;
        // Where it is now, for the next attempt.
        if let Some(error) = read.as_ref().err().and_then(|error| error.downcast_ref::<FredError>()) {
            self.0.heed(error, &server);
        }
        read
    }
}

/// A step on its way.
struct Run {
    nodes: Arc<Nodes>,
    keys: Keys,
    clock: Option<Timestamp>,
    deadline: Instant,
}

impl Run {
    async fn take(self, step: &ScriptPair, args: Vec<Value>) -> Result<StepOutcome, FredError> {
        let reply = self.on_user(&step.split, &args).await?;
        let Some(due) = Unpublished::read(&reply) else { return Ok(StepOutcome { reply, met: Vec::new() }) };
        let published = self.publish(&due).await;
        if published.is_ok() {
            let settled = self.settle(&due).await;
            // Otherwise it is done, whatever comes of settling: at worst it is published once more.
            if due.awaiting.is_some() && !settled? {
                return Err(FredError::new(ErrorKind::Timeout, "the session was removed before it was complete"));
            }
        } else if due.must {
            published?;
        }
        Ok(StepOutcome { reply: due.reply.clone(), met: due.met.to_vec() })
    }

    async fn publish(&self, due: &Unpublished<'_>) -> Result<(), FredError> {
        let args = [Value::from(due.entry), due.retention.clone()];
        self.on(std::slice::from_ref(&self.keys.log), &scripts::APPEND, &args).await.map(drop)
    }

    /// Says whether a session that waited for it is one for good.
    async fn settle(&self, due: &Unpublished<'_>) -> Result<bool, FredError> {
        let awaiting = due.awaiting.map(|id| [id, &[0; 4]].concat()).unwrap_or_default();
        let published = [due.entry, &awaiting].concat();
        let args = [Value::from(&published[..]), due.now.clone()];
        let reply = self.on_user(&scripts::SETTLE, &args).await?;
        Ok(matches!(&reply, Value::Array(items) if items.get(1).and_then(Value::as_bytes) == Some(b"settled")))
    }

    async fn on_user(&self, script: &Script, args: &[Value]) -> Result<Value, FredError> {
        self.on(&self.keys.user, script, args).await
    }

    async fn on(&self, keys: &[String], script: &Script, args: &[Value]) -> Result<Value, FredError> {
        let slot = keys.first().map_or(0, |key| slot(key));
        let call = ScriptCall { script, keys, clock: self.clock, args };
        self.nodes.run(slot, &call, self.deadline).await
    }
}

/// The answer of a step that has something to publish.
struct Unpublished<'a> {
    now: Value,
    reply: &'a Value,
    /// Whether the answer depends on it.
    must: bool,
    retention: &'a Value,
    /// As it stands in the log.
    entry: &'a [u8],
    /// A new session that is to stay when it is published.
    awaiting: Option<&'a [u8]>,
    met: &'a [Value],
}

impl<'a> Unpublished<'a> {
    fn read(reply: &'a Value) -> Option<Self> {
        let Value::Array(items) = reply else { return None };
        let [now, word, reply, must, retention, entry, awaiting, Value::Array(met)] = items.as_slice() else {
            return None;
        };
        Some(Self {
            now: now.as_u64()?.to_string().into(),
            reply,
            must: word.as_bytes() == Some(b"pending") && must.as_u64()? == 1,
            retention,
            entry: entry.as_bytes()?,
            awaiting: Some(awaiting.as_bytes()?).filter(|id| !id.is_empty()),
            met,
        })
    }
}
