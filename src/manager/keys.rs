//! Replacing keys while the node serves.

use std::sync::{Arc, MutexGuard, PoisonError};

use super::{SessionManager, key_rings::KeyRings};
use crate::{claims::Claims, error::ConfigError, event::LOG_TARGET, keys::KeyRing};

impl<C: Claims> SessionManager<C> {
    /// Returns the current keys of access tokens, without retired ones whose time is over.
    pub fn access_keys(&self) -> KeyRing {
        self.key_rings().access.clone().at(self.now())
    }

    /// Returns the current keys of refresh tokens, without retired ones whose time is over.
    pub fn refresh_keys(&self) -> KeyRing {
        self.key_rings().refresh.clone().at(self.now())
    }

    /// Replaces the keys of access tokens. No request waits, and no user is logged out when all nodes go through these
    /// steps:
    ///
    /// 1. *Publish*: every node adds the next key to those that verify. Wait until all have, and until services that
    ///    only verify have fetched the JWK set again.
    /// 2. *Activate*: every node signs with it, and keeps the old key until its last token has expired: a lifetime
    ///    after the **last** node did this. Nodes may do it at different times.
    /// 3. Nothing: old keys stop verifying by themselves.
    ///
    /// A node that restarts in between has to be built with the ring of its step: a node without a key refuses tokens
    /// that others signed with it.
    ///
    /// The algorithm may change on the way, also from a secret to a public key. A change that would log users out is
    /// refused and changes nothing. To revoke a stolen key together with all tokens that it signed, restart the nodes
    /// with a ring without it.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_jwt_sessions::{ConfigError, SessionManager, keys::SigningKey};
    ///
    /// fn publish(sessions: &SessionManager, next: &SigningKey) -> Result<(), ConfigError> {
    ///     let ring = sessions.access_keys().with_verification_key(next.verification_key().clone())?;
    ///     sessions.replace_access_keys(ring)
    /// }
    ///
    /// /// When every node has published. An hour for the tokens, and another for the nodes to follow.
    /// fn activate(sessions: &SessionManager, next: SigningKey) -> Result<(), ConfigError> {
    ///     let ring = sessions.access_keys().activate(next, SystemTime::now() + Duration::from_secs(2 * 60 * 60))?;
    ///     sessions.replace_access_keys(ring)
    /// }
    /// # let _ = (publish, activate);
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigErrorKind::InvalidKeyChange`](crate::error::ConfigErrorKind::InvalidKeyChange) when this node did not
    /// verify with the new signing key before, or when a key would go before its last token: it has to stay for
    /// `max_access_lifetime` and [`MAX_CLOCK_SKEW`](crate::policy::MAX_CLOCK_SKEW);
    /// [`ConfigErrorKind::SharedKey`](crate::error::ConfigErrorKind::SharedKey).
    pub fn replace_access_keys(&self, ring: KeyRing) -> Result<(), ConfigError> {
        let mut current = self.key_rings();
        let now = self.now();
        current.access.check_change_to(&ring, now, self.inner.lifetimes.access_key_overlap())?;
        *current = KeyRings::new(ring.at(now), current.refresh.clone())?;
        let codec = &self.verification().access;
        codec.store(Arc::new(codec.load().with_ring(&current.access)));
        log("access", &current.access);
        Ok(())
    }

    /// Replaces the keys of refresh tokens, as [`replace_access_keys`](Self::replace_access_keys) does; the
    /// overlap is the refresh lifetime and [`MAX_CLOCK_SKEW`](crate::policy::MAX_CLOCK_SKEW). Sessions stay at their
    /// generation: a refresh token that is issued again is that of the same generation, under the new key.
    ///
    /// # Errors
    ///
    /// Those of [`replace_access_keys`](Self::replace_access_keys);
    /// [`ConfigErrorKind::UnsupportedAlgorithm`](crate::error::ConfigErrorKind::UnsupportedAlgorithm) for ES256.
    pub fn replace_refresh_keys(&self, ring: KeyRing) -> Result<(), ConfigError> {
        let mut current = self.key_rings();
        let now = self.now();
        current.refresh.check_change_to(&ring, now, self.inner.lifetimes.refresh_key_overlap())?;
        *current = KeyRings::new(current.access.clone(), ring.at(now))?;
        let codec = &self.verification().refresh;
        codec.store(Arc::new(codec.load().with_ring(&current.refresh)));
        log("refresh", &current.refresh);
        Ok(())
    }

    fn key_rings(&self) -> MutexGuard<'_, KeyRings> {
        // The rings are replaced as a whole, so a panic leaves one or the other.
        self.inner.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A `kid` has no character that could forge a line, and no key is printed.
fn log(kind: &'static str, ring: &KeyRing) {
    let signing = ring.signing_key().verification_key().key_id();
    let verifying: Vec<_> = ring.verification_keys().key_ids().collect();
    tracing::info!(target: LOG_TARGET, kind, signing, ?verifying, "keys replaced");
}
