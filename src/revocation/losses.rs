//! What the session store has lost: noticed, logged and counted, since it cannot say so itself.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    clock::Timestamp,
    event::LOG_TARGET,
    id::SessionId,
    log_lines::LineLimit,
    measure,
    policy::MAX_CLOCK_SKEW,
    store::{LogPage, LogPosition},
};

/// Sessions that were refreshed although the store does not have them.
///
/// A session that ended is missing, too, so each is compared with the revocations of this node, after it has read the
/// log once more: the end may have been published on another node at that moment.
#[derive(Debug, Default)]
pub(super) struct LostSessions {
    missing: Mutex<Missing>,
    lines: LineLimit,
}

#[derive(Debug, Default)]
struct Missing {
    /// Noted since the last read.
    new: Vec<SessionId>,
    /// Noted before the last read, which may have begun earlier.
    earlier: Vec<SessionId>,
}

/// More between two reads are not counted.
const MAX_MISSING: usize = 10_000;

impl LostSessions {
    pub(super) fn note_missing(&self, session: SessionId) {
        let mut missing = self.missing();
        if missing.new.len() < MAX_MISSING {
            missing.new.push(session);
        }
    }

    /// Called after each read of the log, with whether a session is known to have ended.
    pub(super) fn report(&self, has_ended: impl Fn(SessionId) -> bool) {
        let due = {
            let mut missing = self.missing();
            let new = std::mem::take(&mut missing.new);
            std::mem::replace(&mut missing.earlier, new)
        };
        let lost = due.into_iter().filter(|session| !has_ended(*session)).count();
        let lost = u64::try_from(lost).unwrap_or(u64::MAX);
        if lost == 0 {
            return;
        }
        measure::lost_sessions(lost);
        if let Some(count) = self.lines.admit(lost) {
            tracing::warn!(
                target: LOG_TARGET,
                count,
                "sessions lost: they had neither ended nor expired, and the session store does not have them"
            );
        }
    }

    fn missing(&self) -> MutexGuard<'_, Missing> {
        // Nothing panics while it is held.
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the revocation log was lost.
#[derive(Debug, Default)]
pub(super) struct LostLog {
    /// How old the newest entry was, by the store's clock, and when that was.
    newest: Option<(Duration, Instant)>,
    backwards: LineLimit,
    gone: LineLimit,
}

impl LostLog {
    /// Notes a page that continues the log.
    pub(super) fn continues(&mut self, page: &LogPage, now: Instant) {
        let Some(read_at) = page.read_at.filter(|_| page.newest != LogPosition::START) else { return };
        self.newest = Some((read_at.since(page.newest.at()), now));
    }

    /// Reports a page whose newest position precedes one that was read before.
    pub(super) fn is_lost(&mut self, page: &LogPage, retention: Duration, now: Instant) {
        if page.newest != LogPosition::START {
            measure::lost_log();
            if let Some(count) = self.backwards.admit(1) {
                tracing::warn!(target: LOG_TARGET, count, "revocation log went backwards: reading it again from the start");
            }
            return;
        }
        // A log that vanished altogether may just be old: nothing has ended for as long as it is kept.
        let Some((age, since)) = self.newest.take() else { return };
        let age = age.saturating_add(now.saturating_duration_since(since)).saturating_add(MAX_CLOCK_SKEW);
        if age < retention {
            measure::lost_log();
            if let Some(count) = self.gone.admit(1) {
                tracing::warn!(
                    target: LOG_TARGET,
                    count,
                    "revocation log gone: the session store was emptied or has lost its data, users may have to log in again"
                );
            }
        }
    }
}

/// Returns whether a session whose refresh token the store does not know must have been lost, unless this node knows
/// that it ended: the token is so young that the log still has every end since it was issued, and has not expired.
pub(super) fn must_be_known(issued_at: Timestamp, expires_at: Timestamp, now: Timestamp, retention: Duration) -> bool {
    let is_young = now.since(issued_at).saturating_add(MAX_CLOCK_SKEW) < retention;
    is_young && now.saturating_add(MAX_CLOCK_SKEW) < expires_at
}
