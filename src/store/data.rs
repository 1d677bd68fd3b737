//! The application's data of a session.

use std::fmt;

#[cfg(doc)]
use super::SessionStore;
use super::{owner::Owner, redacted::Bytes};
use crate::id::SessionId;

/// The application's data of a session, opaque to the store. The default is that of a session without data.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionData {
    /// Counts the writes; 0 when there was none.
    pub version: u64,
    /// The data, `None` when there was no write.
    pub bytes: Option<Vec<u8>>,
}

impl SessionData {
    /// Returns the data of this write.
    pub const fn new(version: u64, bytes: Vec<u8>) -> Self {
        Self { version, bytes: Some(bytes) }
    }
}

/// Without the data.
impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionData")
            .field("version", &self.version)
            .field("bytes", &self.bytes.as_deref().map(Bytes::of))
            .finish()
    }
}

/// The data that [`SessionStore::put_data`] writes.
#[derive(Clone)]
#[non_exhaustive]
pub struct PutData {
    /// The owner.
    pub owner: Owner,
    /// The session.
    pub id: SessionId,
    /// The version that the writer read.
    pub expected_version: u64,
    /// The new data.
    pub bytes: Vec<u8>,
}

impl PutData {
    /// Returns new data from a writer that read `expected_version`.
    pub fn new(owner: Owner, id: SessionId, expected_version: u64, bytes: Vec<u8>) -> Self {
        Self { owner, id, expected_version, bytes }
    }
}

/// Without the data.
impl fmt::Debug for PutData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutData")
            .field("owner", &self.owner)
            .field("id", &self.id)
            .field("expected_version", &self.expected_version)
            .field("bytes", &Bytes::of(&self.bytes))
            .finish()
    }
}

/// The outcome of [`SessionStore::put_data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOutcome {
    /// The data was written.
    Stored {
        /// The new version.
        version: u64,
    },
    /// Another writer was first. Nothing changed.
    Conflict,
    /// The session is not live. Nothing changed.
    Ended,
}
