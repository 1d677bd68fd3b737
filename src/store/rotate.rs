//! Refreshing a session.

use std::time::Duration;

#[cfg(doc)]
use super::SessionStore;
use super::{
    log::Revocation,
    marks::{AccessExpiry, ClaimsAge},
    owner::Owner,
    record::{RefreshAttempt, RotateDecision, Rotation, SessionRecord},
};
use crate::{clock::Timestamp, id::SessionId};

/// The refresh that [`SessionStore::rotate`] decides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RotateSession {
    /// The owner.
    pub owner: Owner,
    /// The session.
    pub id: SessionId,
    /// The refresh token and the rules that apply to it.
    pub attempt: RefreshAttempt,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// The claims that will be signed; `None` when there is nothing to compare.
    pub claims: Option<ClaimsAge>,
}

impl RotateSession {
    /// Returns an attempt to refresh this session, with no claims to compare.
    pub fn new(owner: Owner, id: SessionId, attempt: RefreshAttempt, log_retention: Duration) -> Self {
        Self { owner, id, attempt, log_retention, claims: None }
    }

    /// Returns why the [claims](Self::claims) must be loaded again before this live session is rotated; `None` if they
    /// may be signed, or if the attempt is refused in any case.
    pub fn outdated_claims(&self, record: &SessionRecord, now: Timestamp) -> Option<AccessExpiry> {
        let is_refused = now >= self.attempt.token_expires_at || self.attempt.min_epoch == Revocation::ENDED;
        if is_refused || record.demands_proof(&self.attempt) {
            return None;
        }
        let expiry = AccessExpiry::new(record.access_expired_at?, record.epoch);
        self.claims?.is_outdated_by(expiry, now).then_some(expiry)
    }
}

/// The outcome of [`SessionStore::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotateOutcome {
    /// The session is live: see [`live`](Self::live).
    #[non_exhaustive]
    Live {
        /// Which row of the table applied.
        rotation: Rotation,
        /// The record after the step.
        record: SessionRecord,
        /// The store's time of the step.
        now: Timestamp,
        /// Whether the record was behind the token or the node: the store had lost writes, for example in a failover.
        rolled_back: bool,
    },
    /// [`RotateSession::claims`] are outdated. Nothing changed.
    ClaimsOutdated(AccessExpiry),
    /// The session is bound to a device, and the attempt is not [proven](RefreshAttempt::is_proven). Nothing changed.
    ProofRequired,
    /// The token was superseded and its window closed. The session was ended and published in this step.
    Reused,
    /// The token has expired, or the session has ended or never existed.
    Ended,
}

impl RotateOutcome {
    /// Returns the outcome [`Live`](Self::Live) of a step at the store's time `now`, for a store that does not call
    /// [`SessionRecord::rotate`] itself.
    pub const fn live(rotation: Rotation, record: SessionRecord, now: Timestamp, rolled_back: bool) -> Self {
        Self::Live { rotation, record, now, rolled_back }
    }
}

impl RotateDecision {
    /// Returns the outcome of a step that carried this decision out at the store's time `now`, with the record after
    /// it.
    pub const fn outcome(self, record: SessionRecord, now: Timestamp) -> RotateOutcome {
        match self {
            Self::Live { rotation, rolled_back } => RotateOutcome::live(rotation, record, now, rolled_back),
            Self::ProofRequired => RotateOutcome::ProofRequired,
            Self::Reused => RotateOutcome::Reused,
            Self::Ended => RotateOutcome::Ended,
        }
    }
}
