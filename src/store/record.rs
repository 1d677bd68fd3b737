//! The record of one session and the rotation table, as pure functions of record, presented token and time.

use std::{fmt, time::Duration};

use super::Revocation;
use crate::{
    clock::Timestamp,
    policy::{MAX_CLOCK_SKEW, ReplayWindow},
};

/// What a store keeps of a session: counters and times, no token material, 62 bytes.
///
/// Rotation is a counter. The refresh token of a generation is a function of the record and the signing key, so the
/// record need not hold it, and a dump of the store opens no session (RFC 6749, section 10.4).
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
    /// The first use of the current generation, as far as it was noted.
    pub confirmed_at: Option<Timestamp>,
    /// When the epoch was raised last.
    pub access_expired_at: Option<Timestamp>,
    /// The session ends here unless it is refreshed before.
    pub idle_end: Timestamp,
    /// The session ends here.
    pub absolute_end: Timestamp,
}

/// A refresh token, and the rules that apply to it.
#[derive(Clone, Copy, Debug)]
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
}

/// How a refresh went for a session that lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The token stays, only a fresh access token of its generation is due: it is the current one and was issued a
    /// moment ago, or the previous one, and it is too early to tell whether the answer to it was lost.
    Current,
    /// A new generation was made.
    Rotated,
    /// The token was superseded a moment ago: the current generation is issued once more, nothing changed.
    Repeated,
}

/// What [`SessionRecord::rotate`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateDecision {
    /// The session lives on.
    Live {
        /// Which row of the table applied.
        rotation: Rotation,
        /// Whether the record was behind the token or the node: the store had lost writes.
        rolled_back: bool,
    },
    /// A superseded token after its window, or after more lost answers than are believed: the session must end, and the
    /// record says so now.
    Reused,
    /// The token or the session is over. The record did not change.
    Ended,
}

impl SessionRecord {
    /// The length of [`SessionRecord::to_bytes`].
    pub const PACKED_LEN: usize = 62;

    /// How many answers in a row may be lost before a session ends as reused: ten.
    ///
    /// Under [`ReplayWindow::UntilConfirmed`] a superseded token whose answer was lost advances the session. Each time
    /// the current generation moves one further ahead of [`previous`](Self::previous), until an answer is used. Of
    /// 120,000 simulated working days on a network that loses one message in ten, and every second one for minutes at a
    /// time, the worst lost nine answers in a row. A thief who discards the answers, so that the victim notices
    /// nothing, exceeds ten within minutes.
    pub const MAX_LOST_ANSWERS: u32 = 10;

    const VERSION: u8 = 1;
    const ENDED: u8 = 1;

