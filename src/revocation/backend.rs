//! The [`SessionBackend`]: what a node with a store has beyond keys.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::Semaphore, task::AbortHandle};

use super::{
    ender::SessionEnder,
    feed::{FeedStatus, RevocationFeed, StalePolicy},
    first_uses::FirstUses,
    follower::Follower,
    losses::{self, LostSessions},
    node::NodeState,
    revocations::{Revocations, Revoked},
};
#[cfg(feature = "dbsc")]
use crate::event::SessionEvent;
use crate::{
    clock::{Clock, Timestamp},
    error::ConfigError,
    event::EventHook,
    health::Health,
    id::{SessionId, UserId},
    jwt::{Actor, RegisteredClaims},
    policy::ReplayWindow,
    store::{DynStore, Owner, Population, StoreError},
};

/// The store of a node, the revocations that it knows, and the background tasks that keep both up to date.
///
/// A manager, its verifiers and its sessions share it. It does not know the claims of the application. A verifier that
/// has only keys has none.
pub(crate) struct SessionBackend {
    pub(super) node: Arc<NodeState>,
    ender: Arc<SessionEnder>,
    feed: RevocationFeed,
    /// `None` where the replay window does not depend on first uses.
    first_uses: Option<FirstUses>,
    /// Access tokens issued earlier belong to sessions that the store has forgotten.
    not_before: Option<Timestamp>,
    serve_before_catch_up: bool,
    /// Limits the waiters that ask the store at the same time: after an outage all of them want to.
    pub(super) asking: Semaphore,
    /// They run for as long as anything verifies, also when the manager is gone.
    _tasks: [AbortOnDrop; 2],
}

const MAX_ASKING: usize = 16;

/// What a [`SessionBackend`] is made of.
pub(crate) struct BackendConfig {
    pub(crate) store: Arc<dyn DynStore>,
    pub(crate) population: Population,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a revocation is needed.
    pub(crate) retention: Duration,
    pub(crate) replay_window: ReplayWindow,
    pub(crate) serve_before_catch_up: bool,
    pub(crate) events: EventHook,
}

impl SessionBackend {
    /// Starts the background tasks, on the runtime of the caller.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::NoRuntime`](crate::error::ConfigErrorKind::NoRuntime) outside of a tokio runtime.
    pub(crate) fn start(config: BackendConfig) -> Result<Arc<Self>, ConfigError> {
        let BackendConfig { store, population, clock, retention, replay_window, serve_before_catch_up, events } =
            config;
        let runtime = Handle::try_current().map_err(|_| ConfigError::no_runtime())?;
        let not_before = store.started_at();
        let revocations = Revocations::new(Arc::clone(&clock), retention);
        let (health, lost) = (Health::of_store(), LostSessions::default());
        let node = Arc::new(NodeState { store, population, health, revocations, lost, clock });
        let ender = Arc::new(SessionEnder::new(Arc::clone(&node), events));
        let (feed, follower) = Follower::new(Arc::clone(&node)).start(&runtime);
        let retries = runtime.spawn(Arc::clone(&ender).retry_unfinished());
        let first_uses = match replay_window {
            ReplayWindow::Fixed(_) => None,
            ReplayWindow::UntilConfirmed(_) => Some(FirstUses::start(&runtime, Arc::clone(&node))),
        };
        Ok(Arc::new(Self {
            node,
            ender,
            feed,
            first_uses,
            not_before,
            serve_before_catch_up,
            asking: Semaphore::const_new(MAX_ASKING),
            _tasks: [follower, retries.abort_handle()].map(AbortOnDrop),
        }))
    }

    pub(crate) fn population(&self) -> Population {
        self.node.population
    }

    /// Returns whether an access token is revoked, and with what certainty, as far as this node knows.
    pub(crate) fn find_revoked(&self, session: SessionId, epoch: u32, issued_at: Timestamp) -> Option<Revoked> {
        if self.not_before.is_some_and(|start| issued_at.as_secs() < start.as_secs()) {
            return Some(Revoked::Certainly);
        }
        self.node.revocations.find(session, epoch)
    }

