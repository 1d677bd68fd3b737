//! What a login or refresh that is under way may have missed.

use std::time::Duration;

#[cfg(doc)]
use super::SessionStore;
use crate::clock::Timestamp;

/// How long a store remembers the marks of [`SessionStore::expire_access`] and [`SessionStore::end`] for logins that
/// are under way: one hour. A login is refused when its proof is older than half of that.
pub const MARKS_REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// States that a login knows when the proof of its user began, such as the check of a password.
///
/// Sessions may have been ended since then, for example because the password changed; the proof is invalid then. The
/// store does not compare times. It answers with the last [`EndMark`] unless the login states that the proof is newer.
/// The node, which knows the age of the proof by its own clock, compares the ages and repeats the step if the proof is
/// newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginProof {
    /// The [`EndMark::at`] of the mark that the proof is known to be newer than.
    pub newer_than: Option<Timestamp>,
}

impl LoginProof {
    /// Returns a proof that is known to be newer than the mark of this time, if any.
    pub const fn new(newer_than: Option<Timestamp>) -> Self {
        Self { newer_than }
    }

    /// Returns whether the proof may be older than the mark of this time.
    pub fn is_outdated_by(&self, mark: Timestamp) -> bool {
        // A mark that was left after the clock was set back may have an earlier time than one before.
        self.newer_than != Some(mark)
    }
}

/// The mark of an owner's last [`SessionStore::end`] of all sessions or of the others, as a step found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndMark {
    /// Its time by the store's clock, later than that of every previous mark of the owner unless the clock was set
    /// back, so that it identifies the mark.
    pub at: Timestamp,
    /// How long before this step the mark was left, as exactly as the store knows, and never overstated: a store that
    /// counts milliseconds subtracts one.
    pub age: Duration,
}

impl EndMark {
    /// Returns the mark that was left at this time.
    pub const fn new(at: Timestamp, age: Duration) -> Self {
        Self { at, age }
    }
}

/// How old claims are that will be signed after a step, by the clock of the node that loaded them.
///
/// Since then access may have been expired ([`SessionStore::expire_access`]) or, for a login, sessions ended because
/// the user is gone. Claims must then be loaded again *before* the step: if the claims source failed after it, the
/// step would be done and its answer lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimsAge {
    /// How long ago they were requested.
    pub age: Duration,
    /// They were requested when this one was already known, so they are newer, whatever their age.
    pub newer_than: Option<AccessExpiry>,
}

impl ClaimsAge {
    /// Returns the age of claims that are known to be newer than this expiry, if any.
    pub const fn new(age: Duration, newer_than: Option<AccessExpiry>) -> Self {
        Self { age, newer_than }
    }

    /// Returns whether the claims may be older than this expiry.
    pub fn is_outdated_by(&self, expiry: AccessExpiry, now: Timestamp) -> bool {
        self.newer_than != Some(expiry) && now.since(expiry.at) <= self.age
    }
}

/// A call of [`SessionStore::expire_access`], as a step found it; for [`SessionStore::create`] also the mark of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessExpiry {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The epoch of the session since then; 0 where there is no session yet.
    pub epoch: u32,
}

impl AccessExpiry {
    /// Returns the expiry at this time.
    pub const fn new(at: Timestamp, epoch: u32) -> Self {
        Self { at, epoch }
    }
}
