//! Keys in DER: PKCS #8 for private ones, SubjectPublicKeyInfo or the raw bytes for public ones.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

use super::{Algorithm, rsa};
use crate::error::ConfigError;

/// What stands before the raw key in the SubjectPublicKeyInfo of every Ed25519 key (RFC 8410, section 4).
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// And before the uncompressed point of every P-256 key (RFC 5480, section 2).
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The object identifier rsaEncryption (RFC 8017, appendix C).
const RSA_OID: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";

pub(super) fn ed25519_pair(der: &[u8]) -> Result<Ed25519KeyPair, ConfigError> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| invalid_private_key(Algorithm::EdDsa, der))
}

pub(super) fn p256_pair(der: &[u8]) -> Result<EcdsaKeyPair, ConfigError> {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map_err(|_| invalid_private_key(Algorithm::Es256, der))
}

/// The raw public key within a SubjectPublicKeyInfo, or all of it when it is raw already.
pub(super) fn public_key(algorithm: Algorithm, der: &[u8]) -> Result<&[u8], ConfigError> {
    let spki = if algorithm == Algorithm::EdDsa { ED25519_SPKI } else { P256_SPKI };
    // DER has one encoding of everything, so there is nothing to parse.
    let raw = der.strip_prefix(spki).unwrap_or(der);
    if Some(raw.len()) == algorithm.public_len() { Ok(raw) } else { Err(invalid_public_key(algorithm, der)) }
}

/// `key` only serves to recognise RSA.
pub(super) fn invalid_private_key(algorithm: Algorithm, key: &[u8]) -> ConfigError {
    if is_rsa(key) {
        return rsa();
    }
    ConfigError::InvalidKey {
        algorithm: algorithm.name(),
        expected: match algorithm {
            Algorithm::EdDsa => "an Ed25519 private key in PKCS #8, from `openssl genpkey -algorithm ed25519`",
            _ => {
                "a P-256 private key in PKCS #8, from `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
            }
        },
    }
}

pub(super) fn invalid_public_key(algorithm: Algorithm, key: &[u8]) -> ConfigError {
    if is_rsa(key) {
        return rsa();
    }
    ConfigError::InvalidKey {
        algorithm: algorithm.name(),
        expected: match algorithm {
            Algorithm::EdDsa => "an Ed25519 public key, from `openssl pkey -in private.pem -pubout`",
            _ => "an uncompressed P-256 public key, from `openssl pkey -in private.pem -pubout`",
        },
    }
}

/// In DER by its identifier, in PEM by its label.
fn is_rsa(key: &[u8]) -> bool {
    contains(key, RSA_OID) || contains(key, b"BEGIN RSA P")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
