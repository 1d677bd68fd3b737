//! Limits how often lines of one kind are logged, whatever happens.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// At most this many lines of one kind are logged in [`WINDOW`].
const MAX_LINES: u32 = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// The lines of outages of one kind: one when an outage begins and one when it is over, unless outages follow each other
/// so quickly that the limit is reached. An outage that is not reported when it begins is reported later, if it lasts.
#[derive(Debug, Default)]
pub(crate) struct OutageLines(Mutex<Outages>);

#[derive(Debug, Default)]
struct Outages {
    limit: Limit,
    is_going_on: bool,
    is_reported: bool,
}

impl OutageLines {
    /// Notes a failure. If it is to be logged, returns how many outages were not reported since the last line.
    pub(crate) fn failed(&self) -> Option<u64> {
        self.failed_at(Instant::now())
    }

    fn failed_at(&self, now: Instant) -> Option<u64> {
        let mut outages = lock(&self.0);
        if outages.is_reported {
            return None;
        }
        let is_new = !std::mem::replace(&mut outages.is_going_on, true);
        outages.limit.waiting += u64::from(is_new);
        let others = outages.limit.admit(now)?.saturating_sub(1);
        outages.is_reported = true;
        Some(others)
    }

    /// Notes that the outage is over. Returns whether that is to be logged: whether its beginning was.
    pub(crate) fn recovered(&self) -> bool {
        let mut outages = lock(&self.0);
        outages.is_going_on = false;
        std::mem::take(&mut outages.is_reported)
    }
}

/// The limit of lines that each stand for something of its own.
#[derive(Debug, Default)]
pub(crate) struct LineLimit(Mutex<Limit>);

impl LineLimit {
    /// At most this many lines in a minute, instead of five.
    pub(crate) fn of(max: u32) -> Self {
        Self(Mutex::new(Limit { max, ..Limit::default() }))
    }

    /// Notes that there are `count` more to log. If a line may be logged now, returns how many there are by now.
    pub(crate) fn admit(&self, count: u64) -> Option<u64> {
        let mut limit = lock(&self.0);
        limit.waiting = limit.waiting.saturating_add(count);
        limit.admit(Instant::now())
    }
}

#[derive(Debug)]
struct Limit {
    max: u32,
    window_began: Option<Instant>,
    logged: u32,
    /// What was not logged yet.
    waiting: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self { max: MAX_LINES, window_began: None, logged: 0, waiting: 0 }
    }
}

impl Limit {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.window_began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.window_began = Some(now);
            self.logged = 0;
        }
        if self.logged >= self.max {
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.waiting))
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_outages_are_bounded_per_minute_and_counted() {
        let (lines, begun) = (OutageLines::default(), Instant::now());
        let mut logged = Vec::new();
        // Three minutes with an outage every 150 ms.
        for n in 0..1200 {
            if let Some(others) = lines.failed_at(begun + Duration::from_millis(150) * n) {
                logged.push(others);
                assert!(lines.recovered());
            } else {
                assert!(!lines.recovered());
            }
        }
        let missed = 400 - u64::from(MAX_LINES);
        assert_eq!(logged, [0, 0, 0, 0, 0, missed, 0, 0, 0, 0, missed, 0, 0, 0, 0]);
    }

    #[test]
    fn outage_that_lasts_is_reported_although_it_began_unreported() {
        let (lines, begun) = (OutageLines::default(), Instant::now());
        for _ in 0..10 {
            let _ = lines.failed_at(begun);
            let _ = lines.recovered();
        }
        // It is one outage, however often it fails.
        for second in 1..60 {
            assert_eq!(lines.failed_at(begun + Duration::from_secs(second)), None);
        }
        assert_eq!(lines.failed_at(begun + WINDOW), Some(5));
        assert_eq!(lines.failed_at(begun + WINDOW * 2), None, "once");
        assert!(lines.recovered());
    }
}
