//! Rejects what the cryptographic library accepts and must not.
//!
//! *Ed25519 public keys of small order.* The library looks at a key only when it verifies, and accepts such points.
//! They have at most eight multiples, so of a few signatures, made without a private key, one fits each message. 32
//! zero bytes, as in a placeholder or a buffer that was never filled, are such a key: it verifies one forgery in four.
//! Bytes that are no point at all are not detected: they verify nothing.
//!
//! *Second encodings of ECDSA signatures.* If (r, s) is a signature of a message, so is (r, n - s), and anyone can
//! compute it. Code that tells tokens apart by their bytes would take the two for different tokens, so only the
//! signature with the smaller s is written and accepted.

use super::{algorithm::Algorithm, encoding::invalid_public_key};
use crate::error::{ConfigError, ConfigErrorKind};

/// Rejects points of small order in every encoding, and other points in any but their canonical one (RFC 8032, section
/// 5.1.3).
pub(super) fn check_ed25519(public: &[u8; 32]) -> Result<(), ConfigError> {
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
        return Err(ConfigError::new(
            ConfigErrorKind::WeakKey,
            "weak key for EdDSA: a public key of small order (such as all zeros, a placeholder) lets anyone sign: pass \
             the public key of a pair, from `openssl pkey -in private.pem -pubout`",
        ));
    }
    if is_canonical { Ok(()) } else { Err(invalid_public_key(Algorithm::EdDsa, public)) }
}

/// Whether s, the second half of an ECDSA signature, is the smaller of its two values.
#[inline]
pub(super) fn is_canonical_ecdsa(signature: &[u8]) -> bool {
    signature.last_chunk::<32>().is_some_and(|s| *s <= HALF)
}

/// Replaces s by the smaller of its two values.
pub(super) fn make_canonical_ecdsa(signature: &mut [u8]) {
    let Some(s) = signature.last_chunk_mut::<32>() else { return };
    if *s <= HALF {
        return;
    }
    let mut borrow = false;
    for (s, n) in s.iter_mut().zip(ORDER).rev() {
        let (difference, first) = n.overflowing_sub(*s);
        let (difference, second) = difference.overflowing_sub(borrow.into());
        (*s, borrow) = (difference, first || second);
    }
}

/// The bit of the last byte that tells two points with the same y apart.
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

/// The order n of the group of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3), big-endian.
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
/// Half of it, rounded down: the greatest canonical s. n is odd, so s and n - s are never equal.
const HALF: [u8; 32] = *b"\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8";

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
        },
    };

    use super::*;

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
    }

    proptest::proptest! {
        #[test]
        fn canonical_signature_verifies_same_message(message: Vec<u8>) {
            let pair = pair();
            let signed = pair.sign(&SystemRandom::new(), &message).unwrap();
            let signed: [u8; 64] = signed.as_ref().try_into().unwrap();
            let mut canonical = signed;
            make_canonical_ecdsa(&mut canonical);
            proptest::prop_assert!(is_canonical_ecdsa(&canonical));
            proptest::prop_assert_eq!(canonical == signed, is_canonical_ecdsa(&signed));
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
            proptest::prop_assert!(key.verify(&message, &canonical).is_ok());
        }
    }

    #[test]
    fn greater_s_becomes_its_complement() {
        let with_s = |s: [u8; 32]| -> [u8; 64] { [[7; 32], s].concat().try_into().unwrap() };
        let small = |last: u8| {
            let mut s = [0; 32];
            s[31] = last;
            s
        };
        let above_half = {
            let mut s = HALF;
            s[31] += 1;
            s
        };
        for s in [small(1), small(2), small(255), HALF] {
            let mut signature = with_s(s);
            make_canonical_ecdsa(&mut signature);
            assert_eq!(signature, with_s(s), "a smaller s stays as it is");
        }
        let order_less_one = {
            let mut s = ORDER;
            s[31] -= 1;
            s
        };
        for (s, smaller) in [(above_half, HALF), (order_less_one, small(1))] {
            let mut signature = with_s(s);
            assert!(!is_canonical_ecdsa(&signature));
            make_canonical_ecdsa(&mut signature);
            assert_eq!(signature, with_s(smaller));
        }
    }
}
