//! Binding a session to a device.

#[cfg(doc)]
use super::SessionStore;
use super::{owner::Owner, session::FoundSession};
use crate::{id::SessionId, keys::DeviceKey};

/// The key of a device that [`SessionStore::register_device`] keeps.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegisterDevice {
    /// The owner.
    pub owner: Owner,
    /// The session.
    pub id: SessionId,
    /// The key.
    pub key: DeviceKey,
}

impl RegisterDevice {
    /// Returns the registration of this key for this session.
    pub const fn new(owner: Owner, id: SessionId, key: DeviceKey) -> Self {
        Self { owner, id, key }
    }
}

/// The outcome of [`SessionStore::register_device`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterOutcome {
    /// The session has this key now. Its record did not change.
    Registered(FoundSession),
    /// The session had a key already, this one or another. Nothing changed.
    Known,
    /// The session has ended or never existed.
    Ended,
}
