//! Following the revocation log: how this node learns what other nodes ended.

mod skipped;

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime},
};

use tokio::{runtime::Handle, sync::watch};

use self::skipped::Skipped;
use crate::{
    clock::{Clock, SystemClock, jittered, whole_millis},
    error::ConfigError,
    event::LOG_TARGET,
    live::{AbortOnDrop, Ends},
    policy::MAX_CLOCK_SKEW,
    store::{DynStore, LogPage, LogPosition, StoreError},
};

/// How well this node knows what other nodes ended: [`SessionManager::revocation_feed`](crate::SessionManager::revocation_feed).
///
/// For health endpoints: a node that is not [`FeedStatus::UpToDate`] is still of use, but may accept an access token of a
/// session that another node has ended.
#[derive(Clone)]
pub struct RevocationFeed {
    status: watch::Receiver<FeedStatus>,
    /// The same for requests, which look at it without a lock.
    glance: Arc<AtomicStatus>,
}

/// The state of a [`RevocationFeed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedStatus {
    /// The log was not read to its end yet, not once. Requests with a session are answered with `503`, unless the
    /// builder was told otherwise.
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
/// Either way it knows what was published before, and what this node itself ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StalePolicy {
    /// Keep serving what is signed and unexpired. An outage of the store logs nobody out; sessions that another node
    /// could end meanwhile are served here until their access token expires. The default.
    #[default]
    KeepServing,
    /// Answer requests with a session with `503` when the log has been unavailable for this long: for administration.
    /// Measured by the monotonic clock, so setting the wall clock makes no difference.
    FailClosedAfter(Duration),
}

impl RevocationFeed {
    /// The current state.
    pub fn status(&self) -> FeedStatus {
        *self.status.borrow()
    }

    /// A receiver that is told of every change.
    pub fn watch(&self) -> watch::Receiver<FeedStatus> {
        self.status.clone()
    }

    /// Waits until the log was read to its end, for example before a node begins to listen.
    pub async fn caught_up(&self) {
        // An error would mean that the follower is gone, and with it every manager.
        let _ = self.status.clone().wait_for(|status| *status != FeedStatus::CatchingUp).await;
    }

    /// Whether a session may be served under this policy. Reads the monotonic clock only if that matters.
    pub(crate) fn permits(
        &self,
        policy: StalePolicy,
        serve_before_catch_up: bool,
        now: impl FnOnce() -> Instant,
    ) -> bool {
        match (self.glance.read(), policy) {
            (AtomicStatus::CATCHING_UP, _) => serve_before_catch_up,
            (AtomicStatus::UP_TO_DATE, _) | (_, StalePolicy::KeepServing) => true,
            (stale, StalePolicy::FailClosedAfter(limit)) => self.glance.stale_for(stale, now()) < limit,
        }
    }
}

impl fmt::Debug for RevocationFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevocationFeed").field(&self.status()).finish()
    }
}

/// Copies the log into the list of revocations, for as long as it is not dropped.
pub(crate) struct Follower {
    store: Arc<dyn DynStore>,
    ends: Arc<Ends>,
    clock: Arc<dyn Clock>,
    /// How long a revocation is remembered.
    retention: Duration,
    skipped: Skipped,
}

