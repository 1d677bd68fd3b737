//! The sessions for which something waits, and the reports to what waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::id::SessionId;

/// The sessions whose end or new claims are awaited.
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
    /// The smallest valid epoch: it rises when access is expired.
    min_epoch: u32,
    /// Counts the times that revocations may have been missed, so that the store must be asked.
    gaps: u64,
}

impl Waiters {
    /// Registers a waiter for a session.
    pub(super) fn register(self: &Arc<Self>, session: SessionId) -> Waiter {
        let news = self.sessions().entry(session).or_default().subscribe();
        let gaps = news.borrow().gaps;
        Waiter { waiters: Arc::clone(self), session, news: Some(news), gaps }
    }

    /// Tells the waiters of this session that it has ended.
    pub(super) fn report_end(&self, session: SessionId) {
        if let Some(news) = self.sessions().get(&session) {
            news.send_modify(|news| news.ended = true);
        }
    }

    /// Tells the waiters of this session that its access was expired.
    pub(super) fn report_expired_access(&self, session: SessionId, min_epoch: u32) {
        if let Some(news) = self.sessions().get(&session) {
            news.send_modify(|news| news.min_epoch = news.min_epoch.max(min_epoch));
        }
    }

    /// Tells all waiters that revocations may have been missed.
    pub(super) fn report_gap(&self) {
        for news in self.sessions().values() {
            news.send_modify(|news| news.gaps += 1);
        }
    }

    /// The number of sessions that are awaited.
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
    /// The gaps that were seen.
    gaps: u64,
}

impl News {
    /// Whether there is a change that matters to a waiter that has claims of this epoch, if that matters to it.
    fn is_change(&self, epoch: Option<u32>) -> bool {
        self.ended || epoch.is_some_and(|epoch| epoch < self.min_epoch)
    }
}

impl Waiter {
    /// Whether the end was reported.
    pub(super) fn has_ended(&self) -> bool {
        self.news.as_ref().is_some_and(|news| news.borrow().ended)
    }

    /// Returns the smallest valid epoch that was reported; 0 if none was.
    pub(super) fn min_epoch(&self) -> u32 {
        self.news.as_ref().map_or(0, |news| news.borrow().min_epoch)
    }

    /// Waits for a report: of an end, of an epoch above this one, or of a gap that was not seen yet.
    pub(super) async fn news(&mut self, epoch: Option<u32>) {
        // The sender stays in the map for as long as this exists.
        if let Some(news) = &mut self.news
            && let Ok(seen) = news.wait_for(|news| news.is_change(epoch) || news.gaps != self.gaps).await
        {
            self.gaps = seen.gaps;
        }
    }

    /// Waits for an end or an epoch above this one. Gaps stay unseen for [`news`](Self::news).
    pub(super) async fn change(&self, epoch: Option<u32>) {
        if let Some(mut news) = self.news.clone() {
            let _ = news.wait_for(|news| news.is_change(epoch)).await;
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
