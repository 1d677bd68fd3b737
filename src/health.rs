//! Outages of what this crate depends on: one line in the log when one begins and one when it is over, however many
//! requests fail in between.

use std::{
    error::Error as StdError,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::{clock::whole_millis, event::LOG_TARGET, log_lines::OutageLines, measure};

/// Whether a dependency works, judged by its latest answers.
#[derive(Debug)]
pub(crate) struct Health {
    name: &'static str,
    consequence: &'static str,
    /// Whether a failure is one of the dependency, and not just a slow one.
    is_outage: bool,
    begun: Instant,
    /// Milliseconds after `begun` of the last failure of an outage; 0 while there is none.
    failed_at: AtomicU64,
    lines: OutageLines,
}

/// An outage is over when nothing has failed for this long: successes and failures may alternate.
const RECOVERED_AFTER: Duration = Duration::from_secs(5);

impl Health {
    fn new(name: &'static str, consequence: &'static str) -> Self {
        Self {
            name,
            consequence,
            is_outage: true,
            begun: Instant::now(),
            failed_at: AtomicU64::new(0),
            lines: OutageLines::default(),
        }
    }

    pub(crate) fn of_store() -> Self {
        Self::new("session store", "verified requests are served, logins and refreshes fail with 503")
    }

    pub(crate) fn of_claims_source() -> Self {
        Self::new("claims source", "logins and refreshes fail with 503 and change nothing")
    }

    #[cfg(feature = "router")]
    pub(crate) fn of_renewals() -> Self {
        let consequence = "refreshes take longer than 200 ms, and pages with an expired access token fail with 503";
        Self { is_outage: false, ..Self::new("timely renewal", consequence) }
    }

    /// Records a failure, or with `None` a success.
    pub(crate) fn observe(&self, failure: Option<&(dyn StdError + 'static)>) {
        let now = whole_millis(self.begun.elapsed());
        match failure {
            None => self.succeeded(now),
            Some(failure) => self.failed(failure, now),
        }
    }

    fn succeeded(&self, now: u64) {
        // Read before written: the line is shared by all threads, and nearly always zero.
        let failed_at = self.failed_at.load(Ordering::Relaxed);
        let is_over = failed_at != 0 && now.saturating_sub(failed_at) >= whole_millis(RECOVERED_AFTER);
        let ends = || self.failed_at.compare_exchange(failed_at, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_over && ends() && self.lines.recovered() {
            tracing::info!(target: LOG_TARGET, "{} recovered", self.name);
        }
    }

    fn failed(&self, failure: &(dyn StdError + 'static), now: u64) {
        measure::failure(self.name);
        let source = failure.source().map(tracing::field::display);
        let (name, consequence) = (self.name, self.consequence);
        self.failed_at.store(now.max(1), Ordering::Relaxed);
        match self.lines.failed() {
            Some(unreported) if self.is_outage => {
                tracing::error!(target: LOG_TARGET, error = %failure, source, unreported, "{name} unavailable: {consequence}");
            }
            Some(unreported) => {
                tracing::warn!(target: LOG_TARGET, error = %failure, source, unreported, "{name} unavailable: {consequence}");
            }
            None => tracing::debug!(target: LOG_TARGET, error = %failure, source, "{name} still unavailable"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_failing(health: &Health) -> bool {
        health.failed_at.load(Ordering::Relaxed) != 0
    }

    #[test]
    fn outage_is_over_when_nothing_has_failed_for_a_while() {
        let health = Health::of_store();
        health.succeeded(0);
        assert!(!is_failing(&health));
        let failure = std::io::Error::other("down");
        health.failed(&failure, 1_000);
        // Alternating successes and failures are one outage.
        for now in [1_001, 3_000, 5_999] {
            health.succeeded(now);
            assert!(is_failing(&health), "{now}");
        }
        health.failed(&failure, 5_999);
        health.succeeded(6_000);
        assert!(is_failing(&health));
        health.succeeded(10_999);
        assert!(!is_failing(&health));
    }
}
