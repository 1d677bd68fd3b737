//! Shared secrets, and the HMACs (RFC 2104) that they make.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac, digest::Output};
use sha2::{Sha256, Sha384, Sha512};

use super::algorithm::{Algorithm, Signature};
use crate::error::{ConfigError, ConfigErrorKind, LOG_TARGET};

/// A secret, prepared once to make and to check HMACs.
///
/// Of RustCrypto: both this and aws-lc use the instructions of the processor, but aws-lc takes some 0.08 µs more for what
/// surrounds the hash, a sixth of the HMAC of a usual token.
pub(super) enum MacKey {
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl MacKey {
    /// Prepares a secret that is at least as long as its hash, and not all zeros.
    pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        if secret.len() < algorithm.signature_len() {
            return Err(too_short(algorithm, secret));
        }
        if secret.iter().all(|byte| *byte == 0) {
            return Err(ConfigError::new(
                ConfigErrorKind::WeakKey,
                format!(
                    "weak key for {}: a secret of all zeros lets anyone sign: make one with `openssl rand -base64 64`",
                    algorithm.name()
                ),
            ));
        }
        match algorithm {
            Algorithm::Hs384 => prepared(algorithm, secret).map(Self::Sha384),
            Algorithm::Hs512 => prepared(algorithm, secret).map(Self::Sha512),
            _ => prepared(algorithm, secret).map(Self::Sha256),
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match self {
            Self::Sha256(key) => Signature::new(&tag(key, message)),
            Self::Sha384(key) => Signature::new(&tag(key, message)),
            Self::Sha512(key) => Signature::new(&tag(key, message)),
        }
    }

    /// Whether `tag` is that of `message`; in constant time.
    pub(super) fn verifies(&self, message: &[u8], tag: &[u8]) -> bool {
        match self {
            Self::Sha256(key) => key.clone().chain_update(message).verify_slice(tag),
            Self::Sha384(key) => key.clone().chain_update(message).verify_slice(tag),
            Self::Sha512(key) => key.clone().chain_update(message).verify_slice(tag),
        }
        .is_ok()
    }
}

fn prepared<M: KeyInit>(algorithm: Algorithm, secret: &[u8]) -> Result<M, ConfigError> {
    M::new_from_slice(secret).map_err(|_| too_short(algorithm, secret))
}

fn too_short(algorithm: Algorithm, secret: &[u8]) -> ConfigError {
    let (min, actual) = (algorithm.signature_len(), secret.len());
    ConfigError::new(
        ConfigErrorKind::WeakKey,
        format!(
            "secret too short: {actual} bytes, need at least {min} for {}: make one with `openssl rand -base64 {min}`",
            algorithm.name()
        ),
    )
}

fn tag<M: Mac + Clone>(key: &M, message: &[u8]) -> Output<M> {
    key.clone().chain_update(message).finalize().into_bytes()
}

/// What identifies a secret without revealing it.
pub(super) struct Identity {
    pub(super) kid: String,
    pub(super) fingerprint: [u8; 32],
}

impl Identity {
    pub(super) fn of(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        // The kid is an HMAC made with the secret, so it reveals no more than any token does.
        let key: Hmac<Sha256> = prepared(algorithm, secret)?;
        let kid = tag(&key, format!("tower-jwt-sessions kid v1 {}", algorithm.name()).as_bytes());
        Ok(Self {
            kid: URL_SAFE_NO_PAD.encode(kid.get(..9).unwrap_or_default()),
            fingerprint: tag(&key, b"tower-jwt-sessions fingerprint v1").into(),
        })
    }
}

/// Logs a warning for text that begins or ends with white space, which editors and shells add unseen. A node that reads
/// its secret from a file with a line break at the end has another key than one that gets it from the environment.
pub(super) fn warn_of_white_space(secret: &[u8], kid: &str) {
    if has_white_space_around(secret) {
        tracing::warn!(
            target: LOG_TARGET,
            kid,
            help = "remove it on every node, for example with str::trim; nodes with the same secret show the same kid",
            "text secret begins or ends with white space, which is part of the key"
        );
    }
}

/// Random bytes are practically never text.
fn has_white_space_around(secret: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(secret) else { return false };
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
    trimmed.len() < text.len() && !trimmed.contains(|c: char| c.is_control() && !c.is_whitespace())
}

const BYTE_ORDER_MARK: char = '\u{feff}';

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const ALGORITHMS: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

    /// The sixth test case of RFC 4231, section 4.7: a secret longer than a block.
    #[test]
    fn tags_are_those_of_rfc_4231() {
        for (algorithm, tag) in ALGORITHMS.into_iter().zip([
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352\
             6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        ]) {
            let key = MacKey::new(algorithm, &[0xaa; 131]).unwrap();
            let made = key.sign(b"Test Using Larger Than Block-Size Key - Hash Key First").unwrap();
            let made: String = made.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(made, tag, "{algorithm:?}");
        }
    }

    proptest! {
        /// Lengths around those of a block, and secrets longer than one.
        #[test]
        fn only_whole_tag_of_message_verifies(
            algorithm in prop::sample::select(&ALGORITHMS[..]),
            secret in vec(1_u8.., 64..180),
            message in vec(any::<u8>(), 0..600),
            at in any::<prop::sample::Index>(),
            change in 1_u8..,
        ) {
            let key = MacKey::new(algorithm, &secret).unwrap();
            let tag = key.sign(&message).unwrap().as_bytes().to_vec();
            let at = at.index(tag.len());
            let mut other = tag.clone();
            other[at] ^= change;
            prop_assert!(key.verifies(&message, &tag));
            prop_assert!(!key.verifies(&message, &other));
            prop_assert!(!key.verifies(&message, &tag[..at]), "a part of it");
            prop_assert!(!key.verifies(&message, &[&*tag, &[0]].concat()), "more than it");
            prop_assert!(!key.verifies(&[&*message, &[0]].concat(), &tag), "another message");
        }
    }

    #[test]
    fn text_with_white_space_around_differs_from_bytes() {
        let text = "c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXM";
        for around in [["", "\n"], ["", "\r\n"], ["", " "], [" ", ""], ["\t", "\n\n"], ["\u{feff}", ""], ["", "\u{a0}"]]
        {
            assert!(has_white_space_around(around.join(text).as_bytes()), "{around:?}");
        }
        // As `openssl rand -base64 64` prints it.
        assert!(has_white_space_around(format!("{text}\n{text}\n").as_bytes()));
        assert!(!has_white_space_around(text.as_bytes()));
        assert!(!has_white_space_around(format!("{text}\n{text}").as_bytes()));
        assert!(!has_white_space_around(b"\x80 thirty-two bytes of no encoding\n"));
        assert!(!has_white_space_around(b"\x01\x02 bytes that are UTF-8 by chance\n"));
    }
}
