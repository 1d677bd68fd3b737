//! The proofs of devices, as the routes of Device Bound Session Credentials read them.

use crate::{dbsc::Proof, keys::DeviceKey};

/// What a device has signed, as it is read from the header `Secure-Session-Response`: for fuzz targets, and for tests of
/// browsers.
///
/// ```
/// use tower_jwt_sessions::testing::DeviceProof;
///
/// assert!(DeviceProof::read(b"no proof").is_none());
/// ```
pub struct DeviceProof<'h>(Proof<'h>);

impl<'h> DeviceProof<'h> {
    /// Reads a value of the header; `None` if it is no proof. The signature is not checked yet.
    pub fn read(value: &'h [u8]) -> Option<Self> {
        Proof::read(value).map(Self)
    }

    /// Returns the challenge that was signed.
    pub fn challenge(&self) -> &str {
        &self.0.challenge
    }

    /// Returns the key that the proof comes with: at a registration.
    pub const fn key(&self) -> Option<DeviceKey> {
        self.0.key
    }

    /// Whether this key has signed it.
    pub fn is_by(&self, key: &DeviceKey) -> bool {
        self.0.is_by(key)
    }
}

/// Without what was signed.
impl std::fmt::Debug for DeviceProof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceProof").finish_non_exhaustive()
    }
}