    /// The record of a session that begins `now`.
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
        }
    }

    /// Whether the session is neither ended nor past one of its limits.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.ended && now < self.expires_at()
    }

    /// When the session ends unless it is refreshed before: the idle or the absolute limit, whichever is first.
    pub fn expires_at(&self) -> Timestamp {
        self.idle_end.min(self.absolute_end)
    }

    /// When the current refresh token was issued.
    pub fn refreshed_at(&self) -> Timestamp {
        self.rotated_at.unwrap_or(self.created_at)
    }

    /// The rotation table. Rows are tried in this order:
    ///
    /// | presented generation | outcome |
    /// |---|---|
    /// | any, but the token expired, the session is not live or the node knows that it has ended | [`RotateDecision::Ended`] |
    /// | newer than ours (the store lost writes) | adopt it, then as the current one |
    /// | the current one, rotated less than two windows ago or with its predecessor still repeatable | [`Rotation::Current`] |
    /// | the current one | [`Rotation::Rotated`] |
    /// | the previous one, window open, and confirmed or rotated less than a window ago | [`Rotation::Repeated`] |
    /// | the previous one, window open, not confirmed, rotated less than two windows ago | [`Rotation::Current`] |
    /// | the previous one, window open, not confirmed, at most [`MAX_LOST_ANSWERS`] newer | the answer was lost: advance, [`Rotation::Rotated`] |
    /// | any other | [`RotateDecision::Reused`] |
    ///
    /// Where the session lives on, the epoch is raised to [`RefreshAttempt::min_epoch`].
    ///
    /// A time in the record that is ahead of `now` by more than [`MAX_CLOCK_SKEW`](crate::MAX_CLOCK_SKEW) closes its
    /// window: the clock was set back since then, and how long ago it was is unknown.
    ///
    /// [`MAX_LOST_ANSWERS`]: Self::MAX_LOST_ANSWERS
    pub fn rotate(&mut self, presented: &RefreshAttempt, now: Timestamp) -> RotateDecision {
        if now >= presented.token_expires_at || !self.is_live(now) || presented.min_epoch == Revocation::ENDED {
            return RotateDecision::Ended;
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
            // Its successor may still be on its way from a repeat, so it is not given up yet, nor sent out again.
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

    /// Notes the first use of `generation`. Ignored unless it is the current one, supersedes another, and was not
    /// noted before. Says whether the record changed.
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

    /// Whether the current generation was made less than this long ago.
    pub(crate) fn rotated_within(&self, time: Duration, now: Timestamp) -> bool {
        self.rotated_at.is_some_and(|at| is_within(at, time, now))
    }

    /// Whether the previous generation may still be presented.
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

    /// The packed form, for a store to keep. It begins with a version byte.
    pub fn to_bytes(&self) -> [u8; Self::PACKED_LEN] {
        fn optional(time: Option<Timestamp>) -> u64 {
            time.map_or(0, Timestamp::as_millis)
        }
        let mut packed = [0; Self::PACKED_LEN];
        packed[0] = Self::VERSION;
        packed[1] = if self.ended { Self::ENDED } else { 0 };
        packed[2..6].copy_from_slice(&self.generation.to_be_bytes());
        packed[6..10].copy_from_slice(&self.previous.unwrap_or(0).to_be_bytes());
        packed[10..14].copy_from_slice(&self.epoch.to_be_bytes());
        packed[14..22].copy_from_slice(&self.created_at.as_millis().to_be_bytes());
        packed[22..30].copy_from_slice(&optional(self.rotated_at).to_be_bytes());
        packed[30..38].copy_from_slice(&optional(self.confirmed_at).to_be_bytes());
        packed[38..46].copy_from_slice(&optional(self.access_expired_at).to_be_bytes());
        packed[46..54].copy_from_slice(&self.idle_end.as_millis().to_be_bytes());
        packed[54..62].copy_from_slice(&self.absolute_end.as_millis().to_be_bytes());
        packed
    }

    /// Reads the packed form.
    ///
    /// # Errors
    ///
    /// [`CorruptRecord`] when the length or the version is not one that this release reads.
    pub fn from_bytes(packed: &[u8]) -> Result<Self, CorruptRecord> {
        /// Takes the first bytes off the rest.
        fn take<const LEN: usize>(rest: &mut &[u8]) -> Option<[u8; LEN]> {
            let (first, others) = rest.split_first_chunk()?;
            *rest = others;
            Some(*first)
        }
        fn time(rest: &mut &[u8]) -> Option<Timestamp> {
            take(rest).map(u64::from_be_bytes).map(Timestamp::from_millis)
        }
        fn optional_time(rest: &mut &[u8]) -> Option<Option<Timestamp>> {
            time(rest).map(|time| (time != Timestamp::default()).then_some(time))
        }
        fn read(mut rest: &[u8]) -> Option<SessionRecord> {
            let rest = &mut rest;
            let [SessionRecord::VERSION, flags @ (0 | SessionRecord::ENDED)] = take(rest)? else { return None };
            let record = SessionRecord {
                ended: flags == SessionRecord::ENDED,
                generation: u32::from_be_bytes(take(rest)?),
                previous: Some(u32::from_be_bytes(take(rest)?)).filter(|generation| *generation != 0),
                epoch: u32::from_be_bytes(take(rest)?),
                created_at: time(rest)?,
                rotated_at: optional_time(rest)?,
                confirmed_at: optional_time(rest)?,
                access_expired_at: optional_time(rest)?,
                idle_end: time(rest)?,
                absolute_end: time(rest)?,
            };
            rest.is_empty().then_some(record)
        }
        read(packed).ok_or(CorruptRecord(()))
    }
}

/// Whether `at` is further ahead than clocks may disagree: it was noted before the clock was set back, and its age is
/// unknown.
pub(super) fn is_ahead(at: Timestamp, now: Timestamp) -> bool {
    at > now.saturating_add(MAX_CLOCK_SKEW)
}

/// Whether `at` was less than this long ago, as far as that is known.
fn is_within(at: Timestamp, time: Duration, now: Timestamp) -> bool {
    !is_ahead(at, now) && now.since(at) < time
}

/// The bytes are not a [`SessionRecord`] of a version that this release reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptRecord(());

impl fmt::Display for CorruptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a session record of a known version")
    }
}

impl std::error::Error for CorruptRecord {}
