//! Redis Cluster, where the sessions of a user and the revocation log are on different servers.
//!
//! No script can change both, so a step that ends sessions is three scripts here: *flag*, *publish*, *settle*.
//!
//! 1. The script of the step runs where the user's two hashes are. It does not append revocations to the log but to the
//!    field `p` beside the user's data: they are *pending*. The same script removes the sessions, so they have ended
//!    from here on in any case.
//! 2. The pending revocations are appended to the log.
//! 3. Exactly those are removed from `p`. What other steps added in the meantime stays.
//!
//! An operation that revokes is reported as done after 2, and as failed before. A step that stops in between leaves
//! pending revocations, which are kept for as long as the tokens that they revoke. Later steps of that user complete
//! them:
//!
//! - A step on a session that was ended publishes that, and everything else that is pending, before it answers that the
//!   session has ended.
//! - A login that replaces a session which an earlier step ended publishes that.
//! - `end` and `expire_access`, and so their retries, also publish everything that is pending, and `end` returns the
//!   sessions that an earlier one ended.
//! - Any other step publishes, along with its answer, what has been pending for a second. It does not fail if that
//!   fails.
//! - A login that ends others creates its session on probation, and step 3 of the same login completes it. If that does
//!   not happen within a second, the session is removed, since no client has its tokens. No other step can complete the
//!   login, whatever it publishes.
//!
//! So a session that ended is never served again, and no revocation is lost. Two steps that complete the same
//! revocation at the same time both publish it, which is harmless: the log is a set.
//!
//! A step runs in a task of its own, so that a cancelled request does not stop it between flag and publish. All of its
//! scripts share the timeout of one step, and each uses the clock of its server.

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
    connection::ScriptCall,
    remedy,
    revocation_log::LogReader,
    scripts::{self, ScriptPair},
};
use crate::{
    clock::Timestamp,
    error::{BoxError, ConfigError},
    store::{LogPage, LogPosition},
};

/// How long to wait for the servers at the start. Connecting to the others continues in the background.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct Cluster(Arc<Nodes>);

/// The keys of a step: those of the user, and that of the log.
pub(super) struct Keys {
    pub(super) user: [String; 2],
    pub(super) log: String,
}

/// The outcome of a step.
pub(super) struct StepOutcome {
    pub(super) reply: Value,
    /// Sessions that an earlier, unfinished step had ended and whose end was published now.
    pub(super) unfinished: Vec<Value>,
}

impl Cluster {
    /// Connects to the servers of the cluster that this client is configured for.
    pub(super) async fn open(template: Client) -> Result<Self, ConfigError> {
        let nodes = Nodes::new(template);
        nodes.refresh(None).await.map_err(|error| {
            let remedy = nodes.remedy(&error);
            remedy::unreachable(error, remedy)
        })?;
        if !nodes.connected(Instant::now() + CONNECT_WITHIN).await {
            let unreachable = "no server answers at the addresses that the cluster announces";
            return Err(remedy::unreachable(unreachable, "see cluster-announce-ip"));
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

    pub(super) async fn run(
        &self,
        step: &'static ScriptPair,
        keys: Keys,
        clock: Option<Timestamp>,
        args: Vec<Value>,
    ) -> Result<StepOutcome, FredError> {
        let deadline = Instant::now() + self.0.timeout();
        let step_run = StepRun { nodes: Arc::clone(&self.0), keys, clock, deadline };
        let task = tokio::spawn(async move { step_run.run(step, args).await });
        task.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    pub(super) async fn read_log(
        &self,
        reader: &LogReader,
        key: &str,
        after: LogPosition,
        wait: Duration,
    ) -> Result<LogPage, BoxError> {
        let deadline = Instant::now() + self.0.timeout();
        let server = self.0.owner(slot(key), deadline).await?;
        let node = self.0.node(&server, deadline).await;
        let read = reader.read(&node.client(), key, after, wait).await;
        // Where the log is now, for the next attempt.
        if let Some(error) = read.as_ref().err().and_then(|error| error.downcast_ref::<FredError>()) {
            self.0.heed(error, &server);
        }
        read
    }
}

/// A step that is running.
struct StepRun {
    nodes: Arc<Nodes>,
    keys: Keys,
    clock: Option<Timestamp>,
    deadline: Instant,
}

impl StepRun {
    async fn run(self, step: &ScriptPair, args: Vec<Value>) -> Result<StepOutcome, FredError> {
        let reply = self.on_user(&step.split, &args).await?;
        let Some(due) = Unpublished::read(&reply) else { return Ok(StepOutcome { reply, unfinished: Vec::new() }) };
        let published = self.publish(&due).await;
        if published.is_ok() {
            let settled = self.settle(&due).await;
            // In all other cases the step is done even if settling fails: at worst it is published once more.
            if due.awaiting.is_some() && !settled? {
                return Err(FredError::new(
                    ErrorKind::Timeout,
                    "the session was removed before the login was complete",
                ));
            }
        } else if due.must {
            published?;
        }
        Ok(StepOutcome { reply: due.reply.clone(), unfinished: due.unfinished.to_vec() })
    }

    async fn publish(&self, due: &Unpublished<'_>) -> Result<(), FredError> {
        let args = [Value::from(due.entry), due.retention.clone()];
        self.on(std::slice::from_ref(&self.keys.log), &scripts::APPEND, &args).await.map(drop)
    }

    /// Removes what was published from what is pending. Returns whether a session on probation is complete.
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

/// The answer of a step with revocations to publish.
struct Unpublished<'a> {
    now: Value,
    reply: &'a Value,
    /// Whether the step fails if they cannot be published.
    must: bool,
    retention: &'a Value,
    /// In the format of the log.
    entry: &'a [u8],
    /// A new session on probation until they are published.
    awaiting: Option<&'a [u8]>,
    unfinished: &'a [Value],
}

impl<'a> Unpublished<'a> {
    fn read(reply: &'a Value) -> Option<Self> {
        let Value::Array(items) = reply else { return None };
        let [now, word, reply, must, retention, entry, awaiting, Value::Array(unfinished)] = items.as_slice() else {
            return None;
        };
        Some(Self {
            now: now.as_u64()?.to_string().into(),
            reply,
            must: word.as_bytes() == Some(b"pending") && must.as_u64()? == 1,
            retention,
            entry: entry.as_bytes()?,
            awaiting: Some(awaiting.as_bytes()?).filter(|id| !id.is_empty()),
            unfinished,
        })
    }
}
