//! How browsers spell origins.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The origin of `http` or `https` with this host and port as browsers write it: in lower case, without the scheme's
/// default port, each address in its one spelling (the serializers of the URL standard). `None` if the authority is not
/// a host with or without a port.
///
/// Two authorities are the same place under a scheme if and only if these spellings are equal.
pub(super) fn spelled_by_browsers(scheme: &str, authority: &str) -> Option<String> {
    let (host, port) = host_and_port(authority)?;
    let host = host_spelled_by_browsers(host)?;
    let default_port = if scheme == "https" { 443 } else { 80 };
    Some(match port.filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// Whether this is an origin of an application or extension: `capacitor://localhost`, `moz-extension://…`.
///
/// How browsers write the host depends on the scheme, so no spelling is required, and there is no default port.
pub(super) fn is_origin_of_app(scheme: &str, authority: &str) -> bool {
    let scheme_fits = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte));
    // Schemes with rules of their own in the URL standard: those of pages, and those without an origin.
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
fn host_spelled_by_browsers(host: &str) -> Option<String> {
    if let Some(address) = address(host) {
        let [.., high, low] = address.segments();
        return Some(match address.to_ipv4_mapped() {
            // The standard library would write dots here.
            Some(_) => format!("[::ffff:{high:x}:{low:x}]"),
            None => format!("[{address}]"),
        });
    }
    if !is_name(host) {
        return None;
    }
    // What ends in a number is an IPv4 address, which has one spelling.
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

/// A name that can be in the DNS. With a dot at its end it is another host.
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
    fn spells_as_browsers_do() {
        for (scheme, authority, spelled) in [
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
            assert_eq!(spelled_by_browsers(scheme, authority).as_deref(), spelled, "{scheme} {authority}");
        }
    }

    proptest! {
        /// The spelling of a spelling is itself, so that comparing spellings is an equivalence.
        #[test]
        fn spelling_again_changes_nothing(
            scheme in prop::sample::select(vec!["http", "https"]),
            authority in prop_oneof!["[a-zA-Z0-9.:\\[\\]@/-]{0,24}", "[A-Za-z]{1,5}(\\.[a-z]{1,4}){0,2}\\.?(:[0-9]{0,5})?"],
        ) {
            if let Some(spelled) = spelled_by_browsers(scheme, &authority) {
                let (again, rest) = spelled.split_once("://").expect("a scheme");
                prop_assert_eq!(again, scheme);
                prop_assert_eq!(spelled_by_browsers(scheme, rest), Some(spelled.clone()));
            }
        }
    }
}
