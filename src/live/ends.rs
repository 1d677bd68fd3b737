//! What this node knows to have ended, and who waits for more of it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{clock::Timestamp, id::SessionId, revocation::RevocationList, store::Revocation};

/// The list of revocations, with an entry beside it for each session whose end somebody awaits.
///
/// Whatever ends a session on this node, or is heard of from another one, comes through here.
#[derive(Default)]
pub(crate) struct Ends {
    list: RevocationList,
    /// Locked by those who begin or stop to wait and by each revocation, never by a request.
    watched: Mutex<HashMap<SessionId, watch::Sender<News>>>,
}

/// The smallest valid epoch of a session whose end was asked for here and may not have reached the store: no token's
/// epoch comes so far.
const ENDING: u32 = Revocation::ENDED - 1;

/// What those who wait for the end of a session are told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    pub(super) ended: bool,
    /// Counts the times that revocations may have been missed, so that the store must be asked.
    pub(super) gaps: u64,
}

impl Ends {
    /// Refuses a session whose end the store is about to be told of. Until that has worked, and
    /// [`revoke`](Self::revoke) says so, each attempt to end it goes to the store.
    pub(crate) fn begin_to_end(&self, session: SessionId, until: Timestamp, now: Timestamp) {
        self.list.revoke(Revocation { session, min_epoch: ENDING }, until, now);
        self.tell_ended(session);
    }

    /// Remembers a revocation that the store knows of until the given time.
    pub(crate) fn revoke(&self, revocation: Revocation, until: Timestamp, now: Timestamp) {
        // The list first: who begins to wait looks there after they are registered.
        self.list.revoke(revocation, until, now);
        if revocation.min_epoch == Revocation::ENDED {
            self.tell_ended(revocation.session);
        }
    }

    /// Whether access tokens of this session and epoch are revoked.
    pub(crate) fn is_revoked(&self, session: SessionId, epoch: u32) -> bool {
        self.list.is_revoked(session, epoch)
    }

    /// The smallest epoch whose access tokens this node accepts; `None` when the session has ended as far as it is
    /// concerned, for which the list has values that are no epochs.
    pub(crate) fn min_epoch(&self, session: SessionId) -> Option<u32> {
        Some(self.list.min_epoch(session).unwrap_or(0)).filter(|epoch| *epoch < ENDING)
    }

    /// Whether the session has ended as far as this node is concerned, also where the store does not know yet.
    pub(crate) fn is_ended(&self, session: SessionId) -> bool {
        self.list.is_revoked(session, ENDING - 1)
    }

    /// Whether the session has ended and the store knows: there is nothing left to do.
    pub(crate) fn is_end_stored(&self, session: SessionId) -> bool {
        self.list.is_ended(session)
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
