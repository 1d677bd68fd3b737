//! Key rings: one key that signs, the keys that verify, and their rotation.

use std::time::{Duration, SystemTime};

use super::{
    jwk,
    signing::SigningKey,
    verification::VerificationKey,
    verification_keys::{AcceptedKey, VerificationKeys},
};
use crate::{
    clock::Timestamp,
    error::{ConfigError, ConfigErrorKind},
};

/// One key that signs, and any number of keys that verify.
///
/// Access and refresh tokens have a ring each, and share no key. A key passes through three states:
///
/// 1. *next*: it verifies, on all nodes, before any node signs with it: [`with_verification_key`];
/// 2. *active*: it signs: [`activate`];
/// 3. *retiring*: it verifies until the last token that it signed has expired: [`with_retiring_key`].
///
/// A ring is a value. A running node replaces its ring with
/// [`SessionManager::replace_access_keys`](crate::SessionManager::replace_access_keys), which rejects a ring that would
/// make valid tokens invalid.
///
/// A ring may hold secrets and public keys at once, which is how a service changes from one to the other.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_jwt_sessions::{KeyRing, keys::SigningKey};
///
/// let ring = KeyRing::hs256("a secret of thirty-two bytes or more")?;
/// let next = SigningKey::hs256("a newer secret of thirty-two bytes or more")?;
///
/// let published = ring.with_verification_key(next.verification_key().clone())?;
/// let active = published.activate(next, SystemTime::now() + Duration::from_secs(2 * 60 * 60))?;
/// assert!(!format!("{active:?}").contains("secret of"));
/// # Ok::<(), tower_jwt_sessions::ConfigError>(())
/// ```
///
/// [`with_verification_key`]: Self::with_verification_key
/// [`activate`]: Self::activate
/// [`with_retiring_key`]: Self::with_retiring_key
#[derive(Clone, Debug)]
pub struct KeyRing {
    signing: SigningKey,
    /// The signing key's own first.
    verification: VerificationKeys,
}

impl KeyRing {
    /// Creates a ring that signs and verifies with one key.
    pub fn new(signing: SigningKey) -> Self {
        Self { verification: VerificationKeys::new(signing.verification_key().clone()), signing }
    }

    /// Creates a ring of one HS256 secret: [`SigningKey::hs256`].
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs256(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs256(secret).map(Self::new)
    }

    /// Creates a ring of one HS384 secret: [`SigningKey::hs384`].
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs384(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs384(secret).map(Self::new)
    }

