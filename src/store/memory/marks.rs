//! What logins that are under way may have missed.

use std::time::{Duration, Instant};

use super::super::{marks::MARKS_REMEMBERED, record::is_ahead};
use crate::clock::Timestamp;

#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) access_expired_at: Option<Timestamp>,
    pub(super) ended: Option<EndOfSessions>,
}

#[derive(Clone, Copy)]
pub(super) struct EndOfSessions {
    pub(super) at: Timestamp,
    /// A monotonic reading, for its age: the wall clock can be set.
    pub(super) reading: Instant,
}

impl Marks {
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.access_expired_at.max(self.ended.map(|ended| ended.at))
    }

    /// Gives marks that lie ahead the time of this step.
    pub(super) fn read(&mut self, now: Timestamp) -> &Self {
        let times = [self.access_expired_at.as_mut(), self.ended.as_mut().map(|ended| &mut ended.at)];
        for at in times.into_iter().flatten().filter(|at| is_ahead(**at, now)) {
            *at = now;
        }
        self
    }

    /// Returns the time for a mark that is left now: later than both marks.
    pub(super) fn next(&mut self, now: Timestamp) -> Timestamp {
        self.read(now).latest().map_or(now, |latest| now.max(latest.saturating_add(Duration::from_millis(1))))
    }

    /// Returns the marks that are not too old.
    pub(super) fn remembered(&self, now: Timestamp) -> Self {
        let is_remembered = |at: &Timestamp| now.since(*at) < MARKS_REMEMBERED;
        Self {
            access_expired_at: self.access_expired_at.filter(is_remembered),
            ended: self.ended.filter(|ended| is_remembered(&ended.at)),
        }
    }
}
