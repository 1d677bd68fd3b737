//! Waiting for the end of a session.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::id::SessionId;

/// The sessions whose end is awaited.
///
/// Locked when a wait begins or stops and by each revocation, never by a request.
#[derive(Default)]
pub(super) struct Waiters {
    sessions: Mutex<HashMap<SessionId, watch::Sender<News>>>,
}

/// What is reported to the waiters of a session.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    ended: bool,
    /// Counts the times that revocations may have been missed, so that the store must be asked.
    gaps: u64,
}

impl Waiters {
    /// Registers a waiter for the end of a session.
    pub(super) fn register(self: &Arc<Self>, session: SessionId) -> Waiter {
        let news = self.sessions().entry(session).or_default().subscribe();
        Waiter { waiters: Arc::clone(self), session, news: Some(news) }
    }

    /// Tells the waiters of this session that it has ended.
    pub(super) fn report_end(&self, session: SessionId) {
        if let Some(news) = self.sessions().get(&session) {
            news.send_modify(|news| news.ended = true);
        }
    }

    /// Tells all waiters that revocations may have been missed.
    pub(super) fn report_gap(&self) {
        for news in self.sessions().values() {
            news.send_modify(|news| news.gaps += 1);
        }
    }

    /// The number of sessions whose end is awaited.
    pub(super) fn len(&self) -> usize {
        self.sessions().len()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<News>>> {
        // Nothing panics while it is held.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered waiter. The entry of the session is removed with its last waiter.
pub(super) struct Waiter {
    waiters: Arc<Waiters>,
    session: SessionId,
    /// `None` only while dropping.
    news: Option<watch::Receiver<News>>,
}

impl Waiter {
    /// Whether the end was reported.
    pub(super) fn has_ended(&self) -> bool {
        self.news.as_ref().is_some_and(|news| news.borrow().ended)
    }

    /// Waits for the next report, of an end or of a gap.
    pub(super) async fn changed(&mut self) {
        // The sender stays in the map for as long as this exists.
        if let Some(news) = &mut self.news {
            let _ = news.changed().await;
        }
    }

    /// Waits for the end. Gaps stay unseen for [`changed`](Self::changed).
    pub(super) async fn ended(&self) {
        if let Some(mut news) = self.news.clone() {
            let _ = news.wait_for(|news| news.ended).await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut sessions = self.waiters.sessions();
        // Under the lock, so that no waiter registers between counting and removing.
        self.news = None;
        if sessions.get(&self.session).is_some_and(|news| news.receiver_count() == 0) {
            sessions.remove(&self.session);
        }
    }
}
