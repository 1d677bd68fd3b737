//! What the builder collects for the guards.

use super::spelling::{is_origin_of_app, spelled_by_browsers};
use crate::error::ConfigError;

/// Settings of both guards.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardConfig {
    pub(crate) own_origin: Option<String>,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) refuses_without_origin: bool,
    pub(crate) reports_only: bool,
}

impl GuardConfig {
    /// Refuses what no browser sends as `Origin`, since it would never match.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let invalid = |origin: &&String| ConfigError::InvalidOrigin { origin: (*origin).clone() };
        let own = self.own_origin.iter().find(|origin| !is_origin_of_page(origin));
        let trusted = self.trusted_origins.iter().find(|origin| !is_origin_of_page(origin) && !is_app_origin(origin));
        own.or(trusted).as_ref().map_or(Ok(()), |origin| Err(invalid(origin)))
    }
}

/// Whether this is the origin of a page as browsers write it.
fn is_origin_of_page(origin: &str) -> bool {
    matches!(origin.split_once("://"), Some((scheme @ ("http" | "https"), authority))
        if spelled_by_browsers(scheme, authority).is_some_and(|spelling| spelling == origin))
}

/// Whether this is the origin of an application or a browser extension.
fn is_app_origin(origin: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, authority)| is_origin_of_app(scheme, authority))
}
