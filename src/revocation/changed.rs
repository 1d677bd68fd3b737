//! Waiting for new claims of a session, and for its end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    backend::SessionBackend,
    waiting::{SessionChange, Waiting},
};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
};

/// Resolves when the access of a session was expired or the session has ended:
/// [`Session::changed`](crate::Session::changed).
///
/// It can be awaited again for the next change. It owns what it needs, so it can move into a task that outlives the
/// request.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed {
    /// Returns what waits for the change after the next one; `None` when the session has ended.
    waiting: Option<Pin<Box<dyn Future<Output = Option<Waiting>> + Send>>>,
}

impl Changed {
    /// Waits for changes of a session whose access token has this epoch and expires at `expires_at`.
    pub(crate) fn of_session(
        backend: &Arc<SessionBackend>,
        user: &UserId,
        id: SessionId,
        expires_at: Timestamp,
        epoch: u32,
    ) -> Self {
        Self::listen(Waiting::begin(backend, user, id, expires_at, Some(epoch)))
    }

    /// Waits until an access token has expired, where there is no store to ask.
    pub(crate) fn after(expires_in: Duration) -> Self {
        // Begins now, not when it is first polled.
        let expiry = tokio::time::sleep(expires_in);
        let waiting = async move {
            expiry.await;
            None
        };
        Self { waiting: Some(Box::pin(waiting)) }
    }

    fn listen(mut waiting: Waiting) -> Self {
        let next = async move {
            match waiting.next().await {
                SessionChange::AccessExpired => Some(waiting),
                SessionChange::Ended => None,
            }
        };
        Self { waiting: Some(Box::pin(next)) }
    }
}

impl Future for Changed {
    type Output = SessionChange;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<SessionChange> {
        let next = match &mut self.waiting {
            Some(waiting) => ready!(waiting.as_mut().poll(cx)),
            None => None,
        };
        match next {
            Some(waiting) => {
                *self = Self::listen(waiting);
                Poll::Ready(SessionChange::AccessExpired)
            }
            None => {
                self.waiting = None;
                Poll::Ready(SessionChange::Ended)
            }
        }
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}
