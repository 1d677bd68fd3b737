//! The revocation log, which every node reads.

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

    /// Returns the position of the entry that was written at `millis` as number `sequence` of that millisecond.
    pub const fn new(millis: u64, sequence: u64) -> Self {
        Self { millis, sequence }
    }

    /// Returns the store's time of the entry.
    pub const fn at(self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    /// Returns the number of the entry within its millisecond.
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

/// Written as Redis writes the ids of a stream: `1767225600000-0`.
impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.sequence)
    }
}

/// One entry of the log: what one step revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// Its position.
    pub position: LogPosition,
    /// What it revokes.
    pub revocations: Vec<Revocation>,
}

impl LogEntry {
    /// Returns the entry at this position.
    pub const fn new(position: LogPosition, revocations: Vec<Revocation>) -> Self {
        Self { position, revocations }
    }
}

/// Revokes the access tokens of `session` with an epoch below `min_epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Revocation {
    /// The session.
    pub session: SessionId,
    /// The smallest epoch that is still valid; [`Revocation::ENDED`] when none is.
    pub min_epoch: u32,
}

impl Revocation {
    /// Above every epoch: the session has ended.
    pub const ENDED: u32 = u32::MAX;

    /// Returns the revocation of access tokens with a smaller epoch than this.
    pub const fn new(session: SessionId, min_epoch: u32) -> Self {
        Self { session, min_epoch }
    }

    /// Returns the revocation of a session that has ended.
    pub const fn ended(session: SessionId) -> Self {
        Self { session, min_epoch: Self::ENDED }
    }
}

/// The part of the log that [`SessionStore::read_log`](super::SessionStore::read_log) returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPage {
    /// The entries after the given position, oldest first; possibly not all of them.
    pub entries: Vec<LogEntry>,
    /// The positions of unreadable entries, oldest first: damaged, written by something else, or in the format of a
    /// later release. A reader skips them, since one of them would hide all that follow.
    pub skipped: Vec<LogPosition>,
    /// The position of the newest entry that was ever written, as far as the store remembers. If it is smaller than a
    /// position that was read before, the log was lost and has to be read again from the start.
    pub newest: LogPosition,
    /// The store's time when it returned the page; `None` if that is unknown. It is only measured how old the entries
    /// were by then.
    pub read_at: Option<Timestamp>,
}

impl LogPage {
    /// Returns the page with these entries, none of which was skipped.
    pub const fn new(entries: Vec<LogEntry>, newest: LogPosition) -> Self {
        Self { entries, skipped: Vec::new(), newest, read_at: None }
    }

    /// Returns whether there is nothing after the given position.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.skipped.is_empty()
    }

    /// Returns the position of the last entry of this page, read or skipped; `None` if there is none.
    pub fn last(&self) -> Option<LogPosition> {
        let read = self.entries.iter().map(|entry| entry.position);
        read.chain(self.skipped.iter().copied()).max()
    }
}
