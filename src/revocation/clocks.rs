//! Whether the clock of the session store agrees with that of this node.

use crate::{clock::Timestamp, event::LOG_TARGET, log_lines::OutageLines, measure, policy::MAX_CLOCK_SKEW};

/// Compares the clocks at every read of the log, also on a node without requests.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// Whether they differed at the last read.
    differed: bool,
    lines: OutageLines,
}

impl Clocks {
    pub(super) fn compare(&mut self, store: Timestamp, node: Timestamp) {
        let (ahead, behind) = (store.since(node), node.since(store));
        measure::store_clock_offset(ahead.as_secs_f64() - behind.as_secs_f64());
        if ahead.max(behind) <= MAX_CLOCK_SKEW {
            self.differed = false;
            if self.lines.recovered() {
                tracing::info!(target: LOG_TARGET, "clocks of the session store and this node agree again");
            }
            return;
        }
        // Once may be a node that was suspended between the answer and here.
        if !std::mem::replace(&mut self.differed, true) {
            return;
        }
        let Some(unreported) = self.lines.failed() else { return };
        if ahead > behind {
            tracing::warn!(
                target: LOG_TARGET,
                seconds = ahead.as_secs(),
                unreported,
                "clock of the session store is ahead of the clock of this node: new access tokens are refused here"
            );
        } else {
            tracing::warn!(
                target: LOG_TARGET,
                seconds = behind.as_secs(),
                unreported,
                "clock of the session store is behind the clock of this node: access tokens expire early here"
            );
        }
    }
}
