//! What this node knows to have ended, and who waits for more of it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    clock::Clock,
    id::SessionId,
    revocation::{END_UNFINISHED, RevocationList, Revoked},
    store::Revocation,
};

/// The list of revocations, with an entry beside it for each session whose end somebody awaits.
///
/// Every revocation passes through here, whether this node made it or read it in the log.
///
/// What it knows ages by the monotonic clock: the wall clock can be set while the process runs.
pub(crate) struct Ends {
    list: RevocationList,
    clock: Arc<dyn Clock>,
    begun: Instant,
    /// Locked by those who begin or stop to wait and by each revocation, never by a request.
    watched: Mutex<HashMap<SessionId, watch::Sender<News>>>,
}

/// What those who wait for the end of a session are told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    pub(super) ended: bool,
    /// Counts the times that revocations may have been missed, so that the store must be asked.
    pub(super) gaps: u64,
}

impl Ends {
    /// An empty list.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { list: RevocationList::default(), begun: clock.instant(), clock, watched: Mutex::default() }
    }

    /// Remembers a revocation for this long.
    pub(crate) fn revoke(&self, revocation: Revocation, lives: Duration) {
        // The list first: who begins to wait looks there after they are registered.
        let now = self.elapsed();
        self.list.revoke(revocation, rounded_up(now.saturating_add(lives)), seconds(now));
        if revocation.min_epoch == Revocation::ENDED {
            self.tell_ended(revocation.session);
        }
    }

    /// Remembers for this long that the end of a session was asked for: its access tokens are refused, but it is not
    /// known to have ended.
    pub(crate) fn begin_end(&self, session: SessionId, lives: Duration) {
        let now = self.elapsed();
        self.list.begin_end(session, rounded_up(now.saturating_add(lives)), seconds(now));
    }

    /// The smallest epoch whose access tokens this node accepts; `None` when the session has ended.
    pub(crate) fn min_epoch(&self, session: SessionId) -> Option<u32> {
        match self.list.min_epoch(session, || seconds(self.elapsed())) {
            Some(Revocation::ENDED) => None,
            // An unconfirmed end is no epoch, and is not judged here.
            Some(min_epoch) if min_epoch < END_UNFINISHED => Some(min_epoch),
            Some(_) | None => Some(0),
        }
    }

    /// Whether access tokens of this session and epoch are revoked, and with what certainty.
    pub(crate) fn find(&self, session: SessionId, epoch: u32) -> Option<Revoked> {
        self.list.find(session, epoch, || seconds(self.elapsed()))
    }

    /// Whether the session has ended and the store knows, so that there is nothing left to do.
    pub(crate) fn is_ended(&self, session: SessionId) -> bool {
        self.list.is_ended(session, || seconds(self.elapsed()))
    }

    /// Whether an end was asked for that the store has not confirmed.
    pub(super) fn is_end_unfinished(&self, session: SessionId) -> bool {
        self.list.is_end_unfinished(session, || seconds(self.elapsed()))
    }

    fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.begun)
    }

    /// Revocations may have been missed: whoever waits must ask the store.
    pub(crate) fn tell_of_gap(&self) {
        for news in self.watched().values() {
            news.send_modify(|news| news.gaps += 1);
        }
    }

    /// Tells whoever waits for the end of this session.
    pub(super) fn tell_ended(&self, session: SessionId) {
        if let Some(news) = self.watched().get(&session) {
            news.send_modify(|news| news.ended = true);
        }
    }

    /// Begins to wait for the end of a session.
    pub(super) fn watch(self: &Arc<Self>, session: SessionId) -> Watch {
        let news = self.watched().entry(session).or_default().subscribe();
        Watch { ends: Arc::clone(self), session, news: Some(news) }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<News>>> {
        // Nothing panics while it is held.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many sessions somebody waits for.
    #[cfg(test)]
    pub(super) fn watched_sessions(&self) -> usize {
        self.watched().len()
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// So that nothing is forgotten too early.
fn rounded_up(time: Duration) -> u32 {
    seconds(time.saturating_add(Duration::from_nanos(999_999_999)))
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends").field("watched", &self.watched().len()).finish_non_exhaustive()
    }
}

/// One who waits. The entry of the session goes with the last of them.
pub(super) struct Watch {
    ends: Arc<Ends>,
    session: SessionId,
    /// `None` only while dropping.
    news: Option<watch::Receiver<News>>,
}

impl Watch {
    /// Whether it is known by now.
    pub(super) fn has_ended(&self) -> bool {
        self.ends.is_ended(self.session) || self.news.as_ref().is_some_and(|news| news.borrow().ended)
    }

    /// Waits for news.
    pub(super) async fn changed(&mut self) {
        // The sender stays in the map for as long as we are there.
        if let Some(news) = &mut self.news {
            let _ = news.changed().await;
        }
    }

    /// Waits for the end alone: other news stay unheard for [`changed`](Self::changed).
    pub(super) async fn ended(&self) {
        if let Some(mut news) = self.news.clone() {
            let _ = news.wait_for(|news| news.ended).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.ends.watched();
        // Under the lock, so that nobody subscribes between counting and removing.
        self.news = None;
        if watched.get(&self.session).is_some_and(|news| news.receiver_count() == 0) {
            watched.remove(&self.session);
        }
    }
}
