//! Follows the revocation log, in which the store publishes what any node has ended.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::AbortHandle};

use super::{
    clocks::Clocks,
    feed::{FeedStatus, RevocationFeed, StatusSender},
    losses::LostLog,
    node::NodeState,
    skipped::Skipped,
};
use crate::{
    clock::jittered,
    event::LOG_TARGET,
    log_lines::OutageLines,
    measure,
    policy::MAX_CLOCK_SKEW,
    store::{LogPage, LogPosition, StoreError},
};

/// Copies the log into the list of revocations.
pub(super) struct Follower {
    node: Arc<NodeState>,
    position: LogPosition,
    skipped: Skipped,
    outages: OutageLines,
    clocks: Clocks,
    log: LostLog,
}

/// How long one read waits for an entry. A connection that died unnoticed is noticed when it has passed.
const WAIT: Duration = Duration::from_secs(2);
/// How far back the log is read again after a failure.
const LOOK_BACK: Duration = Duration::from_secs(2 * MAX_CLOCK_SKEW.as_secs());
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl Follower {
    pub(super) fn new(node: Arc<NodeState>) -> Self {
        Self {
            node,
            position: LogPosition::START,
            skipped: Skipped::default(),
            outages: OutageLines::default(),
            clocks: Clocks::default(),
            log: LostLog::default(),
        }
    }

    /// Begins to follow. Returns what is known of its progress, and the task.
    pub(super) fn start(mut self, runtime: &Handle) -> (RevocationFeed, AbortHandle) {
        // A store in this process answers at once, and is ready before the first request.
        let caught_up = self.node.store.started_at().is_some()
            && now_or_never(self.node.store.read_log(self.position, Duration::ZERO))
                .and_then(Result::ok)
                .is_some_and(|page| self.apply(&page));
        let status = if caught_up { FeedStatus::UpToDate } else { FeedStatus::CatchingUp };
        let (sender, feed) = RevocationFeed::new(status, self.node.clock.instant());
        let following = runtime.spawn(self.follow(sender));
        let handle = following.abort_handle();
        // Whether the task panicked is for its handle to say: it is also dropped when the program panics, or when its
        // runtime ends before the manager, and neither is an error of this crate.
        runtime.spawn(async move {
            if following.await.is_err_and(|ended| ended.is_panic()) {
                tracing::error!(target: LOG_TARGET, "revocation log follower stopped: it panicked");
            }
        });
        (feed, handle)
    }

    async fn follow(mut self, mut status: StatusSender) {
        let mut backoff = BACKOFF.0;
        let mut has_failed = false;
        loop {
            let waits = status.is_up_to_date();
            let wait = if waits { WAIT } else { Duration::ZERO };
            let asked_at = Instant::now();
            match self.node.store.read_log(self.position, wait).await {
                Ok(page) => {
                    status.read_at = self.node.clock.instant();
                    if waits {
                        measure::revocation_lag(page.entries.iter().map(|entry| entry.position.at()), page.read_at);
                    }
                    if let Some(store) = page.read_at {
                        self.clocks.compare(store, self.node.clock.now());
                    }
                    let is_end = self.apply(&page);
                    let revocations = &self.node.revocations;
                    if is_end {
                        self.node.lost.report(|session| revocations.find_end(session).is_some());
                    }
                    measure::revocations(self.position.at(), self.node.clock.now(), || revocations.len());
                    if is_end && self.set_status(&status, FeedStatus::UpToDate) {
                        tracing::debug!(target: LOG_TARGET, "revocation log read to its end");
                    }
                    // Only a read that waited shows that all is well: it may need a connection of its own, which a
                    // server that has too many of them refuses again and again while it answers other reads.
                    if waits {
                        if has_failed && self.outages.recovered() {
                            tracing::info!(target: LOG_TARGET, "revocation log recovered");
                        }
                        has_failed = false;
                    }
                    // Where there is an entry, more may come soon.
                    if waits || !page.is_empty() {
                        backoff = BACKOFF.0;
                    }
                    // A store that does not wait when it is asked to must not be asked without end.
                    if waits && page.is_empty() && asked_at.elapsed() < SHORTEST_WAIT {
                        tokio::time::sleep(SHORTEST_WAIT).await;
                    }
                }
                Err(failure) => {
                    self.set_status(&status, FeedStatus::Stale { since: self.node.clock.now().into() });
                    if !has_failed {
                        // Another server may answer next, one that took over and whose clock is behind: its entries can
                        // stand before those that were read last. Reading some again changes nothing.
                        let at = self.position.at().saturating_sub(LOOK_BACK);
                        self.position = LogPosition::new(at.as_millis(), 0);
                    }
                    // Reported afterwards: while the runtime ends, reads fail because the tasks of the client are gone,
                    // and this task does not return from the delay.
                    tokio::time::sleep(jittered(backoff)).await;
                    log_failure(&failure, self.outages.failed());
                    has_failed = true;
                    backoff = backoff.saturating_mul(2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Copies a page into the list and moves on. Returns whether that was all there is.
    fn apply(&mut self, page: &LogPage) -> bool {
        let revocations = &self.node.revocations;
        for entry in &page.entries {
            // The entry is needed until tokens issued before it have expired. That may be sooner than a whole retention
            // from now, but only the wall clock could tell, and it may be wrong.
            let ahead = entry.position.at().since(self.node.clock.now());
            entry.revocations.iter().for_each(|revocation| revocations.revoke_ahead(*revocation, ahead));
        }
        self.position = page.last().map_or(self.position, |last| last.max(self.position));
        if self.skipped.report(&page.skipped) {
            // One of them may have been an end.
            revocations.report_gap();
        }
        if page.newest < self.position {
            // The log was lost or is an older copy: read it again from the start. The list keeps what it has.
            self.log.is_lost(page, revocations.retention(), self.node.clock.instant());
            self.position = LogPosition::START;
            revocations.report_gap();
            return false;
        }
        self.log.continues(page, self.node.clock.instant());
        page.newest == self.position || page.is_empty()
    }

    /// Returns whether the status has changed.
    fn set_status(&self, status: &StatusSender, new: FeedStatus) -> bool {
        let changed = status.set(new, self.node.clock.instant());
        if changed && new == FeedStatus::UpToDate {
            // What was published meanwhile is read; what was trimmed meanwhile is not.
            self.node.revocations.report_gap();
        }
        changed
    }
}

/// Logs a failure that is to be reported as an error, the others for debugging.
fn log_failure(failure: &StoreError, unreported: Option<u64>) {
    let source = std::error::Error::source(failure).map(tracing::field::display);
    if let Some(unreported) = unreported {
        tracing::error!(
            target: LOG_TARGET,
            error = %failure,
            source,
            unreported,
            "revocation log unavailable: revocations by other nodes are delayed until it recovers"
        );
    } else {
        tracing::debug!(target: LOG_TARGET, error = %failure, source, "revocation log still unavailable");
    }
}

/// Returns the answer of a future that does not have to wait.
fn now_or_never(answer: impl Future<Output = Result<LogPage, StoreError>>) -> Option<Result<LogPage, StoreError>> {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}
