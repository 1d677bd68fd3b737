//! Keys and key rings: what signs tokens, and what verifies them.
//!
//! A [`KeyRing`] has one key that signs and any number that verify. Access and refresh tokens have a ring each, which
//! share no key. A secret (HS256) is enough for the nodes of one service; with a key pair (EdDSA, ES256), other
//! services verify access tokens by the public key alone.
//!
//! ```
//! use tower_jwt_sessions::{ConfigError, KeyRing, keys::SigningKey};
//!
//! # fn main() -> Result<(), ConfigError> {
//! // A secret from the environment, of at least 32 bytes.
//! let refresh_keys = KeyRing::hs256("a refresh secret of 32 bytes at least")?;
//!
//! // A key pair, whose public half `GET /auth/jwks.json` shows.
//! # let pem = "-----BEGIN PRIVATE KEY-----\n\
//! #     MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
//! #     -----END PRIVATE KEY-----\n";
//! let access_keys = KeyRing::new(SigningKey::eddsa_pem(pem)?);
//! assert!(access_keys.public_jwks().is_some() && refresh_keys.public_jwks().is_none());
//! # Ok(())
//! # }
//! ```
//!
//! Keys are replaced while nodes serve, without logging users out:
//! [`SessionManager::replace_access_keys`](crate::SessionManager::replace_access_keys).

// A key has exactly one algorithm (RFC 8725, section 3.1), so no token can choose how it is verified. aws-lc-rs makes
// and verifies signatures, RustCrypto HMACs, with keys that are prepared once; jsonwebtoken reads public PEM and the
// public part of JWKs. Private parts are decoded here, into buffers that are wiped, which jsonwebtoken's readers do not
// do. `curves` rejects what aws-lc accepts and must not: public keys that let anyone sign, and second encodings of
// signatures.

mod algorithm;
mod curves;
mod device;
mod encoding;
mod jwk;
mod ring;
mod secret;
mod signing;
mod verification;
mod verification_keys;

#[cfg(feature = "dbsc")]
pub(crate) use self::algorithm::Signature;
pub(crate) use self::{algorithm::MAX_SIGNATURE_LEN, verification_keys::AcceptedKey};
pub use self::{
    device::DeviceKey, ring::KeyRing, signing::SigningKey, verification::VerificationKey,
    verification_keys::VerificationKeys,
};
