//! What the builder collects for the guards.

use super::origin::{is_app_scheme_origin, serialized};
use crate::error::{ConfigError, ConfigErrorKind};

/// Settings of both guards.
#[derive(Clone, Debug, Default)]
pub(crate) struct CsrfConfig {
    pub(crate) own_origin: Option<String>,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) refuses_without_origin: bool,
    pub(crate) reports_only: bool,
}

impl CsrfConfig {
    /// Refuses origins that no browser sends, since they would never match.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |origin: &str| {
            ConfigError::new(
                ConfigErrorKind::InvalidOrigin,
                format!(
                    "invalid origin {origin:?}: write scheme://host[:port] as browsers send it, in lower case, without a \
                     path, a default port or a wildcard, and with http or https as the scheme of own_origin"
                ),
            )
        };
        let own = self.own_origin.iter().find(|origin| !is_page_origin(origin));
        let trusted = self.trusted_origins.iter().find(|origin| !is_page_origin(origin) && !is_app_origin(origin));
        own.or(trusted).map_or(Ok(()), |origin| Err(invalid(origin)))
    }
}

/// Whether this is the origin of a page, as browsers send it.
fn is_page_origin(origin: &str) -> bool {
    matches!(origin.split_once("://"), Some((scheme @ ("http" | "https"), authority))
        if serialized(scheme, authority).is_some_and(|serialized| serialized == origin))
}

/// Whether this is the origin of an app or of a browser extension.
fn is_app_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| is_app_scheme_origin(scheme, authority))
}
