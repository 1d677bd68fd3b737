//! The record of a session, and the rotation table as a pure function of record, presented token and time.

use std::time::Duration;

use super::log::Revocation;
use crate::{
    clock::Timestamp,
    policy::{MAX_CLOCK_SKEW, ReplayWindow},
};

/// The record that a store keeps of a session: counters and times, at most 62 bytes.
///
/// It contains no token. The refresh token of a generation is a function of the record and the signing key, so a dump
/// of the store gives access to no session (RFC 6749, section 10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRecord {
    /// Whether the session was ended. A store that deletes records in the step that ends them never writes this.
    pub ended: bool,
    /// The current generation of the refresh token, from 1.
    pub generation: u32,
    /// The superseded generation that may still be repeated while the window is open.
    pub previous: Option<u32>,
    /// Access tokens with a smaller epoch are expired.
    pub epoch: u32,
    /// The login.
    pub created_at: Timestamp,
    /// The last rotation; `None` until the first one. A login is not a rotation.
    pub rotated_at: Option<Timestamp>,
    /// The first use of the current generation, if it was recorded.
    pub confirmed_at: Option<Timestamp>,
    /// When the epoch was raised last.
    pub access_expired_at: Option<Timestamp>,
    /// The session ends here unless it is refreshed before.
    pub idle_end: Timestamp,
    /// The session ends here.
    pub absolute_end: Timestamp,
    /// The first refresh that the device of the session has proven. Since then no other refresh is accepted.
    pub bound_at: Option<Timestamp>,
}

/// An attempt to refresh: the refresh token, and the rules that apply to it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RefreshAttempt {
    /// The generation that the token carries.
    pub generation: u32,
    /// The `exp` of the token.
    pub token_expires_at: Timestamp,
    /// How long a superseded token may be repeated.
    pub window: ReplayWindow,
    /// How long after this rotation the session ends unless it is refreshed again.
    pub refresh_lifetime: Duration,
    /// The smallest epoch whose access tokens are still accepted, as far as the node knows; 0 when it knows of none.
    ///
    /// A record with a smaller epoch is older than what was published, for example after a failover. Load claims only
    /// after reading this. [`Revocation::ENDED`] is no epoch: the session has ended.
    pub min_epoch: u32,
    /// Whether the device of the session has proven to have the key that was registered for it, for this refresh.
    pub is_proven: bool,
}

impl RefreshAttempt {
    /// Returns an attempt with a token of this generation, without proof, at a node that knows of no revocation.
    pub const fn new(
        generation: u32,
        token_expires_at: Timestamp,
        window: ReplayWindow,
        refresh_lifetime: Duration,
    ) -> Self {
        Self { generation, token_expires_at, window, refresh_lifetime, min_epoch: 0, is_proven: false }
    }
}

/// What a refresh did to a session that stays live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// The refresh token stays, and only an access token of its generation is issued: the token is the current one and
    /// was issued a moment ago, or it is the previous one and the answer to it may still arrive.
    Current,
    /// A new generation was made.
    Rotated,
    /// The token was superseded a moment ago. The current generation is issued again, and nothing changed.
    Repeated,
}

/// The decision of [`SessionRecord::rotate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotateDecision {
    /// The session stays live.
    Live {
        /// Which row of the table applied.
        rotation: Rotation,
        /// Whether the record was behind the token or the node: the store had lost writes.
        rolled_back: bool,
    },
    /// A superseded token was presented after its window, or after too many lost answers. The record is marked as
    /// ended, and the store must end the session.
    Reused,
    /// The token has expired or the session is not live. The record did not change.
    Ended,
    /// The session is bound to a device, which has not proven this attempt. The record did not change, and the token
    /// was not looked at: a thief without the key cannot even end the session.
    ProofRequired,
}

impl SessionRecord {
    /// How many answers in a row may be lost before a session ends as reused: ten.
    ///
    /// Under [`ReplayWindow::UntilConfirmed`] a superseded token whose answer was lost advances the session. Each time
    /// the current generation moves one further ahead of [`previous`](Self::previous), until an answer is used. Of
    /// 120,000 simulated working days on a network that loses one message in ten, and every second one for minutes at a
    /// time, the worst lost nine answers in a row. A thief who discards the answers, so that the victim notices
    /// nothing, exceeds ten within minutes.
    pub const MAX_LOST_ANSWERS: u32 = 10;

    /// Returns the record of a session that begins `now`.
    pub fn begin(now: Timestamp, refresh_lifetime: Duration, absolute_lifetime: Duration) -> Self {
        let absolute_end = now.saturating_add(absolute_lifetime);
        Self {
            ended: false,
            generation: 1,
            previous: None,
            epoch: 0,
            created_at: now,
            rotated_at: None,
            confirmed_at: None,
            access_expired_at: None,
            idle_end: now.saturating_add(refresh_lifetime).min(absolute_end),
            absolute_end,
            bound_at: None,
        }
    }

