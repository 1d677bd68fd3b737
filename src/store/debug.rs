//! `Debug` of what sessions hold: what there is, but not its content, since applications log it.

use std::fmt;

use super::{Device, NewSession, PutData, SessionData};

/// In place of a value that is not printed.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// In place of the application's data.
struct Bytes(usize);

impl Bytes {
    fn of(data: Option<&Vec<u8>>) -> Option<Self> {
        data.map(|data| Self(data.len()))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

/// Without the data and the device.
impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("owner", &self.owner)
            .field("id", &self.id)
            .field("refresh_lifetime", &self.refresh_lifetime)
            .field("absolute_lifetime", &self.absolute_lifetime)
            .field("limit", &self.limit)
            .field("replaces", &self.replaces)
            .field("data", &Bytes::of(self.data.as_ref()))
            .field("device", &self.device)
            .field("log_retention", &self.log_retention)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// Whether there is a user agent and an address.
impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("user_agent", &self.user_agent.as_ref().map(|_| Redacted))
            .field("ip", &self.ip.as_ref().map(|_| Redacted))
            .finish()
    }
}

/// Without the data.
impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionData")
            .field("version", &self.version)
            .field("bytes", &Bytes::of(self.bytes.as_ref()))
            .finish()
    }
}

/// Without the data.
impl fmt::Debug for PutData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutData")
            .field("owner", &self.owner)
            .field("id", &self.id)
            .field("expected_version", &self.expected_version)
            .field("bytes", &Bytes(self.bytes.len()))
            .finish()
    }
}
