//! Keys in PEM and DER: PKCS #8 for private ones, SubjectPublicKeyInfo or the raw bytes for public ones.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, general_purpose::STANDARD},
};
use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use crate::error::{ConfigError, ConfigErrorKind};

/// Decodes the PKCS #8 document in a PEM file.
///
/// Not with jsonwebtoken, which leaves the key behind in memory that it frees.
pub(super) fn private_key_from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let invalid = || invalid_private_key(algorithm, pem);
    let text = std::str::from_utf8(pem).map_err(|_| invalid())?;
    let (_, rest) = text.split_once(BEGIN_PRIVATE).ok_or_else(invalid)?;
    let (body, _) = rest.split_once(END_PRIVATE).ok_or_else(invalid)?;
    // With room for all of it: a buffer that grows would leave its old contents behind.
    let mut encoded = Zeroizing::new(Vec::with_capacity(body.len()));
    encoded.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    decode_private(&STANDARD, &encoded).ok_or_else(invalid)
}

/// Decodes the raw public key in a PEM file: 32 bytes for Ed25519, the point for P-256.
pub(super) fn public_key_from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let invalid = |_| match DecodingKey::from_rsa_pem(pem) {
        Ok(_) => rsa_unsupported(),
        Err(_) => invalid_public_key(algorithm, pem),
    };
    let key = match algorithm {
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_ec_pem(pem),
    }
    .map_err(invalid)?;
    Ok(key.try_get_as_bytes().map_err(invalid)?.to_vec())
}

/// Returns the raw public key within a SubjectPublicKeyInfo, or all of `der` when it is raw already.
pub(super) fn public_key_from_der(algorithm: Algorithm, der: &[u8]) -> Result<&[u8], ConfigError> {
    let spki = if algorithm == Algorithm::EdDsa { ED25519_SPKI } else { P256_SPKI };
    // DER has one encoding of each value, so there is nothing to parse.
    let raw = der.strip_prefix(spki).unwrap_or(der);
    if Some(raw.len()) == algorithm.public_len() { Ok(raw) } else { Err(invalid_public_key(algorithm, der)) }
}

/// Decodes base64 into a buffer that is wiped, also when the rest of the text turns out to be invalid.
pub(super) fn decode_private(engine: &GeneralPurpose, encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut decoded = Zeroizing::new(vec![0; base64::decoded_len_estimate(encoded.len())]);
    let len = engine.decode_slice(encoded, &mut decoded).ok()?;
    decoded.truncate(len);
    Some(decoded)
}

/// `key` only serves to recognise RSA.
pub(super) fn invalid_private_key(algorithm: Algorithm, key: &[u8]) -> ConfigError {
    if is_rsa(key) {
        return rsa_unsupported();
    }
    let expected = match algorithm {
        Algorithm::EdDsa => "an Ed25519 private key in PKCS #8, from `openssl genpkey -algorithm ed25519`",
        _ => "a P-256 private key in PKCS #8, from `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`",
    };
    invalid_key(algorithm, expected)
}

/// `key` only serves to recognise RSA.
pub(super) fn invalid_public_key(algorithm: Algorithm, key: &[u8]) -> ConfigError {
    if is_rsa(key) {
        return rsa_unsupported();
    }
    let expected = match algorithm {
        Algorithm::EdDsa => "an Ed25519 public key, from `openssl pkey -in private.pem -pubout`",
        _ => "an uncompressed P-256 public key, from `openssl pkey -in private.pem -pubout`",
    };
    invalid_key(algorithm, expected)
}

fn invalid_key(algorithm: Algorithm, expected: &str) -> ConfigError {
    let message = format!("invalid key for {}: pass {expected}", algorithm.name());
    ConfigError::new(ConfigErrorKind::InvalidKey, message)
}

/// RSA is not supported: its signatures fill a quarter of a cookie, and PKCS #1 v1.5 is being phased out (OWASP ASVS
/// 5.0, appendix C).
pub(super) fn rsa_unsupported() -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::UnsupportedAlgorithm,
        "unsupported algorithm RSA: make an Ed25519 key with `openssl genpkey -algorithm ed25519`",
    )
}

/// Recognises RSA in DER by its identifier, in PEM by its label.
fn is_rsa(key: &[u8]) -> bool {
    contains(key, RSA_OID) || contains(key, b"BEGIN RSA P")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

const BEGIN_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----";
const END_PRIVATE: &str = "-----END PRIVATE KEY-----";

/// Precedes the raw key in the SubjectPublicKeyInfo of every Ed25519 key (RFC 8410, section 4).
const ED25519_SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// Precedes the uncompressed point in that of every P-256 key (RFC 5480, section 2).
const P256_SPKI: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The object identifier rsaEncryption (RFC 8017, appendix C).
const RSA_OID: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
