//! Lifetimes and limits: how long sessions live, and how many a user may have.
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use tower_jwt_sessions::{
//!     SessionManager,
//!     policy::{AssuranceLevel, ReplayWindow, SessionLimit},
//! };
//!
//! let five = NonZeroU32::new(5).expect("not zero");
//! let builder = SessionManager::<()>::builder()
//!     .assurance_level(AssuranceLevel::Aal2)
//!     .session_limit(SessionLimit::refuse(five))
//!     .replay_window(ReplayWindow::UntilConfirmed(Duration::from_secs(5)));
//! # let _ = builder;
//! ```

use std::{num::NonZeroU32, time::Duration};

use crate::error::{ConfigError, ConfigErrorKind};

/// The allowed difference between the clocks of two nodes: one minute.
///
/// An access token whose `iat` is further in the future is refused. An access lifetime shorter than this is a
/// configuration error.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The rates of the clocks of two machines differ by less than one part in this many, even while both are being
/// corrected.
pub(crate) const CLOCK_DRIFT: u32 = 1000;

/// The longest lifetime of a cookie (RFC 6265bis, section 5.5), which limits all lifetimes.
const MAX_LIFETIME: Duration = Duration::from_secs(400 * 24 * 60 * 60);

const MAX_REPLAY_WINDOW: Duration = Duration::from_secs(60);

/// Refuses lifetimes that no token or cookie may have.
pub(crate) fn check_lifetime(name: &str, lifetime: Duration) -> Result<(), ConfigError> {
    if (Duration::from_secs(1)..=MAX_LIFETIME).contains(&lifetime) {
        return Ok(());
    }
    Err(ConfigError::new(
        ConfigErrorKind::InvalidLifetime,
        format!("{name} ({lifetime:?}) is out of range: choose at least one second and at most 400 days"),
    ))
}

/// How long a superseded refresh token may be presented again.
///
/// A browser that did not receive the response to a refresh presents the previous token again, and parallel tabs
/// present it at the same time. Within the window they get the *same* successor, so no client is logged out and there
/// is only one valid successor. Outside of it the previous token proves theft, and the session ends (RFC 9700, section
/// 4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayWindow {
    /// Open for this long after the rotation.
    ///
    /// The session of a client that lost the response and presents its token later than that is ended.
    Fixed(Duration),
    /// Open until the first use of the successor, and this long after that. The default, with ten seconds.
    ///
    /// A client that lost the response may return an hour later. A token that is presented again later than twice the
    /// given time after the rotation *advances* the session: the unused successor is then the superseded token. After
    /// [`MAX_LOST_ANSWERS`](crate::store::SessionRecord::MAX_LOST_ANSWERS) unused responses in a row, the next attempt
    /// ends the session. Until then, an attempt between once and twice the given time after the rotation gets an access
    /// token that is valid for one minute.
    ///
    /// A use is a verified request with the access token of the successor on any node, or a refresh with the successor.
    /// Each node records the first use of each generation in the background, with one command to the store and 20 to 39
    /// bytes of memory during the lifetime of the access token. A lost record leaves the window open longer and logs no
    /// client out. Verify-only services record nothing.
    UntilConfirmed(Duration),
}

impl ReplayWindow {
    /// The length of the window, counted from the rotation or from its confirmation.
    pub const fn length(self) -> Duration {
        match self {
            Self::Fixed(length) | Self::UntilConfirmed(length) => length,
        }
    }

    pub(crate) fn validate(self) -> Result<Self, ConfigError> {
        let length = self.length();
        if length <= MAX_REPLAY_WINDOW {
            return Ok(self);
        }
        Err(ConfigError::new(
            ConfigErrorKind::InvalidLifetime,
            format!(
                "the replay window ({length:?}) is longer than a minute, in which the use of a stolen token would go \
                 unnoticed: shorten it"
            ),
        ))
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::UntilConfirmed(Duration::from_secs(10))
    }
}

/// How many sessions a user may have, and what a login beyond that does (OWASP ASVS 5.0, 7.1.2).
///
/// The default ends the least recently refreshed session beyond 100. The limit is enforced in the atomic operation that
/// creates a session, so parallel logins cannot exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimit {
    pub(crate) max: NonZeroU32,
    pub(crate) when_full: WhenFull,
}

impl SessionLimit {
    /// Ends the least recently refreshed session at a login beyond `max` sessions.
    pub const fn evict(max: NonZeroU32) -> Self {
        Self { max, when_full: WhenFull::EndLeastRecentlyRefreshed }
    }

    /// Refuses a login beyond `max` sessions.
    pub const fn refuse(max: NonZeroU32) -> Self {
        Self { max, when_full: WhenFull::Refuse }
    }

    /// The maximum number of sessions.
    pub const fn max(self) -> u32 {
        self.max.get()
    }

    /// What a login beyond the limit does.
    pub const fn when_full(self) -> WhenFull {
        self.when_full
    }
}

