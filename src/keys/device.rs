//! The public keys of devices, which browsers make and whose private halves never leave the device.

use std::fmt;

#[cfg(feature = "dbsc")]
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};

/// The public key of a device, to which a session is bound: a point of P-256, compressed (SEC 1, section 2.3.3).
///
/// A store keeps it with the session. It is no secret, but `Debug` prints none of it: it identifies a device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceKey([u8; Self::LEN]);

impl DeviceKey {
    /// The length in bytes.
    pub const LEN: usize = 33;

    /// Returns the key with these bytes, as a store has kept them. Bytes that are no point verify no signature.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for a store to keep.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

#[cfg(feature = "dbsc")]
impl DeviceKey {
    /// Returns the key with these coordinates, big-endian; `None` unless they are a point of the curve.
    pub(crate) fn from_coordinates(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let mut uncompressed = [4; 65];
        uncompressed[1..33].copy_from_slice(x);
        uncompressed[33..].copy_from_slice(y);
        // Checks the equation of the curve, which a compressed point would only satisfy by construction.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed).ok()?;
        let mut bytes = [2 + (y[31] & 1); Self::LEN];
        bytes[1..].copy_from_slice(x);
        Some(Self(bytes))
    }

    /// Whether this is an ES256 signature of the device over `message`.
    ///
    /// Both values of s are accepted, unlike in our own tokens: browsers write either, and nothing tells proofs apart
    /// by their bytes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0)
            .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey([redacted])")
    }
}

#[cfg(feature = "dbsc")]
#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };

    use super::*;

    fn coordinates(pair: &EcdsaKeyPair) -> ([u8; 32], [u8; 32]) {
        let point = pair.public_key().as_ref();
        (point[1..33].try_into().unwrap(), point[33..].try_into().unwrap())
    }

    #[test]
    fn verifies_signatures_of_its_pair_with_either_s() {
        let mut smaller = [false; 2];
        for n in 0..64_u8 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let (x, y) = coordinates(&pair);
            let key = DeviceKey::from_coordinates(&x, &y).unwrap();
            let signature = pair.sign(&SystemRandom::new(), &[n]).unwrap();
            assert!(key.verifies(&[n], signature.as_ref()));
            assert!(!key.verifies(&[n, 0], signature.as_ref()));
            assert!(!key.verifies(&[n], &signature.as_ref()[..63]));
            let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let (x, y) = coordinates(&other);
            assert!(!DeviceKey::from_coordinates(&x, &y).unwrap().verifies(&[n], signature.as_ref()));
            smaller[usize::from(super::super::curves::is_canonical_ecdsa(signature.as_ref()))] = true;
        }
        assert_eq!(smaller, [true; 2], "both kinds were seen");
    }

    #[test]
    fn refuses_what_is_no_point_of_the_curve() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let (x, y) = coordinates(&pair);
        let mut off = y;
        off[31] ^= 1;
        for (x, y) in [([0; 32], [0; 32]), ([0xff; 32], [0xff; 32]), (x, off), (y, x), (x, [0; 32])] {
            assert_eq!(DeviceKey::from_coordinates(&x, &y), None);
        }
        assert!(!DeviceKey::from_bytes([0; 33]).verifies(b"", &[0; 64]));
    }

    #[test]
    fn debug_prints_nothing_of_the_key() {
        assert_eq!(format!("{:?}", DeviceKey::from_bytes([2; 33])), "DeviceKey([redacted])");
    }
}
