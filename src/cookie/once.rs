//! What is logged once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A warning that is logged once, by whichever clone of it comes first, where each request would give reason to.
///
/// It is no setting: what it is part of is equal to another whether it was logged or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Once(Arc<AtomicBool>);

impl Once {
    /// Whether it is still to be logged. Every later call says no.
    pub(crate) fn is_due(&self) -> bool {
        self.is_open() && !self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether it was not logged yet.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl PartialEq for Once {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
