//! How well this node knows what other nodes ended.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use crate::{
    clock::{Clock as _, SystemClock, whole_millis},
    measure,
};

/// How well this node knows what other nodes ended:
/// [`SessionManager::revocation_feed`](crate::SessionManager::revocation_feed).
///
/// For health endpoints: a node that is not [`FeedStatus::UpToDate`] is still of use, but may accept an access token of
/// a session that another node has ended.
///
/// ```
/// use http::StatusCode;
/// use tower_jwt_sessions::{SessionManager, revocation::FeedStatus};
///
/// /// `GET /ready`: a node that starts waits for its first look at the log, an outage takes no node out of service.
/// fn ready(sessions: &SessionManager) -> StatusCode {
///     match sessions.revocation_feed().status() {
///         FeedStatus::CatchingUp => StatusCode::SERVICE_UNAVAILABLE,
///         _ => StatusCode::OK,
///     }
/// }
/// # let _ = ready;
/// ```
pub struct RevocationFeed {
    status: watch::Receiver<FeedStatus>,
    /// The same for requests, which read it without a lock.
    current: Arc<AtomicStatus>,
}

/// The state of a [`RevocationFeed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedStatus {
    /// The log has not been read to its end yet. Requests with a session are answered with `503`, unless
    /// [`serve_before_catch_up`](crate::manager::SessionManagerBuilder::serve_before_catch_up) is set.
    CatchingUp,
    /// Everything that was published is known, within milliseconds.
    UpToDate,
    /// The log cannot be read. What a node does then is its [`StalePolicy`].
    Stale {
        /// Since when, by the wall clock of this node. For display only: a [`StalePolicy`] does not go by it.
        since: SystemTime,
    },
}

/// What a layer does while the revocation log cannot be read.
///
/// In both cases it knows what was published before, and what this node itself ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StalePolicy {
    /// Keeps serving what is signed and unexpired. An outage of the store logs no user out; sessions that another node
    /// could end meanwhile are served here until their access token expires. The default.
    #[default]
    KeepServing,
    /// Answers requests with a session with `503` when the log has been unavailable for this long: for administration.
    /// Measured by the monotonic clock, so setting the wall clock makes no difference.
    FailClosedAfter(Duration),
}

impl RevocationFeed {
    /// Creates a feed and the only way to change its status.
    pub(super) fn new(status: FeedStatus, now: Instant) -> (StatusSender, Self) {
        // A store in this process was read before. What is not known yet is for the first read to say.
        if status == FeedStatus::UpToDate {
            measure::feed_is_up_to_date(status == FeedStatus::UpToDate);
        }
        let (sender, receiver) = watch::channel(status);
        let current = Arc::new(AtomicStatus::new(status, now));
        let sender = StatusSender { sender, current: Arc::clone(&current), read_at: now };
        (sender, Self { status: receiver, current })
    }

    /// Returns the current status.
    pub fn status(&self) -> FeedStatus {
        *self.status.borrow()
    }

    /// Waits for the next change of the status and returns the new status.
    ///
    /// Changes since this value was cloned, or since the last call, are not missed: the call returns at once. Several
    /// of them count as one. When the last manager, layer and session of the node are gone, nothing changes any more,
    /// and the call waits without end.
    ///
    /// ```
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// /// Reports every change, in a task of its own.
    /// async fn report(sessions: SessionManager) {
    ///     let mut feed = sessions.revocation_feed().clone();
    ///     drop(sessions);
    ///     loop {
    ///         println!("revocations: {:?}", feed.changed().await);
    ///     }
    /// }
    /// # let _ = report;
    /// ```
    pub async fn changed(&mut self) -> FeedStatus {
        if self.status.changed().await.is_err() {
            return std::future::pending().await;
        }
        *self.status.borrow_and_update()
    }

    /// Waits until the log was read to its end for the first time.
    ///
    /// ```
    /// # use tower_jwt_sessions::SessionManager;
    /// /// Begins to listen when the node knows what other nodes have ended.
    /// async fn serve(sessions: SessionManager) -> std::io::Result<()> {
    ///     sessions.revocation_feed().caught_up().await;
    ///     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    ///     // axum::serve(listener, app).await
    ///     # drop(listener);
    ///     # Ok(())
    /// }
    /// # let _ = serve;
    /// ```
    pub async fn caught_up(&self) {
        // An error would mean that the follower is gone, and with it every manager.
        let _ = self.status.clone().wait_for(|status| *status != FeedStatus::CatchingUp).await;
    }

