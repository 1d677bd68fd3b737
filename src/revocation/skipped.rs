//! Entries of the revocation log that cannot be read: skipped, counted, and reported once.

use std::collections::BTreeSet;

use crate::{event::LOG_TARGET, log_lines::LineLimit, measure, store::LogPosition};

/// The entries that were reported, so that none is reported again when the log is read again.
#[derive(Debug)]
pub(super) struct Skipped {
    reported: BTreeSet<LogPosition>,
    lines: LineLimit,
    others: LineLimit,
}

/// The most entries that have a line of their own in a minute.
const MAX_LINES: u32 = 10;
/// When there are more, the oldest are forgotten, and reported again if the log is read again from its start.
const MAX_REMEMBERED: usize = 10_000;

impl Default for Skipped {
    fn default() -> Self {
        Self { reported: BTreeSet::new(), lines: LineLimit::of(MAX_LINES), others: LineLimit::default() }
    }
}

impl Skipped {
    /// Reports what is new. Returns whether there was anything.
    pub(super) fn report(&mut self, skipped: &[LogPosition]) -> bool {
        let new: Vec<_> = skipped.iter().filter(|position| self.reported.insert(**position)).collect();
        while self.reported.len() > MAX_REMEMBERED {
            self.reported.pop_first();
        }
        if !new.is_empty() {
            measure::skipped_entries(new.len());
        }
        let mut others = 0;
        for id in &new {
            if self.lines.admit(1).is_some() {
                tracing::warn!(target: LOG_TARGET, %id, "revocation log entry skipped: this release cannot read it");
            } else {
                others += 1;
            }
        }
        if others > 0
            && let Some(count) = self.others.admit(others)
        {
            tracing::warn!(target: LOG_TARGET, count, "more revocation log entries skipped: this release cannot read them");
        }
        !new.is_empty()
    }
}
