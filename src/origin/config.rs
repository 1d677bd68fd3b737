//! What the builder collects for the guards.

use http::Uri;

use crate::error::ConfigError;

/// Settings of both guards.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardConfig {
    pub(crate) own_origin: Option<String>,
    pub(crate) trusted_origins: Vec<String>,
    pub(crate) refuses_without_origin: bool,
    pub(crate) reports_only: bool,
}

/// Refuses what no browser sends as `Origin` although tower-http would take it, since it would never match anything: the
/// text has to be what browsers make of its scheme, host and port.
pub(super) fn check(origin: &str) -> Result<(), ConfigError> {
    match spelled_by_browsers(origin).is_some_and(|spelling| spelling == origin) {
        true => Ok(()),
        false => Err(ConfigError::InvalidOrigin { origin: origin.to_owned() }),
    }
}

fn spelled_by_browsers(origin: &str) -> Option<String> {
    let uri: Uri = origin.parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.host()?.to_ascii_lowercase());
    let default_port = if scheme == "https" { 443 } else { 80 };
    Some(match uri.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}
