//! Sets of keys that verify, each until its time.

use super::{jwk, verification::VerificationKey};
use crate::{
    clock::Timestamp,
    error::{ConfigError, ConfigErrorKind},
};

/// Keys that verify tokens and sign none, for services that only verify; see
/// [`Verifier::builder`](crate::Verifier::builder).
///
/// ```
/// use tower_jwt_sessions::keys::VerificationKeys;
///
/// let keys = VerificationKeys::from_jwks(
///     r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
///                  "alg":"EdDSA","use":"sig","kid":"2026-11"}]}"#,
/// )?;
/// assert_eq!(keys.key_ids().collect::<Vec<_>>(), ["2026-11"]);
/// # Ok::<(), tower_jwt_sessions::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VerificationKeys {
    keys: Vec<AcceptedKey>,
}

/// A key, and until when it verifies.
#[derive(Clone, Debug)]
pub(crate) struct AcceptedKey {
    pub(crate) key: VerificationKey,
    /// `None` when there is no limit.
    pub(crate) until: Option<Timestamp>,
}

impl AcceptedKey {
    pub(crate) fn is_accepted(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl VerificationKeys {
    /// Creates a set of one key. Prefer a public key: with a secret, a service that should only verify could also sign.
    pub fn new(key: VerificationKey) -> Self {
        Self { keys: vec![AcceptedKey { key, until: None }] }
    }

    /// Reads the public keys of a JWK set (RFC 7517) in JSON, such as the body of `GET /auth/jwks.json` of the
    /// companion router. Fetching it is the application's task.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::PrivateKey`] when the set has a secret or a private key; [`ConfigErrorKind::InvalidKey`] when
    /// it cannot be read, is empty or has two keys of one `kid`; and those of [`VerificationKey::from_jwk`].
    pub fn from_jwks(json: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let mut keys = Self { keys: Vec::new() };
        for jwk in jwk::read_set(json.as_ref())? {
            if jwk.is_private() {
                return Err(jwk.private_key_given_to_verify());
            }
            keys.add(VerificationKey::from_parsed_jwk(jwk)?, None)?;
        }
        Ok(keys)
    }

    /// Adds a key.
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKey`] when there is a key of that `kid`.
    pub fn with_key(mut self, key: VerificationKey) -> Result<Self, ConfigError> {
        self.add(key, None)?;
        Ok(self)
    }

    /// Returns the `kid` of each key.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|accepted| accepted.key.key_id())
    }

    pub(super) fn add(&mut self, key: VerificationKey, until: Option<Timestamp>) -> Result<(), ConfigError> {
        if self.key_ids().any(|kid| kid == key.key_id()) {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidKey,
                format!("duplicate key id {:?}: remove one of the keys, or name it with with_key_id", key.key_id()),
            ));
        }
        self.keys.push(AcceptedKey { key, until });
        Ok(())
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&AcceptedKey) -> bool) {
        self.keys.retain(keep);
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, AcceptedKey> {
        self.keys.iter()
    }

    /// Returns the JWK set of the public keys; `None` when there are only secrets.
    pub(super) fn public_jwks(&self) -> Option<String> {
        let keys: Vec<_> = self.iter().filter_map(|accepted| accepted.key.public_jwk()).collect();
        (!keys.is_empty()).then(|| serde_json::json!({ "keys": keys }).to_string())
    }
}
