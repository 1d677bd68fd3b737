//! The failure of a store.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// The store failed: it is unreachable, too slow, or holds something unreadable.
///
/// Nothing is known about any session then. The cause is the [`source`](StdError::source).
#[derive(Debug)]
pub struct StoreError {
    doing: Cow<'static, str>,
    source: Box<dyn StdError + Send + Sync>,
}

impl StoreError {
    /// Returns an error that was met while `doing` something, for example `"rotating a session"`.
    pub fn new(doing: impl Into<Cow<'static, str>>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session store failed while {}", self.doing)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
