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

use super::{Source, ends::Watch};
use crate::{
    clock::jittered,
    id::{SessionId, UserId},
    store::{FoundSession, StoreError},
};

/// Resolves when a session is over: [`Session::ended`](crate::Session::ended).
///
/// It owns what it needs, so it can move into a task that outlives the request.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Ended {
    waiting: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Ended {
    pub(crate) fn new(waiting: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { waiting: Box::pin(waiting) }
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

/// How soon a store that failed is asked again, at first and at last. A feed that comes back asks at once.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Waits until the session is known to be over.
///
/// All that is known at first is that it lasts as long as its access token. Then the store is asked, which knows of
/// refreshes by every node, and again whenever the end that it gave has come or revocations may have been missed.
pub(super) async fn wait(source: Arc<Source>, mut watch: Watch, user: UserId, id: SessionId, mut ask_at: Instant) {
    // The one end that no refresh moves, by our own clock.
    let mut certain_end = None;
    let mut backoff = BACKOFF.0;
    while !watch.has_ended() {
        // Either the time has come, or there is news: an end, or a gap.
        let _ = timeout_at(ask_at, watch.changed()).await;
        if watch.has_ended() {
            return;
        }
        let Some(answer) = unless_ended(&watch, ask(&source, &user, id)).await else { return };
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

async fn ask(source: &Source, user: &UserId, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
    // It is never closed.
    let _turn = source.asking.acquire().await;
    source.find(user, id).await
}

/// The answer, or `None` when the session ends before it comes.
async fn unless_ended<T>(watch: &Watch, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    let mut told = pin!(watch.ended());
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => told.as_mut().poll(cx).map(|()| None),
    })
    .await
}
