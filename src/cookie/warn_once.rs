//! Warnings that are logged once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A warning that is logged once per process, by the first of its clones.
///
/// All values are equal, so that comparisons of configurations ignore it.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarnOnce(Arc<AtomicBool>);

impl WarnOnce {
    /// Whether to log the warning now: `true` for the first call only.
    pub(crate) fn is_due(&self) -> bool {
        self.is_open() && !self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether the warning was not logged yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for WarnOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
