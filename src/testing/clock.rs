//! A clock that moves only when it is set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::clock::{Clock, Timestamp, whole_millis};

/// A [`Clock`] that stands still until it is moved. Clones share their time.
///
/// All that happens while it stands still happens in the same millisecond. So a login with a proof
/// ([`Login::proven_since`](crate::manager::Login::proven_since)) right after all sessions of the user were ended is
/// refused, since their order is unknown: [`advance`](Self::advance) the clock between them.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_sessions::{MemoryStore, clock::Clock, testing::TestClock};
///
/// let clock = TestClock::new();
/// let store = MemoryStore::with_clock(clock.clone());
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now().since(before), Duration::from_secs(3600));
/// # let _ = store;
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Times>);

#[derive(Debug)]
struct Times {
    /// The wall clock, in milliseconds since the Unix epoch.
    now: AtomicU64,
    begun: Instant,
    /// The monotonic reading, in milliseconds since `begun`.
    elapsed: AtomicU64,
}

impl TestClock {
    /// Returns a clock that shows 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(Timestamp::from_secs(1_767_225_600))
    }

    /// Returns a clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        let now = AtomicU64::new(now.as_millis());
        Self(Arc::new(Times { now, begun: Instant::now(), elapsed: AtomicU64::new(0) }))
    }

    /// Lets time pass: moves both the wall clock and the monotonic reading forward.
    pub fn advance(&self, by: Duration) {
        self.0.elapsed.fetch_add(whole_millis(by), Ordering::SeqCst);
        self.set(self.now().saturating_add(by));
    }

    /// Sets the wall clock, also backwards, as a time server or an administrator does. No time passes: the monotonic
    /// reading stays where it is.
    pub fn set(&self, now: Timestamp) {
        self.0.now.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        self.0.begun + Duration::from_millis(self.0.elapsed.load(Ordering::SeqCst))
    }
}