    /// Returns whether the own session of someone who acts as a user has ended, and with what certainty, as far as this
    /// node knows.
    pub(crate) fn find_end_of_actor(&self, actor: &Actor) -> Option<Revoked> {
        self.node.revocations.find_end(actor.session_id)
    }

    /// Asks the store whether the own session of someone who acts as a user is alive.
    pub(crate) async fn is_actor_alive(&self, actor: &Actor) -> Result<bool, StoreError> {
        let Actor { user_id, session_id } = actor;
        Ok(!self.ender.finish(user_id, *session_id).await? && self.node.find(user_id, *session_id).await?.is_some())
    }

    /// Whether enough is known of revocations to serve sessions under this policy.
    pub(crate) fn permits(&self, policy: StalePolicy) -> bool {
        self.feed.permits(policy, self.serve_before_catch_up, || self.node.clock.instant())
    }

    /// Notes that this access token was used, where that closes the replay window. Never waits.
    pub(crate) fn note_use(&self, token: &RegisteredClaims, now: Timestamp) {
        if let Some(first_uses) = &self.first_uses {
            first_uses.note(token, now);
        }
    }

    /// Asks the store whether an access token of this epoch is still good: the session lives, and its access tokens
    /// were not expired since this one was issued.
    pub(crate) async fn is_good(&self, token: &RegisteredClaims) -> Result<bool, StoreError> {
        let (user, session, epoch) = (&token.user_id, token.session_id, token.epoch);
        if let Some(actor) = token.actor_session()
            && !self.is_actor_alive(actor).await?
        {
            return Ok(false);
        }
        // What this node knows stays true, even if a failover made the store forget it.
        if self.ender.finish(user, session).await? || self.node.revocations.find(session, epoch).is_some() {
            return Ok(false);
        }
        Ok(self.node.find(user, session).await?.is_some_and(|found| epoch >= found.record.epoch))
    }

    /// Notes that the store does not have the session of this refresh token, which is reported if it was lost.
    pub(crate) fn note_missing(&self, token: &RegisteredClaims) {
        let (issued_at, node) = (token.issued_at, &self.node);
        let is_of_this_store = self.not_before.is_none_or(|start| issued_at.as_secs() > start.as_secs());
        let must_be_known =
            losses::must_be_known(issued_at, token.expires_at, node.clock.now(), node.revocations.retention());
        // A node that cannot read the log knows too few ends.
        if is_of_this_store && must_be_known && self.feed.status() == FeedStatus::UpToDate {
            node.lost.note_missing(token.session_id);
        }
    }

    /// How well this node knows what other nodes ended.
    pub(crate) fn feed(&self) -> &RevocationFeed {
        &self.feed
    }

    /// What this node knows to be revoked.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.node.revocations
    }

    /// Ends sessions. It tracks the health of the store itself.
    pub(crate) fn ender(&self) -> &SessionEnder {
        &self.ender
    }

    /// The store. Answers should be passed to [`observe`](Self::observe).
    pub(crate) fn store(&self) -> &dyn DynStore {
        &*self.node.store
    }

    /// Reports what no operation of the manager has caused.
    #[cfg(feature = "dbsc")]
    pub(crate) fn emit(&self, event: &SessionEvent) {
        self.ender.emit(event);
    }

    /// The user as the store knows them.
    pub(crate) fn owner(&self, user: &UserId) -> Owner {
        self.node.owner(user)
    }

    /// Tracks the health of the store by an answer.
    pub(crate) fn observe<T>(&self, answer: &Result<T, StoreError>) {
        self.node.observe(answer);
    }
}

impl fmt::Debug for SessionBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBackend").field("node", &self.node).field("feed", &self.feed).finish_non_exhaustive()
    }
}

/// A task that is aborted when this is dropped.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
