//! Time, passed in: only [`SystemClock`] reads the clock of the operating system.
//!
//! Applications need this for tests, with `testing::TestClock` (feature `test-util`), and for stores of their own:
//!
//! ```
//! use std::time::Duration;
//! use tower_jwt_sessions::clock::{Clock, SystemClock, Timestamp};
//!
//! let now = SystemClock.now();
//! let later = now.saturating_add(Duration::from_secs(60));
//! assert_eq!(later.since(now), Duration::from_secs(60));
//! assert_eq!(Timestamp::from_secs(2).as_millis(), 2_000);
//! ```

use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time in milliseconds since the Unix epoch.
///
/// Arithmetic saturates, and the distance to a later time is zero, so that clocks that disagree or step backwards
/// can shorten or lengthen a wait but never wrap it around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Creates a timestamp from whole seconds since the Unix epoch, the unit of JWT dates (RFC 7519, section 2,
    /// `NumericDate`). Saturates.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the time that follows this one by `duration`.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Returns the time that precedes this one by `duration`.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// Returns how long ago `earlier` was; zero when it is in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Converts to milliseconds, rounded down. Times before the Unix epoch become the epoch.
    fn from(time: SystemTime) -> Self {
        Self(whole_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_millis(time.0)).unwrap_or(UNIX_EPOCH)
    }
}

pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a random duration between half of `backoff` and all of it, so that nodes do not retry at the same time.
pub(crate) fn jittered(backoff: Duration) -> Duration {
    // The standard library's only source of randomness, which is enough here.
    let random = RandomState::new().build_hasher().finish();
    let half = backoff / 2;
    half + half.mul_f64(f64::from(random as u32) / f64::from(u32::MAX))
}

/// Where a [`SessionManager`](crate::SessionManager) and a [`MemoryStore`](crate::MemoryStore) read the time.
///
/// Implemented by [`SystemClock`], the default, and by `testing::TestClock` (feature `test-util`), which moves only
/// when told to.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Returns a monotonic reading, to measure ages within this process.
    ///
    /// The wall clock can be set while the process runs, and ages measured by it would then be wrong. The default is
    /// [`Instant::now`]. Override it together with [`now`](Self::now) in a clock for tests.
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A moment by both readings of a clock, for ages that may be too large but never too small: the monotonic reading
/// stands still while a machine is suspended, and the wall clock can be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    instant: Instant,
    wall: Timestamp,
}

impl Moment {
    pub(crate) fn of(clock: &dyn Clock) -> Self {
        Self { instant: clock.instant(), wall: clock.now() }
    }

    /// Returns how long ago `earlier` was.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.instant.saturating_duration_since(earlier.instant).max(self.wall.since(earlier.wall))
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the operating system")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}
