//! Ending sessions.

use std::time::Duration;

#[cfg(doc)]
use super::SessionStore;
use super::owner::Owner;
use crate::{clock::Timestamp, id::SessionId};

/// The sessions that [`SessionStore::end`] ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndSessions {
    /// The owner.
    pub owner: Owner,
    /// Which of the owner's sessions.
    pub which: WhichSessions,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// Spares sessions that began less than this ago, by the store's clock. Zero, the default, spares none.
    ///
    /// For an end that is tried again: how long ago it was requested, so that later logins are spared.
    pub min_age: Duration,
}

impl EndSessions {
    /// Returns the end of these sessions of this user, however young they are.
    pub fn new(owner: Owner, which: WhichSessions, log_retention: Duration) -> Self {
        Self { owner, which, log_retention, min_age: Duration::ZERO }
    }

    /// Returns whether a session that was created then is too young to be ended.
    ///
    /// One from the future is not: the store's clock was set back, so its age is unknown.
    pub fn spares(&self, created_at: Timestamp, now: Timestamp) -> bool {
        created_at <= now && now.since(created_at) < self.min_age
    }
}

/// Which sessions [`SessionStore::end`] ends.
///
/// Exhaustive on purpose: a store that does not handle one of them would leave sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichSessions {
    /// This one, if it is one of the user's.
    One(SessionId),
    /// This one, which a token of the user that we signed has named: it existed, even if the store has lost it.
    Proven(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All of them.
    All,
}

impl WhichSessions {
    /// Returns whether `id` is among them.
    pub fn includes(self, id: SessionId) -> bool {
        match self {
            Self::One(one) | Self::Proven(one) => one == id,
            Self::Others(kept) => kept != id,
            Self::All => true,
        }
    }
}