    /// Returns whether the session is neither ended nor past one of its limits.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.ended && now < self.expires_at()
    }

    /// Returns when the session ends unless it is refreshed before: the idle or the absolute limit, whichever is first.
    pub fn expires_at(&self) -> Timestamp {
        self.idle_end.min(self.absolute_end)
    }

    /// Returns when the current refresh token was issued.
    pub fn refreshed_at(&self) -> Timestamp {
        self.rotated_at.unwrap_or(self.created_at)
    }

    /// Applies the rotation table. Rows are tried in this order:
    ///
    /// | presented generation | outcome |
    /// |---|---|
    /// | any, but the token expired, the session is not live or the node knows that it has ended | [`RotateDecision::Ended`] |
    /// | any without proof, but the session is bound to a device | [`RotateDecision::ProofRequired`] |
    /// | newer than ours (the store lost writes) | adopt it, then as the current one |
    /// | the current one, rotated less than two windows ago or with its predecessor still repeatable | [`Rotation::Current`] |
    /// | the current one | [`Rotation::Rotated`] |
    /// | the previous one, window open, and confirmed or rotated less than a window ago | [`Rotation::Repeated`] |
    /// | the previous one, window open, not confirmed, rotated less than two windows ago | [`Rotation::Current`] |
    /// | the previous one, window open, not confirmed, at most [`MAX_LOST_ANSWERS`] newer | the answer was lost: advance, [`Rotation::Rotated`] |
    /// | any other | [`RotateDecision::Reused`] |
    ///
    /// If the session stays live, the epoch is raised to [`RefreshAttempt::min_epoch`], and a proven attempt binds it.
    ///
    /// A time in the record that is ahead of `now` by more than [`MAX_CLOCK_SKEW`](crate::policy::MAX_CLOCK_SKEW)
    /// closes its window: the clock was set back since then, and how long ago it was is unknown.
    ///
    /// [`MAX_LOST_ANSWERS`]: Self::MAX_LOST_ANSWERS
    pub fn rotate(&mut self, presented: &RefreshAttempt, now: Timestamp) -> RotateDecision {
        if now >= presented.token_expires_at || !self.is_live(now) || presented.min_epoch == Revocation::ENDED {
            return RotateDecision::Ended;
        }
        if self.demands_proof(presented) {
            return RotateDecision::ProofRequired;
        }
        // Also if the token turns out to be reused, since the session ends then.
        if presented.is_proven && self.bound_at.is_none() {
            self.bound_at = Some(now);
        }
        // The store lost an `expire_access`. Claims that were loaded before this step may be older than it.
        let lost_epoch = self.epoch < presented.min_epoch;
        if lost_epoch {
            self.epoch = presented.min_epoch;
            self.access_expired_at = Some(now);
        }
        let lost_generation = presented.generation > self.generation;
        if lost_generation {
            self.generation = presented.generation;
            self.previous = None;
        }
        let live = |rotation| RotateDecision::Live { rotation, rolled_back: lost_epoch || lost_generation };
        let length = presented.window.length();
        let just_rotated = self.rotated_within(length.saturating_mul(2), now);

        if presented.generation == self.generation {
            if matches!(presented.window, ReplayWindow::UntilConfirmed(_)) {
                self.confirm(presented.generation, now);
            }
            if just_rotated || self.is_repeatable(presented.window, now) {
                return live(Rotation::Current);
            }
            self.advance(presented, now);
            return live(Rotation::Rotated);
        }
        if self.previous == Some(presented.generation) && self.is_repeatable(presented.window, now) {
            if self.confirmed_at.is_some() || self.rotated_within(length, now) {
                return live(Rotation::Repeated);
            }
            // Its successor may still arrive from a repeat, so it is neither given up yet nor sent again.
            if just_rotated {
                return live(Rotation::Current);
            }
            if self.generation.saturating_sub(presented.generation) <= Self::MAX_LOST_ANSWERS {
                self.advance(presented, now);
                return live(Rotation::Rotated);
            }
        }
        self.ended = true;
        RotateDecision::Reused
    }

    /// Whether the session is bound to a device, which has not proven this attempt.
    pub(super) const fn demands_proof(&self, attempt: &RefreshAttempt) -> bool {
        self.bound_at.is_some() && !attempt.is_proven
    }

    /// Records the first use of `generation`. Ignored unless it is the current one, supersedes another, and was not
    /// used before. Returns whether the record changed.
    pub fn confirm(&mut self, generation: u32, now: Timestamp) -> bool {
        let first = generation == self.generation && self.previous.is_some() && self.confirmed_at.is_none();
        if first {
            self.confirmed_at = Some(now);
        }
        first
    }

    /// Expires every access token issued until now and returns the new epoch.
    pub fn expire_access(&mut self, now: Timestamp) -> u32 {
        // `u32::MAX` means "ended" in the revocation log.
        self.epoch = self.epoch.saturating_add(1).min(u32::MAX - 1);
        self.access_expired_at = Some(now);
        self.epoch
    }

    /// Returns whether the current generation was made less than this long ago.
    pub(crate) fn rotated_within(&self, time: Duration, now: Timestamp) -> bool {
        self.rotated_at.is_some_and(|at| is_within(at, time, now))
    }

    /// Returns whether the previous generation may still be presented.
    fn is_repeatable(&self, window: ReplayWindow, now: Timestamp) -> bool {
        let open_since = match window {
            ReplayWindow::Fixed(_) => self.rotated_at,
            ReplayWindow::UntilConfirmed(_) => self.confirmed_at,
        };
        self.previous.is_some()
            && match open_since {
                Some(since) => is_within(since, window.length(), now),
                None => matches!(window, ReplayWindow::UntilConfirmed(_)),
            }
    }

    fn advance(&mut self, presented: &RefreshAttempt, now: Timestamp) {
        self.previous = Some(presented.generation);
        self.generation = self.generation.saturating_add(1);
        self.rotated_at = Some(now);
        self.confirmed_at = None;
        self.idle_end = now.saturating_add(presented.refresh_lifetime).min(self.absolute_end);
    }
}

/// Returns whether `at` is further ahead than clocks may differ: it was taken before the clock was set back, and its
/// age is unknown.
pub(super) fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now.saturating_add(MAX_CLOCK_SKEW)
}

/// Returns whether `at` was less than this long ago, as far as that is known.
fn is_within(at: Timestamp, time: Duration, now: Timestamp) -> bool {
    !is_ahead(at, now) && now.since(at) < time
}
