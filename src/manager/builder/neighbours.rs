//! Checks that managers on one origin keep apart.

use crate::{
    cookie::CookieSettings,
    error::{ConfigError, ConfigErrorKind},
    manager::SessionManager,
    store::Population,
};

/// What managers on one origin must not have in common.
#[derive(Clone)]
pub(in crate::manager) struct Neighbour {
    population: Population,
    cookies: CookieSettings,
}

impl Neighbour {
    pub(super) const fn new(population: Population, cookies: CookieSettings) -> Self {
        Self { population, cookies }
    }

    pub(super) fn of<C>(manager: &SessionManager<C>) -> Self {
        let population = manager.inner.backend.population();
        Self::new(population, manager.inner.verifier.inner().sources.cookies.clone())
    }

    /// Refuses another manager whose cookies would overwrite those of this one, or whose sessions are the same.
    pub(super) fn check(&self, other: &Self) -> Result<(), ConfigError> {
        if let Some(name) = self.cookies.name_shared_with(&other.cookies) {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidCookie,
                format!(
                    "both managers of this origin have a cookie {name}, so that a login with one is a logout of the \
                     other: give this one names of its own, such as CookieConfig::new().names(\"staff-access\", \
                     \"staff-refresh\")"
                ),
            ));
        }
        if self.population == other.population {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidOption,
                "both managers of this origin have the same issuer and audience, so that each accepts the tokens of the \
                 other: give this one an audience(..) of its own",
            ));
        }
        Ok(())
    }
}
