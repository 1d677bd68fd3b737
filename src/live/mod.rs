//! Beyond what is signed: asking the store about a session, and being told of its end.
//!
//! Verifying needs none of this. It is for the few routes that must know from the source, and for what stays open.

mod ended;
mod ender;
mod ends;
mod health;
mod notes;
#[cfg(test)]
mod tests;
mod unfinished;

use std::{fmt, sync::Arc};

use tokio::{runtime::Handle, task::AbortHandle};

pub use self::ended::Ended;
use self::notes::Notes;
pub(crate) use self::{ender::SessionEnder, ends::Ends, health::Health};
use crate::{
    clock::Timestamp,
    error::ConfigError,
    id::{SessionId, UserId},
    jwt::RegisteredClaims,
    policy::ReplayWindow,
    store::{FoundSession, StoreError},
};

/// The way from a session back to the store it came from. Sessions share it; it does not know their claims.
pub(crate) struct Source {
    ender: Arc<SessionEnder>,
    /// Tries unfinished ends again for as long as anything verifies.
    _retries: AbortOnDrop,
    /// `None` where the replay window does not depend on it.
    notes: Option<Notes>,
    /// Whoever waits for an end needs the feed of revocations, also when the manager is gone.
    _follower: AbortOnDrop,
    /// How many of those who wait may ask the store at the same time: after an outage all of them want to.
    asking: tokio::sync::Semaphore,
}

const MAX_ASKING: usize = 16;

/// What the store says about an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The session lives and the token was not expired.
    Good,
    /// The session has ended, or its access tokens were expired since this one was issued.
    Revoked,
}

impl Source {
    /// Starts the background tasks, on the runtime of the caller.
    pub(crate) fn new(
        ender: SessionEnder,
        window: ReplayWindow,
        follower: AbortOnDrop,
    ) -> Result<Arc<Self>, ConfigError> {
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let ender = Arc::new(ender);
        let notes = match window {
            ReplayWindow::Fixed(_) => None,
            ReplayWindow::UntilConfirmed(_) => {
                let (store, health, clock) = (&ender.store, &ender.health, &ender.clock);
                Some(Notes::start(&runtime, Arc::clone(store), ender.population, Arc::clone(health), Arc::clone(clock)))
            }
        };
        let retries = runtime.spawn(Arc::clone(&ender).retry_unfinished());
        Ok(Arc::new(Self {
            ender,
            _retries: AbortOnDrop(retries.abort_handle()),
            notes,
            _follower: follower,
            asking: tokio::sync::Semaphore::const_new(MAX_ASKING),
        }))
    }

    /// Notes that this access token was used, where that closes the replay window. Never waits.
    pub(crate) fn note_use(&self, token: &RegisteredClaims, now: Timestamp) {
        if let Some(notes) = &self.notes {
            notes.note(token, now);
        }
    }

    /// Notes whether the store works.
    pub(crate) fn observe<T>(&self, answer: &Result<T, StoreError>) {
        self.ender.health.observe(answer.as_ref().err().map(|failure| failure as _));
    }

    /// How sessions are ended.
    pub(crate) fn ender(&self) -> &SessionEnder {
        &self.ender
    }

    /// Asks the store whether an access token of this epoch is good.
    pub(crate) async fn standing(&self, user: &UserId, id: SessionId, epoch: u32) -> Result<Standing, StoreError> {
        // What this node was told stays true, even if a failover made the store forget it.
        if self.ender.finish(user, id).await? || self.ender.ends.find(id, epoch).is_some() {
            return Ok(Standing::Revoked);
        }
        Ok(match self.find(user, id).await? {
            Some(found) if epoch >= found.record.epoch => Standing::Good,
            Some(_) | None => Standing::Revoked,
        })
    }

    /// A future for the end of a session whose access token, good until `expires_at`, was seen. It listens from now on.
    pub(crate) fn ended(self: &Arc<Self>, user: &UserId, id: SessionId, expires_at: Timestamp) -> Ended {
        let watch = self.ender.ends.watch(id);
        let ask_at = tokio::time::Instant::now() + expires_at.since(self.ender.clock.now());
        Ended::new(ended::wait(Arc::clone(self), watch, user.clone(), id, ask_at))
    }

    async fn find(&self, user: &UserId, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let found = self.ender.store.find(&self.ender.owner(user), id).await;
        self.observe(&found);
        found
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("ends", &self.ender.ends).finish_non_exhaustive()
    }
}

/// A task that ends with this.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub(crate) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
