//! Which ring may follow which, so that nobody is logged out.

use std::time::Duration;

use super::{KeyRing, VerificationKey, set::AcceptedKey};
use crate::{clock::Timestamp, error::ConfigError};

impl KeyRing {
    /// Checks that a node that serves with this ring may go on with another.
    ///
    /// The new signing key must be one that verifies already. And whatever verifies now must go on doing so for the
    /// overlap, since some node may sign with it until now; a key that is retiring already, until its time.
    pub(crate) fn check_change_to(&self, new: &Self, now: Timestamp, overlap: Duration) -> Result<(), ConfigError> {
        let signing = new.signing_key().verification_key();
        if !self.find(signing).is_some_and(|accepted| accepted.is_accepted(now)) {
            return Err(ConfigError::KeyNotPublished { kid: signing.key_id().to_owned() });
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
                return Err(ConfigError::OverlapTooShort {
                    kid: current.key.key_id().to_owned(),
                    overlap: kept.since(now),
                    min: needed.since(now),
                });
            }
        }
        Ok(())
    }

    fn find(&self, key: &VerificationKey) -> Option<&AcceptedKey> {
        self.verification_keys().iter().find(|accepted| accepted.key.is_same(key))
    }
}
