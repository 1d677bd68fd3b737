//! The revocations that this node knows.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    table::SessionTable,
    waiters::{Waiter, Waiters},
};
use crate::{clock::Clock, id::SessionId, store::Revocation};

/// The smallest valid epoch of every session that was revoked lately, and the waiters for one to be added.
///
/// An entry is needed only until the last access token that it concerns has expired, so their number is bounded by the
/// revocations of that time. Every revocation passes through here, whether this node made it or read it in the log.
///
/// Entries age by the monotonic clock: the wall clock can be set while the process runs.
pub(crate) struct Revocations {
    /// The smallest valid epochs.
    epochs: SessionTable,
    waiters: Arc<Waiters>,
    /// How long a revocation is needed.
    retention: Duration,
    clock: Arc<dyn Clock>,
    begun: Instant,
}

/// Above every epoch that a session reaches, and below [`Revocation::ENDED`], which therefore replaces it.
const END_UNFINISHED: u32 = Revocation::ENDED - 1;

/// What is known of a revoked access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    /// The session has ended, or its access tokens were expired after this one was issued.
    Certainly,
    /// The end of the session was requested here, and the store has not confirmed it.
    EndUnfinished,
}

impl Revocations {
    pub(super) fn new(clock: Arc<dyn Clock>, retention: Duration) -> Self {
        let (epochs, waiters) = (SessionTable::unbounded(), Arc::default());
        Self { epochs, waiters, retention, begun: clock.instant(), clock }
    }

    /// Remembers a revocation.
    pub(crate) fn revoke(&self, revocation: Revocation) {
        self.revoke_for(self.retention, revocation);
    }

    /// Remembers a revocation whose time is ahead of the clock of this node by `ahead`.
    ///
    /// Tokens issued before it expire that much later by that clock, so it is kept for that much longer.
    pub(super) fn revoke_ahead(&self, revocation: Revocation, ahead: Duration) {
        self.revoke_for(self.retention.saturating_add(ahead), revocation);
    }

    fn revoke_for(&self, lifetime: Duration, revocation: Revocation) {
        // First the table: a new waiter looks there after it was registered.
        let now = self.elapsed();
        let until = rounded_up(now.saturating_add(lifetime));
        self.epochs.raise(revocation.session, revocation.min_epoch, until, seconds(now));
        match revocation.min_epoch {
            Revocation::ENDED => self.waiters.report_end(revocation.session),
            // It may be that the session lives on.
            END_UNFINISHED => {}
            min_epoch => self.waiters.report_expired_access(revocation.session, min_epoch),
        }
    }

    /// Remembers that the end of a session was requested: its access tokens are refused, but it is not known to have
    /// ended. The end itself, whether known already or later, takes precedence.
    pub(crate) fn begin_end(&self, session: SessionId) {
        self.revoke(Revocation::new(session, END_UNFINISHED));
    }

    /// Returns the smallest epoch whose access tokens this node accepts; `None` when the session has ended.
    pub(crate) fn min_epoch(&self, session: SessionId) -> Option<u32> {
        match self.find_if(session, |_| true) {
            Some(Revocation::ENDED) => None,
            // An unconfirmed end is no epoch, and is not judged here.
            Some(END_UNFINISHED) | None => Some(0),
            Some(min_epoch) => Some(min_epoch),
        }
    }

    /// Returns whether access tokens of this session and epoch are revoked, and with what certainty.
    pub(super) fn find(&self, session: SessionId, epoch: u32) -> Option<Revoked> {
        let min_epoch = self.find_if(session, |min_epoch| epoch < min_epoch)?;
        Some(if min_epoch == END_UNFINISHED { Revoked::EndUnfinished } else { Revoked::Certainly })
    }

    /// Returns whether this session has ended, and with what certainty, whatever its epoch.
    pub(super) fn find_end(&self, session: SessionId) -> Option<Revoked> {
        self.find(session, END_UNFINISHED - 1)
    }

    /// Whether the session has ended and the store knows, so that there is nothing left to do.
    pub(crate) fn is_ended(&self, session: SessionId) -> bool {
        self.find_if(session, |min_epoch| min_epoch == Revocation::ENDED).is_some()
    }

    /// Whether an end was requested that the store has not confirmed.
    pub(super) fn is_end_unfinished(&self, session: SessionId) -> bool {
        self.find_if(session, |min_epoch| min_epoch == END_UNFINISHED).is_some()
    }

    fn find_if(&self, session: SessionId, matters: impl FnOnce(u32) -> bool) -> Option<u32> {
        self.epochs.find(session, matters, || seconds(self.elapsed()))
    }

    /// How long a revocation is needed.
    pub(super) fn retention(&self) -> Duration {
        self.retention
    }

    /// The number of revocations, with those that have not been dropped since they were over.
    pub(super) fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Tells all waiters that revocations may have been missed.
    pub(super) fn report_gap(&self) {
        self.waiters.report_gap();
    }

    /// Begins to wait for what happens to a session.
    pub(super) fn wait_for(&self, session: SessionId) -> Waiter {
        self.waiters.register(session)
    }

    /// The number of sessions that are awaited.
    #[cfg(test)]
    pub(super) fn awaited_sessions(&self) -> usize {
        self.waiters.len()
    }

    fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.begun)
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// So that nothing is forgotten too early.
fn rounded_up(time: Duration) -> u32 {
    seconds(time.saturating_add(Duration::from_nanos(999_999_999)))
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("awaited", &self.waiters.len()).finish_non_exhaustive()
    }
}
