//! Origins as browsers serialize them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Serializes an origin of `http` or `https` as browsers do: in lower case, without the default port of the scheme,
/// addresses in their canonical form (URL standard). `None` if the authority is not a host with an optional port.
///
/// Two authorities of a scheme are the same origin if and only if their serializations are equal.
pub(super) fn serialized(scheme: &str, authority: &str) -> Option<String> {
    let (host, port) = host_and_port(authority)?;
    let host = serialized_host(host)?;
    let default_port = if scheme == "https" { 443 } else { 80 };
    Some(match port.filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// Whether this is the origin of an app or extension: `capacitor://localhost`, `moz-extension://…`.
///
/// Serialization of the host depends on the scheme, so none is required, and there is no default port.
pub(super) fn is_app_scheme_origin(scheme: &str, authority: &str) -> bool {
    let scheme_fits = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    // The special schemes of the URL standard: those of pages, and those without an origin.
    let is_special = matches!(scheme, "ftp" | "file" | "http" | "https" | "ws" | "wss");
    let Some((host, port)) = host_and_port(authority) else { return false };
    // No empty port and no leading zeros.
    let port_fits = port.is_none_or(|port| authority.ends_with(&format!(":{port}"))) && !authority.ends_with(':');
    scheme_fits && !is_special && port_fits && (is_name(host) || address(host).is_some())
}

/// Splits an authority without a user into host and port (RFC 3986, section 3.2). An empty port is none.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    match (is_port, port) {
        (true, "") => Some((host, None)),
        (true, port) => Some((host, Some(port.parse().ok()?))),
        (false, _) => None,
    }
}

/// The host serializer of the URL standard, for addresses and for names that can be in the DNS.
fn serialized_host(host: &str) -> Option<String> {
    if let Some(address) = address(host) {
        let [.., high, low] = address.segments();
        return Some(match address.to_ipv4_mapped() {
            // The standard library writes dots here.
            Some(_) => format!("[::ffff:{high:x}:{low:x}]"),
            None => format!("[{address}]"),
        });
    }
    if !is_name(host) {
        return None;
    }
    // A host whose last label is a number is an IPv4 address, and must be in its canonical form.
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next()?;
    let is_decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = last
        .strip_prefix("0x")
        .or_else(|| last.strip_prefix("0X"))
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match is_decimal || is_hex {
        true => host.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
        false => Some(host.to_ascii_lowercase()),
    }
}

/// An IPv6 address in brackets.
fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A name that can be in the DNS, with an optional dot at its end. With the dot it is another host.
fn is_name(host: &str) -> bool {
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label_fits = |label: &str| !label.is_empty() && label.bytes().all(is_name_char);
    host.strip_suffix('.').unwrap_or(host).split('.').all(label_fits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn serializes_as_browsers_do() {
        for (scheme, authority, expected) in [
            ("https", "h.example", Some("https://h.example")),
            ("https", "H.Example", Some("https://h.example")),
            ("https", "h.example:443", Some("https://h.example")),
            ("https", "h.example:", Some("https://h.example")),
            ("https", "h.example:0443", Some("https://h.example")),
            ("https", "h.example:80", Some("https://h.example:80")),
            ("http", "h.example:80", Some("http://h.example")),
            ("http", "h.example:443", Some("http://h.example:443")),
            ("https", "h.example.", Some("https://h.example.")),
            ("https", "h.example.:443", Some("https://h.example.")),
            ("https", "[::1]", Some("https://[::1]")),
            ("https", "[::1]:443", Some("https://[::1]")),
            ("https", "[::1]:8443", Some("https://[::1]:8443")),
            ("http", "[2001:DB8:0:0::7]:80", Some("http://[2001:db8::7]")),
            ("http", "[::ffff:192.0.2.1]", Some("http://[::ffff:c000:201]")),
            ("http", "192.0.2.1:8080", Some("http://192.0.2.1:8080")),
            ("https", "", None),
            ("https", ":443", None),
            ("https", ".", None),
            ("https", "h..example", None),
            ("https", "u@h.example", None),
            ("https", "h.example/", None),
            ("https", "h.example:443:443", None),
            ("https", "h.example:+443", None),
            ("https", "h.example:65536", None),
            ("https", "::1", None),
            ("https", "[::1", None),
            ("https", "[::1]x", None),
            ("https", "[h.example]", None),
            ("http", "127.1", None),
            ("http", "0X7F.0.0.1", None),
            ("http", "127.0.0.0X1", None),
        ] {
            assert_eq!(serialized(scheme, authority).as_deref(), expected, "{scheme} {authority}");
        }
    }

    proptest! {
        /// Otherwise comparing serializations would be no equivalence.
        #[test]
        fn serialization_is_idempotent(
            scheme in prop::sample::select(vec!["http", "https"]),
            authority in prop_oneof!["[a-zA-Z0-9.:\\[\\]@/-]{0,24}", "[A-Za-z]{1,5}(\\.[a-z]{1,4}){0,2}\\.?(:[0-9]{0,5})?"],
        ) {
            if let Some(origin) = serialized(scheme, &authority) {
                let (again, rest) = origin.split_once("://").expect("a scheme");
                prop_assert_eq!(again, scheme);
                prop_assert_eq!(serialized(scheme, rest), Some(origin.clone()));
            }
        }
    }
}
