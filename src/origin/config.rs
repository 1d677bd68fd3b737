//! What the builder collects for the guards.

use std::net::{Ipv4Addr, Ipv6Addr};

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
    let (scheme, host) = (uri.scheme_str()?, host_spelled_by_browsers(uri.host()?)?);
    let default_port = if scheme == "https" { 443 } else { 80 };
    Some(match uri.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// The host serializer of the URL standard, for names that a DNS can have and for addresses.
fn host_spelled_by_browsers(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        let [.., high, low] = address.segments();
        return Some(match address.to_ipv4_mapped() {
            // Not with the dots of the standard library.
            Some(_) => format!("[::ffff:{high:x}:{low:x}]"),
            None => format!("[{address}]"),
        });
    }
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label_fits = |label: &str| !label.is_empty() && label.bytes().all(is_name_char);
    let name = host.strip_suffix('.').unwrap_or(host);
    if !name.split('.').all(label_fits) {
        return None;
    }
    // Whatever ends in a number is an address, of which there is one spelling.
    let last = name.rsplit('.').next()?;
    let is_decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match is_decimal || is_hex {
        true => host.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
        false => Some(host.to_ascii_lowercase()),
    }
}
