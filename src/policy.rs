//! Lifetimes and limits as plain values.

use std::{num::NonZeroU32, time::Duration};

/// How far the clocks of two nodes may disagree before anyone is refused for it: one minute.
///
/// An access token whose `iat` lies further ahead is refused; an access lifetime shorter than this is a
/// configuration error.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The clocks of two machines differ in speed by less than one part in this many, even while both are being corrected.
pub(crate) const CLOCK_DRIFT: u32 = 1000;

/// The longest lifetime of a cookie (RFC 6265bis, section 5.5), and so of everything.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// How long a superseded refresh token may still be repeated.
///
/// A browser that never received the answer to a refresh presents the previous token again, and parallel tabs present
/// it at the same time. Inside the window they get the *same* successor again, so nobody is logged out and never are
/// two successors alive. Outside of it the previous token is proof of theft, and the session ends
/// (RFC 9700, section 4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayWindow {
    /// Open for this long after the rotation.
    ///
    /// Needs nothing but the clock. A client that lost the answer and comes back later than this is taken for a thief.
    Fixed(Duration),
    /// Open until the successor was used for the first time, and this long after that. The default, with ten seconds.
    ///
    /// A client that lost the answer may come back an hour later. A repeat that comes later than twice the given time
    /// after the rotation *advances* the session, so that whoever holds the successor that was never used is now the
    /// one with a superseded token. After [`MAX_LOST_ANSWERS`](crate::store::SessionRecord::MAX_LOST_ANSWERS) answers
    /// in a row that nobody used, the next attempt ends the session. Until then, an attempt between once and twice the
    /// given time after the rotation gets an access token that is good for a minute.
    ///
    /// A use is a verified request with the successor's access token on any node, or a refresh with the successor. Each
    /// node notes the first one of each generation in the background, with one command to the store and 20 to 39 bytes
    /// of memory for as long as the access token lives. A note that is lost leaves the window open longer and logs
    /// nobody out; a service that verifies without a store notes nothing.
    UntilConfirmed(Duration),
}

impl ReplayWindow {
    /// The length of the window, counted from the rotation or from its confirmation.
    pub const fn length(self) -> Duration {
        match self {
            Self::Fixed(length) | Self::UntilConfirmed(length) => length,
        }
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::UntilConfirmed(Duration::from_secs(10))
    }
}

/// How many sessions a user may have at once, and what a login beyond that does (OWASP ASVS 5.0, 7.1.2).
///
/// It is enforced inside the atomic step that creates a session, so parallel logins cannot exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimit {
    pub(crate) max: NonZeroU32,
    pub(crate) when_full: WhenFull,
}

impl SessionLimit {
    /// A login beyond `max` sessions ends the session that was refreshed least recently.
    pub const fn evict(max: NonZeroU32) -> Self {
        Self { max, when_full: WhenFull::EndLeastRecentlyRefreshed }
    }

    /// A login beyond `max` sessions is refused.
    pub const fn refuse(max: NonZeroU32) -> Self {
        Self { max, when_full: WhenFull::Refuse }
    }

    /// The greatest number of sessions.
    pub const fn max(self) -> u32 {
        self.max.get()
    }

    /// What a login beyond the limit does.
    pub const fn when_full(self) -> WhenFull {
        self.when_full
    }
}

impl Default for SessionLimit {
    /// Evict beyond 100, which keeps the record of one user small whatever a script that logs in for ever does.
    fn default() -> Self {
        Self::evict(NonZeroU32::MIN.saturating_add(99))
    }
}

/// What a login does when the user has as many sessions as the [`SessionLimit`] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// End the session that was refreshed least recently.
    EndLeastRecentlyRefreshed,
    /// Refuse the login.
    Refuse,
}

/// How sure an application must be of who its users are, as NIST SP 800-63B-4 grades it:
/// [`SessionManagerBuilder::assurance_level`](crate::SessionManagerBuilder::assurance_level).
///
/// The level asks for more than limits, above all for how users log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssuranceLevel {
    /// The session ends 30 days after the login (section 2.1.3), or after a week without a refresh; access tokens live
    /// for an hour. These are the defaults.
    Aal1,
    /// The session ends 24 hours after the login, or after an hour without a refresh (section 2.2.3); access tokens live
    /// for 10 minutes.
    Aal2,
    /// The session ends 12 hours after the login, or after 15 minutes without a refresh (section 2.3.3); access tokens
    /// live for 5 minutes.
    Aal3,
}

impl AssuranceLevel {
    /// Of an access token, of a session without a refresh, and of a session, in minutes.
    const fn minutes(self) -> [u64; 3] {
        const DAY: u64 = 24 * 60;
        match self {
            Self::Aal1 => [60, 7 * DAY, 30 * DAY],
            Self::Aal2 => [10, 60, DAY],
            Self::Aal3 => [5, 15, DAY / 2],
        }
    }
}

/// The lifetimes that the manager was built with, already checked against each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) access: Duration,
    pub(crate) refresh: Duration,
    pub(crate) absolute: Duration,
    /// The longest access lifetime of any node of the deployment, past or present.
    pub(crate) max_access: Duration,
}

impl Lifetimes {
    /// Takes the limits of a level.
    pub(crate) fn set_level(&mut self, level: AssuranceLevel) {
        [self.access, self.refresh, self.absolute] = level.minutes().map(|minutes| Duration::from_secs(minutes * 60));
    }

    /// How long a key must verify after it signed the last access token, on every clock.
    pub(crate) fn access_key_overlap(&self) -> Duration {
        self.max_access.saturating_add(MAX_CLOCK_SKEW)
    }

    /// The same for refresh tokens.
    pub(crate) fn refresh_key_overlap(&self) -> Duration {
        self.refresh.saturating_add(MAX_CLOCK_SKEW)
    }

    /// How long a revocation must be remembered: until every access token it concerns has expired on every clock.
    pub(crate) fn revocation_retention(&self) -> Duration {
        self.max_access.saturating_add(MAX_CLOCK_SKEW).saturating_add(MAX_CLOCK_SKEW)
    }
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access: Duration::from_secs(60 * 60),
            refresh: Duration::from_secs(7 * 24 * 60 * 60),
            absolute: Duration::from_secs(30 * 24 * 60 * 60),
            max_access: Duration::from_secs(60 * 60),
        }
    }
}
