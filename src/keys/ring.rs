//! Keys that belong together.

use super::{SigningKey, VerificationKey};
use crate::error::ConfigError;

/// One key that signs and any number that verify.
///
/// Access and refresh tokens have a ring each, with keys of their own. To replace a key, add the new one as a
/// verification key on every node first, then sign with it, and keep the old one until the last token it signed has
/// expired.
///
/// ```
/// use tower_jwt_sessions::{KeyRing, SigningKey, VerificationKey};
///
/// let ring = KeyRing::hs256("a secret of thirty-two bytes or more")?;
/// let ring = KeyRing::new(SigningKey::hs256("a newer secret of thirty-two bytes or more")?)
///     .with_verification_key(VerificationKey::hs256("a secret of thirty-two bytes or more")?)?;
/// assert!(!format!("{ring:?}").contains("secret of"));
/// # Ok::<(), tower_jwt_sessions::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    signing: SigningKey,
    /// The signing key's own first.
    verification: Vec<VerificationKey>,
}

impl KeyRing {
    /// A ring that signs and verifies with one key.
    pub fn new(signing: SigningKey) -> Self {
        Self { verification: vec![signing.verification_key().clone()], signing }
    }

    /// A ring of one HS256 secret: [`SigningKey::hs256`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs256(secret).map(Self::new)
    }

    /// A ring of one HS384 secret: [`SigningKey::hs384`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs384(secret).map(Self::new)
    }

    /// A ring of one HS512 secret: [`SigningKey::hs512`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::SecretTooShort`].
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs512(secret).map(Self::new)
    }

    /// A ring of one Ed25519 key: [`SigningKey::eddsa_pem`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKey`].
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::eddsa_pem(pem).map(Self::new)
    }

    /// A ring of one P-256 key: [`SigningKey::es256_pem`]. For access tokens only.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKey`].
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::es256_pem(pem).map(Self::new)
    }

    /// Also accepts tokens that this key signed.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DuplicateKeyId`] when the ring has a key of that `kid`.
    pub fn with_verification_key(mut self, key: VerificationKey) -> Result<Self, ConfigError> {
        if self.verification.iter().any(|present| present.key_id() == key.key_id()) {
            return Err(ConfigError::DuplicateKeyId { kid: key.key_id().to_owned() });
        }
        self.verification.push(key);
        Ok(self)
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    pub(crate) fn verification_keys(&self) -> &[VerificationKey] {
        &self.verification
    }

    /// Whether any key of this ring is also in the other, under whatever algorithm.
    pub(crate) fn shares_a_key_with(&self, other: &Self) -> bool {
        self.verification
            .iter()
            .any(|key| other.verification.iter().any(|theirs| theirs.fingerprint == key.fingerprint))
    }

    /// Refresh tokens are issued again byte for byte, which a randomised signature cannot do.
    pub(crate) fn check_for_refresh_tokens(&self) -> Result<(), ConfigError> {
        match self.verification.iter().find(|key| !key.algorithm().is_deterministic()) {
            None => Ok(()),
            Some(key) => Err(ConfigError::UnsupportedAlgorithm {
                algorithm: key.algorithm().name(),
                cure: "its signatures are random, and refresh tokens must be repeatable; use HS256 or EdDSA for \
                       refresh_keys",
            }),
        }
    }
}
