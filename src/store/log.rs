//! The revocation log: what ended, in order, for every node to read.

use std::fmt;

use crate::{clock::Timestamp, id::SessionId};

/// A position in the revocation log. Positions grow with time; [`LogPosition::START`] precedes every entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogPosition {
    millis: u64,
    sequence: u64,
}

impl LogPosition {
    /// Before the first entry.
    pub const START: Self = Self { millis: 0, sequence: 0 };

    /// The position of the entry that was written at `millis` as number `sequence` of that millisecond.
    pub const fn new(millis: u64, sequence: u64) -> Self {
        Self { millis, sequence }
    }

    /// The store's time of the entry.
    pub const fn at(self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    /// The number of the entry within its millisecond.
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// As Redis writes the ids of a stream: `1767225600000-0`.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// One entry of the log: what one step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Where it stands.
    pub position: LogPosition,
    /// What it revokes.
    pub revocations: Vec<Revocation>,
}

/// Access tokens of `session` with an epoch below `min_epoch` are no longer accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// The session.
    pub session: SessionId,
    /// The smallest epoch that is still valid; [`Revocation::ENDED`] when none is.
    pub min_epoch: u32,
}

impl Revocation {
    /// Above every epoch: the session has ended.
    pub const ENDED: u32 = u32::MAX;

    /// The end of a session.
    pub const fn ended(session: SessionId) -> Self {
        Self { session, min_epoch: Self::ENDED }
    }
}

/// What [`SessionStore::read_log`](super::SessionStore::read_log) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The entries after the given position, oldest first; possibly not all of them.
    pub entries: Vec<LogEntry>,
    /// The positions of entries that cannot be read, oldest first: damaged, written by something else, or in the format
    /// of a later release. A reader skips them; otherwise one of them would hide all that follow.
    pub skipped: Vec<LogPosition>,
    /// The position of the newest entry that was ever written, as far as the store remembers. Smaller than a position
    /// that was read before: the log was lost, and is to be read again from the start.
    pub newest: LogPosition,
}

impl LogPage {
    /// Whether there is nothing after the given position.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.skipped.is_empty()
    }

    /// The position of the last entry of this page, read or skipped; `None` if there is none.
    pub fn last(&self) -> Option<LogPosition> {
        let read = self.entries.iter().map(|entry| entry.position);
        read.chain(self.skipped.iter().copied()).max()
    }
}
