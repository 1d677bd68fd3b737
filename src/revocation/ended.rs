//! Waiting for the end of a session.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{backend::SessionBackend, waiting::Waiting};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
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
        let mut waiting = Waiting::begin(backend, user, id, expires_at, None);
        // Without an epoch, there is no other change.
        let end = async move {
            let _ = waiting.next().await;
        };
        Self { waiting: Box::pin(end) }
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
