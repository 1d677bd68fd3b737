//! The key rings of access and refresh tokens.

use crate::{
    error::{ConfigError, ConfigErrorKind},
    keys::KeyRing,
};

/// The rings of both kinds of tokens, which share no key.
pub(super) struct KeyRings {
    pub(super) access: KeyRing,
    pub(super) refresh: KeyRing,
}

impl KeyRings {
    pub(super) fn new(access: KeyRing, refresh: KeyRing) -> Result<Self, ConfigError> {
        refresh.check_for_refresh_tokens()?;
        if access.shares_a_key_with(&refresh) {
            return Err(ConfigError::new(
                ConfigErrorKind::SharedKey,
                "access_keys and refresh_keys share a key: give each ring secrets of its own, for example from \
                 JWT_SECRET and REFRESH_SECRET",
            ));
        }
        Ok(Self { access, refresh })
    }
}
