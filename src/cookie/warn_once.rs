//! Warnings that are logged once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A warning that many requests may give reason to and that is logged once, by whichever of its clones comes first.
///
/// All of them are equal, so that it does not count when configurations are compared.
#[derive(Clone, Debug, Default)]
pub(crate) struct WarnOnce(Arc<AtomicBool>);

impl WarnOnce {
    /// Whether to log it now: true for the first call only.
    pub(crate) fn is_due(&self) -> bool {
        self.is_open() && !self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether it has not been logged yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for WarnOnce {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
