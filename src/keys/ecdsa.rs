//! One spelling of an ECDSA signature.
//!
//! If (r, s) is a signature of a message, so is (r, n - s), and anybody can compute it. Code that tells tokens apart by
//! their bytes would take the two for different tokens, so only the signature with the smaller s is written and
//! accepted.

use super::MAX_SIGNATURE_LEN;

/// The order n of the group of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3), big-endian.
const ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
/// Half of it, rounded down: the greatest s that is the smaller of the two. n is odd, so they are never equal.
const HALF: [u8; 32] = *b"\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8";

/// Whether s, the second half of a signature, is the smaller of the two.
#[inline]
pub(super) fn is_canonical(signature: &[u8]) -> bool {
    signature.last_chunk::<32>().is_some_and(|s| *s <= HALF)
}

/// Replaces s by the smaller of the two.
pub(super) fn make_canonical(signature: &mut [u8; MAX_SIGNATURE_LEN]) {
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
        fn the_smaller_s_is_a_signature_of_the_same_message(message: Vec<u8>) {
            let pair = pair();
            let signed = pair.sign(&SystemRandom::new(), &message).unwrap();
            let signed: [u8; 64] = signed.as_ref().try_into().unwrap();
            let mut canonical = signed;
            make_canonical(&mut canonical);
            proptest::prop_assert!(is_canonical(&canonical));
            proptest::prop_assert_eq!(canonical == signed, is_canonical(&signed));
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
            proptest::prop_assert!(key.verify(&message, &canonical).is_ok());
        }
    }

    #[test]
    fn of_two_that_add_up_to_the_order_exactly_one_is_canonical() {
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
            make_canonical(&mut signature);
            assert_eq!(signature, with_s(s), "a smaller s stays as it is");
        }
        let order_less_one = {
            let mut s = ORDER;
            s[31] -= 1;
            s
        };
        for (s, smaller) in [(above_half, HALF), (order_less_one, small(1))] {
            let mut signature = with_s(s);
            assert!(!is_canonical(&signature));
            make_canonical(&mut signature);
            assert_eq!(signature, with_s(smaller));
        }
    }
}