    /// Creates a ring of one HS512 secret: [`SigningKey::hs512`].
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::WeakKey`] for a secret that is shorter than the hash or all zeros.
    pub fn hs512(secret: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::hs512(secret).map(Self::new)
    }

    /// Creates a ring of one Ed25519 key: [`SigningKey::eddsa_pem`].
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`].
    pub fn eddsa_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::eddsa_pem(pem).map(Self::new)
    }

    /// Creates a ring of one P-256 key: [`SigningKey::es256_pem`]. For access tokens only.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`], [`ConfigErrorKind::UnsupportedAlgorithm`].
    pub fn es256_pem(pem: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        SigningKey::es256_pem(pem).map(Self::new)
    }

    /// Creates a ring of a JWK set (RFC 7517) in JSON. The private key or secret with the `kid` `signing_kid` signs,
    /// and all keys verify. The others may be public keys.
    ///
    /// ```
    /// use tower_jwt_sessions::KeyRing;
    ///
    /// let ring = KeyRing::from_jwks(
    ///     r#"{"keys":[{"kty":"oct","alg":"HS256","kid":"2026-11","k":"c2l4dHktZm91ciBiYXNlNjR1cmwgY2hhcmFjdGVycyBvciBtb3Jl"}]}"#,
    ///     "2026-11",
    /// )?;
    /// # let _ = ring;
    /// # Ok::<(), tower_jwt_sessions::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when no private key or secret has that `kid`, when two keys have the same, or
    /// when the set has both secrets and public keys; and those of [`SigningKey::from_jwk`].
    pub fn from_jwks(json: impl AsRef<[u8]>, signing_kid: &str) -> Result<Self, ConfigError> {
        let (mut signing, mut others) = (None, Vec::new());
        for jwk in jwk::read_set(json.as_ref())? {
            if !jwk.is_private() {
                others.push(VerificationKey::from_parsed_jwk(jwk)?);
                continue;
            }
            let key = SigningKey::from_parsed_jwk(jwk)?;
            if signing.is_none() && key.verification_key().key_id() == signing_kid {
                signing = Some(key);
            } else {
                others.push(key.verification_key().clone());
            }
        }
        let ring = Self::new(signing.ok_or_else(|| {
            ConfigError::new(
                ConfigErrorKind::InvalidKey,
                format!("no private key or secret of the set has the key id {signing_kid:?}: name one of them"),
            )
        })?);
        others.into_iter().try_fold(ring, Self::with_verification_key)
    }

    /// Adds a key that verifies without a time limit: the next key, which all nodes must have before any node signs
    /// with it.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when the ring has a key of that `kid`.
    pub fn with_verification_key(mut self, key: VerificationKey) -> Result<Self, ConfigError> {
        self.verification.add(key, None)?;
        Ok(self)
    }

    /// Adds a key that verifies until `until`, by this node's clock: a key that signed before.
    ///
    /// `until` must be at least one token lifetime after the last node stopped signing with the key.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when the ring has a key of that `kid`.
    pub fn with_retiring_key(mut self, key: VerificationKey, until: SystemTime) -> Result<Self, ConfigError> {
        self.verification.add(key, Some(until.into()))?;
        Ok(self)
    }

    /// Makes `next` the key that signs. The previous one retires: it verifies until `retire_at`, for which the same
    /// holds as for [`with_retiring_key`](Self::with_retiring_key).
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when another key of the ring has the `kid` of `next`.
    pub fn activate(mut self, next: SigningKey, retire_at: SystemTime) -> Result<Self, ConfigError> {
        let (old, next_key) = (self.signing.verification_key().clone(), next.verification_key());
        if old.is_same(next_key) {
            return Ok(self);
        }
        self.verification.retain(|accepted| !accepted.key.is_same(next_key) && !accepted.key.is_same(&old));
        let others = self.verification;
        let mut ring = Self::new(next);
        for accepted in others.iter() {
            ring.verification.add(accepted.key.clone(), accepted.until)?;
        }
        ring.with_retiring_key(old, retire_at)
    }

    /// Returns the public keys of this ring (next, active and retiring) as a JWK set (RFC 7517) in JSON, or `None` when
    /// it has only secrets.
    ///
    /// `GET jwks.json` of the companion router returns those of the access ring.
    pub fn public_jwks(&self) -> Option<String> {
        self.verification.public_jwks()
    }

    /// Removes retired keys.
    pub(crate) fn at(mut self, now: Timestamp) -> Self {
        self.verification.retain(|accepted| accepted.is_accepted(now));
        self
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    pub(crate) fn verification_keys(&self) -> &VerificationKeys {
        &self.verification
    }

    /// Whether any key of this ring is also in the other, even for another algorithm.
    pub(crate) fn shares_a_key_with(&self, other: &Self) -> bool {
        let theirs = |ours: &VerificationKey| {
            other.verification.iter().any(|accepted| accepted.key.fingerprint == ours.fingerprint)
        };
        self.verification.iter().any(|accepted| theirs(&accepted.key))
    }

    /// Checks that a running node may replace this ring with another.
    ///
    /// The new signing key must be one that verifies already. Every key that verifies now must still do so for
    /// `overlap`, since another node may be signing with it; a key that is retiring already, until its time.
    pub(crate) fn check_change_to(&self, new: &Self, now: Timestamp, overlap: Duration) -> Result<(), ConfigError> {
        let signing = new.signing_key().verification_key();
        if !self.find(signing).is_some_and(|accepted| accepted.is_accepted(now)) {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidKeyChange,
                format!(
                    "the key {:?} was not published: add it with with_verification_key on every node first",
                    signing.key_id()
                ),
            ));
        }
        for current in self.verification_keys().iter().filter(|current| current.is_accepted(now)) {
            let needed = now.saturating_add(overlap);
            let needed = current.until.map_or(needed, |until| until.min(needed));
            let kept = match new.find(&current.key) {
                Some(AcceptedKey { until: None, .. }) => continue,
                Some(AcceptedKey { until: Some(until), .. }) => *until,
                None => now,
            };
            if kept < needed {
                let (kid, overlap, min) = (current.key.key_id(), kept.since(now), needed.since(now));
                return Err(ConfigError::new(
                    ConfigErrorKind::InvalidKeyChange,
                    format!(
                        "the key {kid:?} would verify for another {overlap:?}, but tokens that it signed may live for \
                         {min:?}: keep it with with_retiring_key for that long"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Rejects keys whose signatures are randomised: refresh tokens are issued again byte for byte.
    pub(crate) fn check_for_refresh_tokens(&self) -> Result<(), ConfigError> {
        match self.verification.iter().find(|accepted| !accepted.key.algorithm().is_deterministic()) {
            None => Ok(()),
            Some(accepted) => Err(ConfigError::new(
                ConfigErrorKind::UnsupportedAlgorithm,
                format!(
                    "unsupported algorithm {} for refresh_keys, since its signatures are random and refresh tokens must \
                     be repeatable: use HS256 or EdDSA",
                    accepted.key.algorithm().name()
                ),
            )),
        }
    }

    fn find(&self, key: &VerificationKey) -> Option<&AcceptedKey> {
        self.verification_keys().iter().find(|accepted| accepted.key.is_same(key))
    }
}
