//! Live sessions, as a store returns them.

use std::{fmt, net::IpAddr};

use super::{record::SessionRecord, redacted::Redacted};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    keys::DeviceKey,
};

/// Where a login came from and who is behind it, as the application stated it. Shown in the list of sessions, never used
/// for a decision.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// The `User-Agent` of the login, cut to 255 bytes.
    pub user_agent: Option<String>,
    /// The address of the client.
    pub ip: Option<IpAddr>,
    /// Who acts as the user of the session, if it is another.
    pub actor: Option<UserId>,
}

impl Device {
    /// Returns the device with this user agent and address. Set the actor as needed.
    pub const fn new(user_agent: Option<String>, ip: Option<IpAddr>) -> Self {
        Self { user_agent, ip, actor: None }
    }
}

/// Whether there is a user agent and an address.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("user_agent", &self.user_agent.as_ref().map(|_| Redacted))
            .field("ip", &self.ip.as_ref().map(|_| Redacted))
            .field("actor", &self.actor)
            .finish()
    }
}

/// A live session, as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundSession {
    /// The record.
    pub record: SessionRecord,
    /// The store's time of the reading.
    pub now: Timestamp,
    /// The key of the device that was registered for it.
    pub device_key: Option<DeviceKey>,
}

impl FoundSession {
    /// Returns the session with this record, read at the store's time `now`, without the key of a device. Set it as
    /// needed.
    pub const fn new(record: SessionRecord, now: Timestamp) -> Self {
        Self { record, now, device_key: None }
    }
}

/// The live sessions of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionList {
    /// The sessions, in no particular order.
    pub sessions: Vec<ListedSession>,
    /// The store's time of the reading.
    pub now: Timestamp,
}

impl SessionList {
    /// Returns the list of these sessions, read at the store's time `now`.
    pub const fn new(sessions: Vec<ListedSession>, now: Timestamp) -> Self {
        Self { sessions, now }
    }
}

/// One row of a [`SessionList`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedSession {
    /// The session.
    pub id: SessionId,
    /// Its record.
    pub record: SessionRecord,
    /// Where its login came from.
    pub device: Device,
}

impl ListedSession {
    /// Returns the row of this session.
    pub const fn new(id: SessionId, record: SessionRecord, device: Device) -> Self {
        Self { id, record, device }
    }
}
