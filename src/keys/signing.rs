//! A key that signs.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};

use super::{Algorithm, MAX_SIGNATURE_LEN, VerificationKey, pem};
use crate::error::ConfigError;

/// A key that signs tokens, and verifies what it signed. Cheap to clone; never printed.
#[derive(Clone)]
pub struct SigningKey {
    verification: VerificationKey,
    signer: Signer,
}

#[derive(Clone)]
enum Signer {
    /// The verification key holds the secret.
    Mac,
    Ed25519(Arc<Ed25519KeyPair>),
    P256(Arc<EcdsaKeyPair>),
}

/// A signature on the stack.
pub(crate) struct Signature {
    bytes: [u8; MAX_SIGNATURE_LEN],
    len: usize,
}

impl Signature {
    fn new(signature: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_SIGNATURE_LEN];
        bytes.get_mut(..signature.len())?.copy_from_slice(signature);
        Some(Self { bytes, len: signature.len() })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl SigningKey {
    /// A secret for HS256 of at least 32 bytes (RFC 7518, section 3.2). Make one with `openssl rand -base64 32`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs256(secret).map(Self::mac)
    }

    /// A secret for HS384 of at least 48 bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs384(secret).map(Self::mac)
    }

    /// A secret for HS512 of at least 64 bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs512(secret).map(Self::mac)
    }

    /// An Ed25519 private key in PEM (`BEGIN PRIVATE KEY`), from `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKey`].
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let algorithm = Algorithm::EdDsa;
        let document = pem::private_key(algorithm, pem.as_ref())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(document.as_bytes())
            .map_err(|_| pem::invalid_private_key(algorithm))?;
        Ok(Self {
            verification: VerificationKey::public(algorithm, pair.public_key().as_ref())?,
            signer: Signer::Ed25519(Arc::new(pair)),
        })
    }

    /// A P-256 private key in PEM (`BEGIN PRIVATE KEY`), for access tokens only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKey`].
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let algorithm = Algorithm::Es256;
        let document = pem::private_key(algorithm, pem.as_ref())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_bytes())
            .map_err(|_| pem::invalid_private_key(algorithm))?;
        Ok(Self {
            verification: VerificationKey::public(algorithm, pair.public_key().as_ref())?,
            signer: Signer::P256(Arc::new(pair)),
        })
    }

    /// Names the key otherwise than by its default `kid`; see [`VerificationKey::with_key_id`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKeyId`] unless it is 1 to 64 letters, digits or `-._~`.
    pub fn with_key_id(self, kid: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { verification: self.verification.with_key_id(kid)?, ..self })
    }

    /// The key that verifies what this one signs: the same secret, or the public half.
    pub fn verification_key(&self) -> &VerificationKey {
        &self.verification
    }

    fn mac(verification: VerificationKey) -> Self {
        Self { verification, signer: Signer::Mac }
    }

    /// Signs; `None` when the cryptographic library fails, which it does only without randomness or memory.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.signer {
            Signer::Mac => Signature::new(self.verification.mac(message)?.as_ref()),
            Signer::Ed25519(pair) => Signature::new(pair.try_sign(message).ok()?.as_ref()),
            Signer::P256(pair) => Signature::new(pair.sign(&SystemRandom::new(), message).ok()?.as_ref()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.verification;
        write!(f, "SigningKey({}, kid {:?}, [redacted])", key.algorithm.name(), key.kid)
    }
}
