//! HMAC (RFC 2104) with a secret that is prepared once.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use sha2::{
    Digest as _, Sha256,
    digest::{
        Output,
        block_api::{Buffer, EagerHash, FixedOutputCore as _, UpdateCore as _},
    },
};
use zeroize::Zeroizing;

use super::{Algorithm, signing::Signature};

/// A secret, ready to make and to check MACs.
pub(super) struct MacKey {
    key: hmac::Key,
    /// The same secret for `sha2`, where that takes less time.
    quick: Option<QuickKey>,
}

impl MacKey {
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
        let (hash, quick) = match algorithm {
            Algorithm::Hs384 => (hmac::HMAC_SHA384, None),
            Algorithm::Hs512 => (hmac::HMAC_SHA512, None),
            _ => (hmac::HMAC_SHA256, has_sha_instructions().then(|| QuickKey::new(secret))),
        };
        Self { key: hmac::Key::new(hash, secret), quick }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.quick {
            Some(quick) => Signature::new(&quick.sign(message)),
            None => Signature::new(hmac::sign(&self.key, message).as_ref()),
        }
    }

    /// Whether `tag` is that of `message`; in constant time.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        match &self.quick {
            Some(quick) => quick.verifies(message, tag),
            None => hmac::verify(&self.key, message, tag).is_ok(),
        }
    }
}

/// HMAC-SHA256 on the hash of RustCrypto. Both libraries use the instructions of the processor and take the same time for
/// a block; around the blocks aws-lc keeps books that cost 0.15 µs, a third of the HMAC of a usual token.
///
/// Put together here as the `hmac` crate does it, which leaves a copy of the secret on the stack.
struct QuickKey {
    /// The two hashes after their first block, which is made of the secret.
    inner: Sha256Core,
    outer: Sha256Core,
}

/// SHA-256 without a buffer for parts of blocks.
type Sha256Core = <Sha256 as EagerHash>::Core;

/// A block and a digest of SHA-256 in bytes, and what the block is combined with: RFC 2104, section 2.
const BLOCK_LEN: usize = 64;
const DIGEST_LEN: usize = 32;
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

impl QuickKey {
    fn new(secret: &[u8]) -> Self {
        let mut block = Zeroizing::new([0; BLOCK_LEN]);
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            // Whatever is longer is hashed first.
            None => {
                let digest = block.first_chunk_mut::<DIGEST_LEN>().map(Into::into);
                digest.into_iter().for_each(|digest| Sha256::new_with_prefix(secret).finalize_into(digest));
            }
        }
        // In place, so that nothing but the block has to be wiped.
        let mut begin_with = |mask| {
            block.iter_mut().for_each(|byte| *byte ^= mask);
            let mut hash = Sha256Core::default();
            hash.update_blocks(std::slice::from_ref((&*block).into()));
            hash
        };
        Self { inner: begin_with(INNER_PAD), outer: begin_with(INNER_PAD ^ OUTER_PAD) }
    }

    fn sign(&self, message: &[u8]) -> Output<Sha256Core> {
        finish(&self.outer, &finish(&self.inner, message))
    }

    fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        verify_slices_are_equal(&self.sign(message), tag).is_ok()
    }
}

/// Goes on with the rest of what is hashed.
#[inline]
fn finish(begun: &Sha256Core, rest: &[u8]) -> Output<Sha256Core> {
    let (mut hash, mut buffer, mut digest) =
        (begun.clone(), Buffer::<Sha256Core>::default(), Output::<Sha256Core>::default());
    buffer.digest_blocks(rest, |blocks| hash.update_blocks(blocks));
    hash.finalize_fixed_core(&mut buffer, &mut digest);
    digest
}

/// Whether SHA-256 has instructions of its own. Without them aws-lc takes a quarter less time. So it may on other
/// architectures, where nobody has measured it.
fn has_sha_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha") && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Lengths around those of a block, and secrets longer than one.
        #[test]
        fn both_libraries_agree(
            secret in vec(any::<u8>(), 32..140),
            message in vec(any::<u8>(), 0..600),
            at in any::<prop::sample::Index>(),
            change in 1_u8..,
        ) {
            let key = MacKey { quick: None, ..MacKey::new(Algorithm::Hs256, &secret) };
            let quick = QuickKey::new(&secret);
            let tag = key.sign(&message).unwrap().as_bytes().to_vec();
            prop_assert_eq!(&*tag, &*quick.sign(&message).to_vec());
            let mut other = tag.clone();
            other[at.index(32)] ^= change;
            for verifies in [&|tag: &[u8]| key.verifies(&message, tag), &|tag: &[u8]| quick.verifies(&message, tag)]
                as [&dyn Fn(&[u8]) -> bool; 2]
            {
                prop_assert!(verifies(&tag));
                prop_assert!(!verifies(&other));
                prop_assert!(!verifies(&tag[..at.index(32)]), "a part of it");
                prop_assert!(!verifies(&[&*tag, &[0]].concat()), "more than it");
            }
            prop_assert!(!quick.verifies(&[&*message, &[0]].concat(), &tag), "another message");
        }
    }

    /// The second of RFC 4231's test cases has a secret too short for us, but not for HMAC.
    #[test]
    fn a_vector_of_rfc_4231() {
        let tag = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00,
            0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        let message = b"what do ya want for nothing?";
        assert!(QuickKey::new(b"Jefe").verifies(message, &tag));
        assert!(MacKey { quick: None, ..MacKey::new(Algorithm::Hs256, b"Jefe") }.verifies(message, &tag));
    }

    #[test]
    fn other_hashes_stay_with_one_library() {
        for algorithm in [Algorithm::Hs384, Algorithm::Hs512] {
            let key = MacKey::new(algorithm, &[7; 64]);
            assert!(key.quick.is_none() && key.verifies(b"message", key.sign(b"message").unwrap().as_bytes()));
        }
    }
}