/// How long one read waits for an entry. A connection that died without a word is noticed when it has passed.
const WAIT: Duration = Duration::from_secs(2);
/// How far back the log is read again after a failure.
const LOOK_BACK: Duration = Duration::from_secs(2 * MAX_CLOCK_SKEW.as_secs());
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Follower {
    pub(crate) fn new(store: Arc<dyn DynStore>, ends: Arc<Ends>, clock: Arc<dyn Clock>, retention: Duration) -> Self {
        Self { store, ends, clock, retention, skipped: Skipped::default() }
    }

    /// Begins to follow, on the runtime of the caller.
    pub(crate) fn start(mut self) -> Result<(RevocationFeed, AbortOnDrop), ConfigError> {
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let mut position = LogPosition::START;
        // A store in this process answers at once, and is ready before the first request.
        let caught_up = self.store.started_at().is_some()
            && now_or_never(self.store.read_log(position, Duration::ZERO))
                .and_then(Result::ok)
                .is_some_and(|page| self.take(&page, &mut position));
        let status = if caught_up { FeedStatus::UpToDate } else { FeedStatus::CatchingUp };
        let (sender, receiver) = watch::channel(status);
        let now = self.clock.instant();
        let glance = Arc::new(AtomicStatus::new(status, now));
        let task = runtime.spawn(self.follow(Status { sender, glance: Arc::clone(&glance), read_at: now }, position));
        Ok((RevocationFeed { status: receiver, glance }, AbortOnDrop(task.abort_handle())))
    }

    async fn follow(mut self, mut status: Status, mut position: LogPosition) {
        let mut backoff = BACKOFF.0;
        let mut has_failed = false;
        loop {
            let is_live = *status.sender.borrow() == FeedStatus::UpToDate;
            let wait = if is_live { WAIT } else { Duration::ZERO };
            let asked_at = Instant::now();
            match self.store.read_log(position, wait).await {
                Ok(page) => {
                    status.read_at = self.clock.instant();
                    if self.take(&page, &mut position) {
                        self.note(&status, FeedStatus::UpToDate, None);
                    }
                    // Only a read that waited shows that all is well: it may need a connection of its own, which a
                    // server that has too many of them refuses again and again while it answers other reads.
                    if is_live {
                        if has_failed {
                            tracing::info!(target: LOG_TARGET, "revocation log recovered");
                        }
                        has_failed = false;
                    }
                    // Where there is news, more may come soon.
                    if is_live || !page.is_empty() {
                        backoff = BACKOFF.0;
                    }
                    // A store that does not wait when it is asked to must not be asked without end.
                    if is_live && page.is_empty() && asked_at.elapsed() < SHORTEST_WAIT {
                        tokio::time::sleep(SHORTEST_WAIT).await;
                    }
                }
                Err(failure) => {
                    let since = self.clock.now().into();
                    self.note(&status, FeedStatus::Stale { since }, Some((&failure, !has_failed)));
                    if !has_failed {
                        // Another server may answer next, one that took over and whose clock is behind: its entries can
                        // stand before those that were read last. Reading some again changes nothing.
                        position = LogPosition::new(position.at().saturating_sub(LOOK_BACK).as_millis(), 0);
                    }
                    has_failed = true;
                    tokio::time::sleep(jittered(backoff)).await;
                    backoff = backoff.saturating_mul(2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Takes a page into the list and moves on. Says whether that was all there is.
    fn take(&mut self, page: &LogPage, position: &mut LogPosition) -> bool {
        for entry in &page.entries {
            // The entry is needed until tokens issued before it have expired. That may be sooner than a whole retention
            // from now, but only the wall clock could tell, and it may be wrong. If it is behind the store's, tokens
            // expire later here by as much, and the entry is kept for as much longer.
            let behind = entry.position.at().since(self.clock.now());
            let lives = self.retention.saturating_add(behind);
            entry.revocations.iter().for_each(|revocation| self.ends.revoke(*revocation, lives));
        }
        *position = page.last().map_or(*position, |last| last.max(*position));
        if self.skipped.report(&page.skipped) {
            // One of them may have been an end.
            self.ends.tell_of_gap();
        }
        if page.newest < *position {
            // The log was lost or is an older copy: read it again from the start. The list keeps what it has. A log that
            // vanished altogether may just be old: nothing has ended for as long as it is kept.
            if page.newest != LogPosition::START {
                tracing::warn!(target: LOG_TARGET, "revocation log went backwards: reading it again from the start");
            }
            *position = LogPosition::START;
            self.ends.tell_of_gap();
            return false;
        }
        page.newest == *position || page.is_empty()
    }

    /// Changes the status. The first failure of an outage is logged as an error, the others are not.
    fn note(&self, status: &Status, new: FeedStatus, failure: Option<(&StoreError, bool)>) {
        let changed = status.change(new, self.clock.instant(), |old| match (old, new) {
            // The first attempts of a node that never caught up, and later ones of an outage, change nothing.
            (FeedStatus::CatchingUp | FeedStatus::Stale { .. }, FeedStatus::Stale { .. }) => false,
            (old, new) => old != new,
        });
        if changed && new == FeedStatus::UpToDate {
            // What was published meanwhile is read; what was trimmed meanwhile is not.
            self.ends.tell_of_gap();
        }
        match failure {
            Some((failure, is_first)) => {
                let source = std::error::Error::source(failure).map(tracing::field::display);
                if is_first {
                    tracing::error!(
                        target: LOG_TARGET,
                        error = %failure,
                        source,
                        "revocation log unavailable: ends on other nodes are unknown here until it recovers"
                    );
                } else {
                    tracing::debug!(target: LOG_TARGET, error = %failure, source, "revocation log still unavailable");
                }
            }
            None if changed => tracing::debug!(target: LOG_TARGET, "revocation log read to its end"),
            None => {}
        }
        #[cfg(feature = "metrics")]
        metrics::gauge!("tower_jwt_sessions_revocation_feed_up_to_date").set(if new == FeedStatus::UpToDate {
            1.0
        } else {
            0.0
        });
    }
}

/// The status of a follower. When that is gone, through a panic or with its runtime, nobody reads the log any more.
struct Status {
    sender: watch::Sender<FeedStatus>,
    glance: Arc<AtomicStatus>,
    /// When the log was last read, by the monotonic clock.
    read_at: Instant,
}

impl Status {
    /// Changes the status if the current one calls for it. Says whether it did.
    fn change(&self, new: FeedStatus, now: Instant, when: impl FnOnce(FeedStatus) -> bool) -> bool {
        self.sender.send_if_modified(|status| {
            let changes = when(*status);
            if changes {
                *status = new;
                // Before anybody is told, so that no request sees less than a watcher.
                self.glance.write(new, now);
            }
            changes
        })
    }
}

/// A status in one word: a receiver reads under a lock, whose line all threads write to.
#[derive(Debug)]
struct AtomicStatus {
    word: AtomicU64,
    begun: Instant,
}

impl AtomicStatus {
    const CATCHING_UP: u64 = 0;
    const UP_TO_DATE: u64 = u64::MAX;

    fn new(status: FeedStatus, now: Instant) -> Self {
        let glance = Self { word: AtomicU64::new(0), begun: now };
        glance.write(status, now);
        glance
    }

    /// [`Self::CATCHING_UP`], [`Self::UP_TO_DATE`], or since when the log has been unavailable, for [`Self::stale_for`].
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

impl Drop for Status {
    fn drop(&mut self) {
        let stale = FeedStatus::Stale { since: SystemClock.now().into() };
        // The clock may be what panicked, so it is not read.
        self.change(stale, self.read_at, |status| status == FeedStatus::UpToDate);
        if std::thread::panicking() {
            #[cfg(feature = "metrics")]
            metrics::gauge!("tower_jwt_sessions_revocation_feed_up_to_date").set(0.0);
            tracing::error!(target: LOG_TARGET, "revocation log follower stopped: it panicked");
        }
    }
}

/// The answer of a future that does not have to wait.
fn now_or_never(answer: impl Future<Output = Result<LogPage, StoreError>>) -> Option<Result<LogPage, StoreError>> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
