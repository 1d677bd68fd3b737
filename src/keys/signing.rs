//! Keys that sign.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};

use super::{
    algorithm::{Algorithm, Signature},
    curves, encoding,
    jwk::{self, Jwk},
    verification::VerificationKey,
};
use crate::error::ConfigError;
#[cfg(doc)]
use crate::error::ConfigErrorKind;

/// A key that signs tokens, and verifies what it signed. Cheap to clone; `Debug` shows only algorithm and `kid`.
///
/// Buffers with decoded keys are wiped. The secret, PEM, DER or JWK that is passed in belongs to the caller: pass a
/// reference and wipe it afterwards, for example with `zeroize::Zeroizing`, where that matters.
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

impl SigningKey {
    /// Uses a secret of at least 32 bytes for HS256 (RFC 7518, section 3.2), for example from
    /// `openssl rand -base64 32`.
    ///
    /// Every byte is part of the key. Text that begins or ends with white space, such as the line break at the end of a
    /// file, is logged as a warning, since nodes that read it without have another key.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs256(secret).map(Self::mac)
    }

    /// Uses a secret of at least 48 bytes for HS384.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs384(secret).map(Self::mac)
    }

    /// Uses a secret of at least 64 bytes for HS512.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        VerificationKey::hs512(secret).map(Self::mac)
    }

    /// Reads an Ed25519 private key in PEM (`BEGIN PRIVATE KEY`), from `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::eddsa_der(encoding::private_key_from_pem(Algorithm::EdDsa, pem.as_ref())?)
    }

    /// Reads a P-256 private key in PEM (`BEGIN PRIVATE KEY`), for access tokens only.
    ///
    /// ECDSA has two signatures for each message and nonce. This crate writes and accepts only the one with the smaller
    /// s; other implementations of RFC 7515 accept both.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::es256_der(encoding::private_key_from_pem(Algorithm::Es256, pem.as_ref())?)
    }

    /// Reads an Ed25519 private key in DER (PKCS #8, RFC 8410), from `openssl genpkey -algorithm ed25519 -outform DER`.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn eddsa_der(der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let der = der.as_ref();
        let invalid = |_| encoding::invalid_private_key(Algorithm::EdDsa, der);
        Self::ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(invalid)?)
    }

    /// Reads a P-256 private key in DER (PKCS #8, RFC 5958), for access tokens only.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn es256_der(der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let der = der.as_ref();
        let invalid = |_| encoding::invalid_private_key(Algorithm::Es256, der);
        Self::p256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(invalid)?)
    }

    /// Reads a private key or a secret as JWK (RFC 7517) in JSON. `alg` is required; `kid` becomes the key's.
    ///
    /// ```
    /// use tower_jwt_sessions::keys::SigningKey;
    ///
    /// // The key of RFC 8037, appendix A.1.
    /// let key = SigningKey::from_jwk(
    ///     r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"2026-11",
    ///         "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    ///         "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    /// )?;
    /// assert_eq!(key.verification_key().key_id(), "2026-11");
    /// # Ok::<(), tower_jwt_sessions::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when it is no JWK, lacks its `alg` or its private member, has a member twice, is
    /// meant for something else (`use`, `key_ops`), or `kty`, `crv`, `alg` and the key itself disagree;
    /// [`ConfigErrorKind::WeakKey`]; [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::from_parsed_jwk(jwk::read(json.as_ref())?)
    }

    /// Replaces the default `kid`; see [`VerificationKey::with_key_id`].
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] unless it is 1 to 64 letters, digits or `-._~`.
    pub fn with_key_id(self, kid: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { verification: self.verification.with_key_id(kid)?, ..self })
    }

    /// Returns the key that verifies what this one signs: the same secret, or the public key.
    pub fn verification_key(&self) -> &VerificationKey {
        &self.verification
    }

    pub(super) fn from_parsed_jwk(jwk: Jwk<'_>) -> Result<Self, ConfigError> {
        let private = jwk.signing_material()?;
        let key = match jwk.algorithm() {
            Algorithm::EdDsa => Self::ed25519(
                Ed25519KeyPair::from_seed_and_public_key(&private, jwk.public()).map_err(|_| jwk.mismatch())?,
            )?,
            Algorithm::Es256 => Self::p256(
                EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, jwk.public())
                    .map_err(|_| jwk.mismatch())?,
            )?,
            algorithm => Self::mac(VerificationKey::secret(algorithm, &private)?),
        };
        match jwk.into_kid() {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    fn mac(verification: VerificationKey) -> Self {
        Self { verification, signer: Signer::Mac }
    }

    fn ed25519(pair: Ed25519KeyPair) -> Result<Self, ConfigError> {
        let verification = VerificationKey::public(Algorithm::EdDsa, pair.public_key().as_ref())?;
        Ok(Self { verification, signer: Signer::Ed25519(Arc::new(pair)) })
    }

    fn p256(pair: EcdsaKeyPair) -> Result<Self, ConfigError> {
        let verification = VerificationKey::public(Algorithm::Es256, pair.public_key().as_ref())?;
        Ok(Self { verification, signer: Signer::P256(Arc::new(pair)) })
    }

    /// Signs a message. Returns `None` when the cryptographic library fails, which it does only without randomness or
    /// memory.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Signature> {
        match &self.signer {
            Signer::Mac => self.verification.mac(message),
            Signer::Ed25519(pair) => Signature::new(pair.try_sign(message).ok()?.as_ref()),
            Signer::P256(pair) => {
                let mut signature = Signature::new(pair.sign(&SystemRandom::new(), message).ok()?.as_ref())?;
                curves::make_canonical_ecdsa(signature.as_mut_bytes());
                Some(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.verification;
        write!(f, "SigningKey({}, kid {:?}, [redacted])", key.algorithm.name(), key.kid)
    }
}
