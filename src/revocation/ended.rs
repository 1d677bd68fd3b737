//! Waiting for the end of a session.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{backend::SessionBackend, waiters::Waiter};
use crate::{
    clock::{Timestamp, jittered},
    id::{SessionId, UserId},
    store::{FoundSession, StoreError},
};

/// Resolves when a session has ended: [`Session::ended`](crate::Session::ended).
///
/// It owns what it needs, so it can move into a task that outlives the request.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Ended {
    waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Ended {
    /// Waits for the end of a session whose access token expires at `expires_at`. It listens from this call on.
    pub(crate) fn of_session(
        backend: &Arc<SessionBackend>,
        user: &UserId,
        id: SessionId,
        expires_at: Timestamp,
    ) -> Self {
        let waiter = backend.node.revocations.wait_for(id);
        let ask_at = Instant::now() + expires_at.since(backend.node.clock.now());
        Self { waiting: Box::pin(wait(Arc::clone(backend), waiter, user.clone(), id, ask_at)) }
    }

    /// Waits until an access token has expired, where there is no store to ask.
    pub(crate) fn after(expires_in: Duration) -> Self {
        Self { waiting: Box::pin(tokio::time::sleep(expires_in)) }
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.as_mut().poll(cx)
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

/// How soon a store that failed is asked again, at first and at last. When the revocation log recovers, it is asked at
/// once.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Waits until the session is known to have ended.
///
/// All that is known at first is that it lasts as long as its access token. Then the store is asked, which knows of
/// refreshes by every node, and again whenever the end that it gave has come or revocations may have been missed.
async fn wait(backend: Arc<SessionBackend>, mut waiter: Waiter, user: UserId, id: SessionId, mut ask_at: Instant) {
    // The one end that no refresh moves, by our own clock.
    let mut certain_end = None;
    let mut backoff = BACKOFF.0;
    let has_ended = |waiter: &Waiter| backend.node.revocations.is_ended(id) || waiter.has_ended();
    while !has_ended(&waiter) {
        // Either the time has come, or there is a report of an end or a gap.
        let _ = timeout_at(ask_at, waiter.changed()).await;
        if has_ended(&waiter) {
            return;
        }
        let Some(answer) = unless_ended(&waiter, ask(&backend, &user, id)).await else { return };
        let now = Instant::now();
        match answer {
            Ok(Some(found)) => {
                backoff = BACKOFF.0;
                // Ages by the store's clock, since ours may differ.
                ask_at = now + found.record.expires_at().since(found.now);
                certain_end = Some(now + found.record.absolute_end.since(found.now));
            }
            Ok(None) => return,
            // No answer is no end, except where it was certain anyway.
            Err(_) if certain_end.is_some_and(|end| end <= now) => return,
            Err(_) => {
                let again = now + jittered(backoff);
                ask_at = certain_end.map_or(again, |end| again.min(end));
                backoff = backoff.saturating_mul(2).min(BACKOFF.1);
            }
        }
    }
}

async fn ask(backend: &SessionBackend, user: &UserId, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
    // It is never closed.
    let _turn = backend.asking.acquire().await;
    backend.node.find(user, id).await
}

/// Returns the answer, or `None` when the session ends before it comes.
async fn unless_ended<T>(waiter: &Waiter, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut ended = pin!(waiter.ended());
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
    })
    .await
}