impl Default for SessionLimit {
    /// Ends the least recently refreshed session beyond 100, which bounds the data of one user.
    fn default() -> Self {
        Self::evict(NonZeroU32::MIN.saturating_add(99))
    }
}

/// What a login does at the [`SessionLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Ends the least recently refreshed session.
    EndLeastRecentlyRefreshed,
    /// Refuses the login.
    Refuse,
}

/// An authentication assurance level of NIST SP 800-63B-4, which sets lifetimes:
/// [`SessionManagerBuilder::assurance_level`](crate::manager::SessionManagerBuilder::assurance_level).
///
/// A level also has requirements that are not about lifetimes, above all for the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssuranceLevel {
    /// The session ends 30 days after the login (section 2.1.3), or after a week without a refresh; access tokens live
    /// for an hour. These are the defaults.
    Aal1,
    /// The session ends 24 hours after the login, or after an hour without a refresh (section 2.2.3); access tokens
    /// live for 10 minutes.
    Aal2,
    /// The session ends 12 hours after the login, or after 15 minutes without a refresh (section 2.3.3); access tokens
    /// live for 5 minutes.
    Aal3,
}

impl AssuranceLevel {
    /// Lifetimes in minutes: access token, session without a refresh, session.
    const fn minutes(self) -> [u64; 3] {
        const DAY: u64 = 24 * 60;
        match self {
            Self::Aal1 => [60, 7 * DAY, 30 * DAY],
            Self::Aal2 => [10, 60, DAY],
            Self::Aal3 => [5, 15, DAY / 2],
        }
    }
}

/// The lifetimes of a manager, validated against each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) access: Duration,
    pub(crate) refresh: Duration,
    pub(crate) absolute: Duration,
    /// The longest access lifetime of any node, past or present.
    pub(crate) max_access: Duration,
    /// How long a session lasts in which another acts as its user.
    pub(crate) acting: Duration,
    /// How long an access token of a session lives that is bound to a device.
    pub(crate) bound: Duration,
}

impl Lifetimes {
    /// Sets the lifetimes of a level.
    pub(crate) fn set_level(&mut self, level: AssuranceLevel) {
        [self.access, self.refresh, self.absolute] = level.minutes().map(|minutes| Duration::from_secs(minutes * 60));
    }

    /// Returns how long a session lasts without a refresh whose login may have set a shorter limit.
    pub(crate) fn refresh_within(&self, limit: Option<Duration>) -> Duration {
        limit.map_or(self.refresh, |limit| limit.min(self.refresh))
    }

    /// Checks the lifetimes against each other. `max_access` is what the builder was given.
    pub(crate) fn validate(self, max_access: Option<Duration>) -> Result<Self, ConfigError> {
        let Self { access, refresh, absolute, acting, .. } = self;
        let max_access = max_access.unwrap_or(access.max(self.max_access));
        check_lifetime("access_lifetime", access)?;
        check_lifetime("refresh_lifetime", refresh)?;
        check_lifetime("absolute_lifetime", absolute)?;
        check_lifetime("max_access_lifetime", max_access)?;
        check_lifetime("acting_lifetime", acting)?;
        let problem = if access < MAX_CLOCK_SKEW {
            format!(
                "access_lifetime ({access:?}) must not be shorter than the clocks of two nodes may differ \
                 ({MAX_CLOCK_SKEW:?}): lengthen it"
            )
        } else if access > max_access {
            format!(
                "access_lifetime ({access:?}) exceeds max_access_lifetime ({max_access:?}): raise max_access_lifetime on \
                 every node first"
            )
        } else if acting < MAX_CLOCK_SKEW {
            format!(
                "acting_lifetime ({acting:?}) must not be shorter than the clocks of two nodes may differ \
                 ({MAX_CLOCK_SKEW:?}): lengthen it"
            )
        } else if access >= refresh {
            format!(
                "access_lifetime ({access:?}) must be shorter than refresh_lifetime ({refresh:?}): shorten the first or \
                 lengthen the second"
            )
        } else if refresh > absolute {
            format!(
                "refresh_lifetime ({refresh:?}) exceeds absolute_lifetime ({absolute:?}): shorten the first or lengthen \
                 the second"
            )
        } else {
            return Ok(Self { max_access, ..self });
        };
        Err(ConfigError::new(ConfigErrorKind::InvalidLifetime, problem))
    }

    /// How long a key must remain in the ring after it signed its last access token, by every clock.
    pub(crate) fn access_key_overlap(&self) -> Duration {
        self.max_access.saturating_add(MAX_CLOCK_SKEW)
    }

    /// The same for refresh tokens.
    pub(crate) fn refresh_key_overlap(&self) -> Duration {
        self.refresh.saturating_add(MAX_CLOCK_SKEW)
    }

    /// How long a revocation must be remembered: until the access tokens it concerns have expired by every clock.
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
            acting: Duration::from_secs(60 * 60),
            bound: Duration::from_secs(10 * 60),
        }
    }
}
