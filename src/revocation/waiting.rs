//! Waiting for what happens to a session: the common part of [`Ended`](super::Ended) and [`Changed`](super::Changed).

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{backend::SessionBackend, waiters::Waiter};
use crate::{
    clock::{Timestamp, jittered},
    id::{SessionId, UserId},
    store::{FoundSession, StoreError},
};

/// What has happened to a session: [`Session::changed`](crate::Session::changed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionChange {
    /// Its access was expired, since its claims have changed: load them anew. It was expired once or more often.
    AccessExpired,
    /// It has ended.
    Ended,
}

/// Waits for the end of a session, and for the expiry of its access if that is asked for.
///
/// All that is known at first is that the session lasts as long as its access token. Then the store is asked, which
/// knows of refreshes by every node, and again whenever the end that it gave has come or revocations may have been
/// missed.
pub(super) struct Waiting {
    backend: Arc<SessionBackend>,
    waiter: Waiter,
    user: UserId,
    id: SessionId,
    ask_at: Instant,
    /// The one end that no refresh moves, by our own clock.
    certain_end: Option<Instant>,
    backoff: Duration,
    /// The epoch of the claims that the caller has; `None` if only the end matters.
    epoch: Option<u32>,
}

/// How soon a store that failed is asked again, at first and at last. When the revocation log recovers, it is asked at
/// once.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Waiting {
    /// Begins to listen for a session whose access token expires at `expires_at`.
    pub(super) fn begin(
        backend: &Arc<SessionBackend>,
        user: &UserId,
        id: SessionId,
        expires_at: Timestamp,
        epoch: Option<u32>,
    ) -> Self {
        let waiter = backend.node.revocations.wait_for(id);
        let ask_at = Instant::now() + expires_at.since(backend.node.clock.now());
        let (backend, user) = (Arc::clone(backend), user.clone());
        Self { backend, waiter, user, id, ask_at, certain_end: None, backoff: BACKOFF.0, epoch }
    }

    /// Waits for the next change.
    pub(super) async fn next(&mut self) -> SessionChange {
        loop {
            if let Some(change) = self.known_change() {
                return change;
            }
            // Either the time has come, or there is a report of a change or a gap.
            let _ = timeout_at(self.ask_at, self.waiter.news(self.epoch)).await;
            if let Some(change) = self.known_change() {
                return change;
            }
            let asked = unless_changed(&self.waiter, self.epoch, ask(&self.backend, &self.user, self.id)).await;
            let Some(answer) = asked else { continue };
            let now = Instant::now();
            match answer {
                Ok(Some(found)) => {
                    self.backoff = BACKOFF.0;
                    // Ages by the store's clock, since ours may differ.
                    self.ask_at = now + found.record.expires_at().since(found.now);
                    self.certain_end = Some(now + found.record.absolute_end.since(found.now));
                    if self.raise_epoch(found.record.epoch) {
                        return SessionChange::AccessExpired;
                    }
                }
                Ok(None) => return SessionChange::Ended,
                // No answer is no end, except where it was certain anyway.
                Err(_) if self.certain_end.is_some_and(|end| end <= now) => return SessionChange::Ended,
                Err(_) => {
                    let again = now + jittered(self.backoff);
                    self.ask_at = self.certain_end.map_or(again, |end| again.min(end));
                    self.backoff = self.backoff.saturating_mul(2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Returns the change that this node knows of.
    fn known_change(&mut self) -> Option<SessionChange> {
        let revocations = &self.backend.node.revocations;
        if self.waiter.has_ended() || revocations.is_ended(self.id) {
            return Some(SessionChange::Ended);
        }
        // The list forgets, and a waiter may have come later.
        let known = self.waiter.min_epoch().max(revocations.min_epoch(self.id).unwrap_or_default());
        self.raise_epoch(known).then_some(SessionChange::AccessExpired)
    }

    /// Notes the smallest valid epoch. Returns whether the caller waits for it and has older claims.
    fn raise_epoch(&mut self, min_epoch: u32) -> bool {
        match &mut self.epoch {
            Some(epoch) if *epoch < min_epoch => {
                *epoch = min_epoch;
                true
            }
            _ => false,
        }
    }
}

async fn ask(backend: &SessionBackend, user: &UserId, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
    // It is never closed.
    let _turn = backend.asking.acquire().await;
    backend.node.find(user, id).await
}

/// Returns the answer, or `None` when a change is reported before it comes.
async fn unless_changed<T>(waiter: &Waiter, epoch: Option<u32>, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut changed = pin!(waiter.change(epoch));
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
    })
    .await
}
