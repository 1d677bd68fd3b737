//! Reading PEM with jsonwebtoken, and the names of public keys.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::Algorithm;
use crate::error::ConfigError;

/// The PKCS #8 document of a private key. The returned value zeroizes itself.
pub(super) fn private_key(algorithm: Algorithm, pem: &[u8]) -> Result<EncodingKey, ConfigError> {
    match algorithm {
        Algorithm::EdDsa => EncodingKey::from_ed_pem(pem),
        _ => EncodingKey::from_ec_pem(pem),
    }
    .map_err(|_| invalid_private_key(algorithm))
}

/// The raw public key: 32 bytes for Ed25519, the uncompressed point for P-256.
pub(super) fn public_key(algorithm: Algorithm, pem: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let invalid = |_| ConfigError::InvalidKey {
        algorithm: algorithm.name(),
        expected: match algorithm {
            Algorithm::EdDsa => "an Ed25519 public key in PEM, from `openssl pkey -in private.pem -pubout`",
            _ => "a P-256 public key in PEM, from `openssl pkey -in private.pem -pubout`",
        },
    };
    let key = match algorithm {
        Algorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        _ => DecodingKey::from_ec_pem(pem),
    }
    .map_err(invalid)?;
    Ok(key.try_get_as_bytes().map_err(invalid)?.to_vec())
}

pub(super) fn invalid_private_key(algorithm: Algorithm) -> ConfigError {
    ConfigError::InvalidKey {
        algorithm: algorithm.name(),
        expected: match algorithm {
            Algorithm::EdDsa => "an Ed25519 private key in PEM, from `openssl genpkey -algorithm ed25519`",
            _ => "a P-256 private key in PEM, from `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`",
        },
    }
}

/// The JWK thumbprint (RFC 7638) of a public key: its default `kid`.
pub(super) fn thumbprint(algorithm: Algorithm, public: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // Members in lexicographic order and no white space, as RFC 7638, section 3.3, demands.
    let jwk = match algorithm {
        Algorithm::EdDsa => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(public)),
        _ => {
            // 0x04, then both coordinates of 32 bytes.
            let (x, y) = public.get(1..).unwrap_or_default().split_at(public.len().saturating_sub(1) / 2);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
        }
    };
    encode(digest::digest(&digest::SHA256, jwk.as_bytes()).as_ref())
}
