//! How browsers tell cookies apart.

use tower_cookies::Cookie;

/// Browsers ignore longer attributes, and a cookie whose path is ignored gets that of the request (RFC 6265bis, section
/// 5.6).
pub(super) const MAX_ATTRIBUTE_LEN: usize = 1024;

/// Cookies with equal keys replace each other; all others are kept side by side (RFC 6265bis, section 5.7; CHIPS).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CookieKey {
    pub(super) name: String,
    /// `None`: this host only.
    pub(super) domain: Option<String>,
    pub(super) path: String,
    pub(super) partitioned: bool,
}

impl CookieKey {
    /// The key of a cookie that has a path.
    pub(super) fn of(cookie: &Cookie<'_>) -> Self {
        Self {
            name: cookie.name().to_owned(),
            domain: cookie.domain().map(str::to_owned),
            path: cookie.path().unwrap_or("/").to_owned(),
            partitioned: cookie.partitioned().unwrap_or_default(),
        }
    }

    /// Whether a `Set-Cookie` line concerns this cookie, parsed as browsers do: the last of several attributes of one
    /// name counts, and one that is too long is ignored.
    ///
    /// Browsers derive a missing path from the URL of the request, which is not known here: such a line matches.
    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        let mut parts = line.split(|byte| *byte == b';').map(pair);
        if parts.next().is_none_or(|(name, _)| name != self.name.as_bytes()) {
            return false;
        }
        let (mut domain, mut path, mut partitioned) = (&b""[..], &b""[..], false);
        for (name, value) in parts.filter(|(_, value)| value.len() <= MAX_ATTRIBUTE_LEN) {
            if name.eq_ignore_ascii_case(b"domain") {
                domain = value.strip_prefix(b".").unwrap_or(value);
            } else if name.eq_ignore_ascii_case(b"path") {
                path = value;
            } else if name.eq_ignore_ascii_case(b"partitioned") {
                partitioned = true;
            }
        }
        domain.eq_ignore_ascii_case(self.domain.as_deref().unwrap_or_default().as_bytes())
            && (path == self.path.as_bytes() || !path.starts_with(b"/"))
            && partitioned == self.partitioned
    }
}

/// Splits at the first equals sign.
fn pair(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|byte| *byte == b'=');
    let (name, value) = end.and_then(|end| part.split_at_checked(end)).unwrap_or((part, b""));
    (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lines_as_browsers_do() {
        let host = CookieKey { name: "a".to_owned(), domain: None, path: "/x".to_owned(), partitioned: false };
        let domain = CookieKey { domain: Some("app.test".to_owned()), ..host.clone() };
        let partitioned = CookieKey { partitioned: true, ..host.clone() };
        for (line, of_host, of_domain, of_partitioned) in [
            ("a=1; Path=/x", true, false, false),
            (" a = 1 ;path = /x ; Secure", true, false, false),
            ("a=; Path=/x; Domain=; Max-Age=0", true, false, false),
            ("a=1; Path=/x; Domain=app.test", false, true, false),
            ("a=1; Path=/x; DOMAIN=.App.Test", false, true, false),
            ("a=1; Path=/x; Domain=app.test; Domain=", true, false, false),
            ("a=1; Path=/x; Domain=www.app.test", false, false, false),
            ("a=1; Path=/y; Path=/x; Partitioned", false, false, true),
            ("a=1; Path=/x; Path=/y", false, false, false),
            ("a=1; Path=/x/", false, false, false),
            ("a=1; Path=/", false, false, false),
            // No path, or one that browsers ignore.
            ("a=1", true, false, false),
            ("a=1; Domain=app.test", false, true, false),
            ("a=1; Path=x", true, false, false),
            ("b=1; Path=/x", false, false, false),
            ("A=1; Path=/x", false, false, false),
            ("aa=1; Path=/x", false, false, false),
            ("=1; Path=/x", false, false, false),
            ("b=a=1; Path=/x", false, false, false),
        ] {
            let found = [&host, &domain, &partitioned].map(|key| key.is_in(line.as_bytes()));
            assert_eq!(found, [of_host, of_domain, of_partitioned], "{line}");
        }
        let long = format!("a=1; Path=/x; Domain={}; Path=/{}", "x".repeat(1025), "x".repeat(1024));
        assert!(host.is_in(long.as_bytes()), "attributes that are too long are ignored");
    }
}
