//! Keys: what signs tokens and what verifies them.
//!
//! A key has exactly one algorithm (RFC 8725, section 3.1), so no token can choose how it is verified. Signing and
//! verifying is done by aws-lc-rs with keys that are prepared once, but for HS256 where `mac` knows of something
//! faster; jsonwebtoken reads public PEM and the public part of JWKs. Private parts are decoded here, into buffers that
//! are wiped, which jsonwebtoken's readers do not do. What aws-lc accepts and must not, keys that let anybody sign and
//! second spellings of signatures, is refused in `ed25519` and `ecdsa`.

mod change;
mod der;
mod ecdsa;
mod ed25519;
mod jwk;
mod mac;
mod pem;
mod publish;
mod ring;
mod set;
mod signing;
mod text;
mod verification;

pub(crate) use self::set::AcceptedKey;
use base64::{Engine as _, engine::GeneralPurpose};
use zeroize::Zeroizing;

pub use self::{ring::KeyRing, set::VerificationKeys, signing::SigningKey, verification::VerificationKey};
use crate::error::ConfigError;

/// The algorithms of RFC 7518 and RFC 8037 that the crate signs with.
///
/// Not jsonwebtoken's type of this name: that one also has algorithms that are refused here, and every `match` would
/// need arms that cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    EdDsa,
    Es256,
}

impl Algorithm {
    /// The `alg` header parameter.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The length of a signature in bytes.
    pub(crate) const fn signature_len(self) -> usize {
        match self {
            Self::Hs256 => 32,
            Self::Hs384 => 48,
            Self::Hs512 | Self::EdDsa | Self::Es256 => 64,
        }
    }

    /// The length of a raw public key: that of Ed25519, or an uncompressed point. `None` for a secret.
    pub(crate) const fn public_len(self) -> Option<usize> {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => None,
            Self::EdDsa => Some(32),
            Self::Es256 => Some(65),
        }
    }

    /// Whether the same input always gives the same signature, so that a refresh token can be issued again.
    pub(crate) const fn is_deterministic(self) -> bool {
        !matches!(self, Self::Es256)
    }
}

/// The longest signature in bytes.
pub(crate) const MAX_SIGNATURE_LEN: usize = 64;

/// Identifies key material without revealing it, to find the same secret in two rings.
pub(crate) type Fingerprint = [u8; 32];

/// A `kid` stands in every header and in log lines, so it is short and has no character that needs escaping.
fn checked_key_id(kid: String) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match kid.len() {
        1..=64 if kid.bytes().all(allowed) => Ok(kid),
        _ => Err(ConfigError::InvalidKeyId { kid }),
    }
}

/// RSA is not supported: its signatures fill a quarter of a cookie, and PKCS #1 v1.5 is on its way out (OWASP ASVS 5.0,
/// appendix C).
const fn rsa() -> ConfigError {
    ConfigError::UnsupportedAlgorithm {
        algorithm: "RSA",
        cure: "make an Ed25519 key with `openssl genpkey -algorithm ed25519`",
    }
}

/// Decodes what must not stay in memory. Also what was decoded before an error is wiped.
fn decode_private(engine: &GeneralPurpose, encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let len = engine.decode_slice(encoded, &mut decoded).ok()?;
    decoded.truncate(len);
    Some(decoded)
}
