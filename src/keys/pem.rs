//! Keys in PEM.

use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::DecodingKey;
use zeroize::Zeroizing;

use super::{Algorithm, decode_private, der, rsa};
use crate::error::ConfigError;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The PKCS #8 document of a private key.
///
/// Read here and not by jsonwebtoken, which leaves the key behind in memory that it frees.
pub(super) fn private_key(algorithm: Algorithm, pem: &[u8]) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let invalid = || der::invalid_private_key(algorithm, pem);
    let text = std::str::from_utf8(pem).map_err(|_| invalid())?;
    let (_, rest) = text.split_once(BEGIN).ok_or_else(invalid)?;
    let (body, _) = rest.split_once(END).ok_or_else(invalid)?;
    // With room for everything: a buffer that grows would leave its old place behind.
    let mut encoded = Zeroizing::new(Vec::with_capacity(body.len()));
    encoded.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    decode_private(&STANDARD, &encoded).ok_or_else(invalid)
}

/// The raw public key: 32 bytes for Ed25519, the uncompressed point for P-256.
pub(super) fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let invalid = |_| match DecodingKey::from_rsa_pem(pem) {
        Ok(_) => rsa(),
        Err(_) => der::invalid_public_key(algorithm, pem),
    };
    let key = match algorithm {
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_ec_pem(pem),
    }
    .map_err(invalid)?;
    Ok(key.try_get_as_bytes().map_err(invalid)?.to_vec())
}
