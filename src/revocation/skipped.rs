//! Entries of the revocation log that cannot be read: skipped, counted, and reported once.

use std::collections::BTreeSet;

use crate::{event::LOG_TARGET, measure, store::LogPosition};

/// The entries that were reported, so that none is reported again when the log is read again.
#[derive(Debug, Default)]
pub(super) struct Skipped(BTreeSet<LogPosition>);

/// The most lines that are logged for one page.
const MAX_LINES: usize = 10;
/// When there are more, the oldest are forgotten, and reported again if the log is read again from its start.
const MAX_REMEMBERED: usize = 10_000;

impl Skipped {
    /// Reports what is new. Returns whether there was anything.
    pub(super) fn report(&mut self, skipped: &[LogPosition]) -> bool {
        let new: Vec<_> = skipped.iter().filter(|position| self.0.insert(**position)).collect();
        while self.0.len() > MAX_REMEMBERED {
            self.0.pop_first();
        }
        if !new.is_empty() {
            measure::skipped_entries(new.len());
        }
        for id in new.iter().take(MAX_LINES) {
            tracing::warn!(target: LOG_TARGET, %id, "revocation log entry skipped: this release cannot read it");
        }
        if let Some(count) = new.len().checked_sub(MAX_LINES).filter(|count| *count > 0) {
            tracing::warn!(target: LOG_TARGET, count, "more revocation log entries skipped: this release cannot read them");
        }
        !new.is_empty()
    }
}
