//! Keys that verify.

use std::{fmt, sync::Arc};

use aws_lc_rs::signature;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{
    algorithm::{Algorithm, Signature},
    curves, encoding,
    jwk::{self, Jwk},
    secret::{self, MacKey},
};
use crate::error::{ConfigError, ConfigErrorKind};

/// A key that verifies tokens: a secret, or a public key. Cheap to clone; `Debug` shows only algorithm and `kid`.
///
/// A [`KeyRing`](super::KeyRing) also holds the previous keys, so that tokens signed with them stay valid until they
/// expire.
#[derive(Clone)]
pub struct VerificationKey {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Arc<str>,
    pub(super) fingerprint: Fingerprint,
    check: Arc<Check>,
}

enum Check {
    Mac(Box<MacKey>),
    Signature(signature::ParsedPublicKey),
}

impl VerificationKey {
    /// Uses a secret of at least 32 bytes for HS256 (RFC 7518, section 3.2).
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(Algorithm::Hs256, secret.as_ref())
    }

    /// Uses a secret of at least 48 bytes for HS384.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(Algorithm::Hs384, secret.as_ref())
    }

    /// Uses a secret of at least 64 bytes for HS512.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::secret(Algorithm::Hs512, secret.as_ref())
    }

    /// Reads an Ed25519 public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::WeakKey`] for a point of small order,
    /// [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::public(Algorithm::EdDsa, &encoding::public_key_from_pem(Algorithm::EdDsa, pem.as_ref())?)
    }

    /// Reads a P-256 public key in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::public(Algorithm::Es256, &encoding::public_key_from_pem(Algorithm::Es256, pem.as_ref())?)
    }

    /// Reads an Ed25519 public key in DER (SubjectPublicKeyInfo, RFC 8410), or its 32 raw bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::WeakKey`] for a point of small order,
    /// [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn eddsa_der(der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::public(Algorithm::EdDsa, encoding::public_key_from_der(Algorithm::EdDsa, der.as_ref())?)
    }

    /// Reads a P-256 public key in DER (SubjectPublicKeyInfo, RFC 5480), or the 65 bytes of its uncompressed point.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn es256_der(der: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::public(Algorithm::Es256, encoding::public_key_from_der(Algorithm::Es256, der.as_ref())?)
    }

    /// Reads a public key or a secret as JWK (RFC 7517) in JSON. `alg` is required; `kid` becomes the key's.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::PrivateKey`] for a private key; [`ConfigErrorKind::InvalidKey`] when it is no JWK, lacks its
    /// `alg`, has a member twice, is meant for something else (`use`, `key_ops`), or `kty`, `crv`, `alg` and the key
    /// itself disagree; [`ConfigErrorKind::WeakKey`]; [`ConfigErrorKind::UnsupportedAlgorithm`] for an RSA key.
    pub fn from_jwk(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::from_parsed_jwk(jwk::read(json.as_ref())?)
    }

    /// Replaces the default `kid`, which is an HMAC made with a secret, and the JWK thumbprint (RFC 7638) of a public
    /// key. All nodes must use the same.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] unless it is 1 to 64 letters, digits or `-._~`.
    pub fn with_key_id(self, kid: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { kid: checked_key_id(kid.into())?.into(), ..self })
    }

    pub(super) fn from_parsed_jwk(jwk: Jwk<'_>) -> Result<Self, ConfigError> {
        let (algorithm, material) = (jwk.algorithm(), jwk.verification_material()?);
        let key = match algorithm.public_len() {
            None => Self::secret(algorithm, &material)?,
            Some(_) => Self::public(algorithm, &material)?,
        };
        match jwk.into_kid() {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    pub(super) fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, ConfigError> {
        let mac_key = MacKey::new(algorithm, secret)?;
        let identity = secret::Identity::of(algorithm, secret)?;
        secret::warn_of_white_space(secret, &identity.kid);
        Ok(Self {
            algorithm,
            kid: identity.kid.into(),
            fingerprint: identity.fingerprint,
            check: Arc::new(Check::Mac(Box::new(mac_key))),
        })
    }

    pub(super) fn public(algorithm: Algorithm, public: &[u8]) -> Result<Self, ConfigError> {
        let scheme: &'static dyn signature::VerificationAlgorithm = match algorithm {
            Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            _ => &signature::ED25519,
        };
        // The length first: compressed points would be accepted, too, and get another kid.
        let key = (Some(public.len()) == algorithm.public_len())
            .then(|| signature::ParsedPublicKey::new(scheme, public).ok())
            .flatten()
            .ok_or_else(|| encoding::invalid_public_key(algorithm, public))?;
        if let (Algorithm::EdDsa, Ok(public)) = (algorithm, public.try_into()) {
            curves::check_ed25519(public)?;
        }
        Ok(Self {
            algorithm,
            kid: jwk::thumbprint(algorithm, public).into(),
            fingerprint: Sha256::digest(public).into(),
            check: Arc::new(Check::Signature(key)),
        })
    }

    /// Whether `signature` is this key's over `message`; in constant time for a secret.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &*self.check {
            Check::Mac(key) => key.verifies(message, signature),
            Check::Signature(key) => {
                let is_canonical = match self.algorithm {
                    Algorithm::Es256 => curves::is_canonical_ecdsa(signature),
                    _ => true,
                };
                is_canonical && key.verify_sig(message, signature).is_ok()
            }
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the public key as JWK; `None` for a secret, which is never published.
    pub(super) fn public_jwk(&self) -> Option<Value> {
        match &*self.check {
            Check::Mac(_) => None,
            Check::Signature(key) => Some(jwk::write(self.algorithm, key.as_ref(), &self.kid)),
        }
    }

    /// Whether both accept the same tokens.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.kid == other.kid && self.fingerprint == other.fingerprint
    }

    /// Returns the `kid`.
    pub fn key_id(&self) -> &str {
        &self.kid
    }

    pub(super) fn mac(&self, message: &[u8]) -> Option<Signature> {
        match &*self.check {
            Check::Mac(key) => key.sign(message),
            Check::Signature(_) => None,
        }
    }
}

/// A `kid` is part of every header and of log lines, so it is short and has no characters that need escaping.
fn checked_key_id(kid: String) -> Result<String, ConfigError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match kid.len() {
        1..=64 if kid.bytes().all(allowed) => Ok(kid),
        _ => Err(ConfigError::new(
            ConfigErrorKind::InvalidKey,
            format!("invalid key id {kid:?}: use 1 to 64 letters, digits or -._~"),
        )),
    }
}

/// Identifies key material without revealing it, to find the same secret in two rings.
type Fingerprint = [u8; 32];

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({}, kid {:?}, [redacted])", self.algorithm.name(), self.kid)
    }
}
