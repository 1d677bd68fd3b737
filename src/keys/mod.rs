//! Keys: what signs tokens and what verifies them.
//!
//! A key has exactly one algorithm (RFC 8725, section 3.1), so no token can choose how it is verified. aws-lc-rs makes
//! and verifies signatures, RustCrypto HMACs, with keys that are prepared once; jsonwebtoken reads public PEM and the public part of JWKs. Private
//! parts are decoded here, into buffers that are wiped, which jsonwebtoken's readers do not do. `curves` rejects what
//! aws-lc accepts and must not: public keys that let anyone sign, and second encodings of signatures.

mod algorithm;
mod curves;
mod encoding;
mod jwk;
mod ring;
mod secret;
mod signing;
mod verification;
mod verification_keys;

pub(crate) use self::{algorithm::MAX_SIGNATURE_LEN, verification_keys::AcceptedKey};
pub use self::{
    ring::KeyRing, signing::SigningKey, verification::VerificationKey, verification_keys::VerificationKeys,
};
