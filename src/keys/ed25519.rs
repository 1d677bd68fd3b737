//! Refuses Ed25519 public keys that the cryptographic library accepts and must not.
//!
//! The library looks at a key when it verifies, and accepts points of small order. Such a point has at most eight
//! multiples, so that of a few signatures, made without a private key, one fits every message. 32 zero bytes, as in a
//! placeholder or a buffer that was never filled, are such a key: it verifies one forgery in four.
//!
//! Whether the bytes are a point at all is not checked: a key that is none verifies nothing.

use super::{Algorithm, der};
use crate::error::ConfigError;

const SIGN_BIT: u8 = 0x80;
/// The least byte of p = 2^255 - 19. Encodings are little-endian.
const LEAST_OF_P: u8 = 0xed;

/// The y coordinates of the eight points whose order divides 8, that of the curve's cofactor.
const SMALL_ORDER: [[u8; 32]; 5] = [
    // Order 4: x is a root of -1.
    [0; 32],
    // Order 1: the neutral element.
    *b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    // Order 2: y = -1.
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    // Order 8: both signs of y.
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
];

/// Refuses points of small order in every encoding, and other points in any but their canonical one (RFC 8032, section
/// 5.1.3).
pub(super) fn check(public: &[u8; 32]) -> Result<(), ConfigError> {
    let mut y = *public;
    // The sign of x tells two points with this y apart. Where x is 0 there is only one, of order 1 or 2.
    y[31] &= !SIGN_BIT;
    let is_canonical = y[0] < LEAST_OF_P || y[31] != !SIGN_BIT || y[1..31].iter().any(|byte| *byte != 0xff);
    if !is_canonical {
        let least = y[0] - LEAST_OF_P;
        y = [0; 32];
        y[0] = least;
    }
    if SMALL_ORDER.contains(&y) {
        return Err(ConfigError::WeakKey {
            algorithm: Algorithm::EdDsa.name(),
            problem: "an Ed25519 public key of small order (such as all zeros, a placeholder) lets anybody sign",
            cure: "pass the public key of a pair, from `openssl pkey -in private.pem -pubout`",
        });
    }
    if is_canonical { Ok(()) } else { Err(der::invalid_public_key(Algorithm::EdDsa, public)) }
}