    /// Whether a session may be served under this policy. Reads the monotonic clock only if that matters.
    pub(super) fn permits(
        &self,
        policy: StalePolicy,
        serve_before_catch_up: bool,
        now: impl FnOnce() -> Instant,
    ) -> bool {
        match (self.current.read(), policy) {
            (AtomicStatus::CATCHING_UP, _) => serve_before_catch_up,
            (AtomicStatus::UP_TO_DATE, _) | (_, StalePolicy::KeepServing) => true,
            (stale, StalePolicy::FailClosedAfter(limit)) => self.current.stale_for(stale, now()) < limit,
        }
    }
}

/// The clone learns of later changes only.
impl Clone for RevocationFeed {
    fn clone(&self) -> Self {
        let mut status = self.status.clone();
        status.mark_unchanged();
        Self { status, current: Arc::clone(&self.current) }
    }
}

impl fmt::Debug for RevocationFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevocationFeed").field(&self.status()).finish()
    }
}

/// Changes the status of a feed. When this is dropped, through a panic or with its runtime, the log is no longer read.
pub(super) struct StatusSender {
    sender: watch::Sender<FeedStatus>,
    current: Arc<AtomicStatus>,
    /// When the log was last read, by the monotonic clock.
    pub(super) read_at: Instant,
}

impl StatusSender {
    /// Whether the feed is up to date.
    pub(super) fn is_up_to_date(&self) -> bool {
        *self.sender.borrow() == FeedStatus::UpToDate
    }

    /// Changes the status. Returns whether it was another one.
    pub(super) fn set(&self, new: FeedStatus, now: Instant) -> bool {
        measure::feed_is_up_to_date(new == FeedStatus::UpToDate);
        self.change(new, now, |old| match (old, new) {
            // The first attempts of a node that never caught up, and later ones of an outage, change nothing.
            (FeedStatus::CatchingUp | FeedStatus::Stale { .. }, FeedStatus::Stale { .. }) => false,
            (old, new) => old != new,
        })
    }

    fn change(&self, new: FeedStatus, now: Instant, when: impl FnOnce(FeedStatus) -> bool) -> bool {
        self.sender.send_if_modified(|status| {
            let changes = when(*status);
            if changes {
                *status = new;
                // Before the watchers are told, so that no request sees less than they do.
                self.current.write(new, now);
            }
            changes
        })
    }
}

impl Drop for StatusSender {
    fn drop(&mut self) {
        let stale = FeedStatus::Stale { since: SystemClock.now().into() };
        // The clock may be what panicked, so it is not read.
        self.change(stale, self.read_at, |status| status == FeedStatus::UpToDate);
        if std::thread::panicking() {
            measure::feed_is_up_to_date(stale == FeedStatus::UpToDate);
        }
    }
}

/// A status in one word: a receiver reads under a lock, whose cache line all threads write to.
#[derive(Debug)]
struct AtomicStatus {
    word: AtomicU64,
    begun: Instant,
}

impl AtomicStatus {
    const CATCHING_UP: u64 = 0;
    const UP_TO_DATE: u64 = u64::MAX;

    fn new(status: FeedStatus, now: Instant) -> Self {
        let new = Self { word: AtomicU64::new(0), begun: now };
        new.write(status, now);
        new
    }

    /// [`Self::CATCHING_UP`], [`Self::UP_TO_DATE`], or since when the log has been unavailable, for
    /// [`Self::stale_for`].
    fn read(&self) -> u64 {
        self.word.load(Ordering::Acquire)
    }

    fn write(&self, status: FeedStatus, now: Instant) {
        let word = match status {
            FeedStatus::CatchingUp => Self::CATCHING_UP,
            FeedStatus::UpToDate => Self::UP_TO_DATE,
            FeedStatus::Stale { .. } => self.millis(now).clamp(1, Self::UP_TO_DATE - 1),
        };
        self.word.store(word, Ordering::Release);
    }

    /// How long the log has been unavailable.
    fn stale_for(&self, stale: u64, now: Instant) -> Duration {
        Duration::from_millis(self.millis(now).saturating_sub(stale))
    }

    /// Milliseconds since one before `begun`, so that it is never zero, which is a status.
    fn millis(&self, now: Instant) -> u64 {
        whole_millis(now.saturating_duration_since(self.begun)).saturating_add(1)
    }
}
