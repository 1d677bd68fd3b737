//! Which requests come from another site.
//!
//! The rules of Go's `CrossOriginProtection`, some of them stricter: see [`CrossSiteGuard`](super::CrossSiteGuard).

use http::{HeaderMap, Uri};

use super::origin::serialized;
use crate::{cookie::CookieSettings, credentials::session_cookies};

/// What the headers of a request are compared with.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) own_origin: Option<String>,
    pub(super) trusted_origins: Vec<String>,
    pub(super) refuses_without_origin: bool,
    pub(super) cookies: CookieSettings,
}

impl Rules {
    /// Decides on a request, whatever its method. The error is the reason, for the log.
    pub(super) fn decide(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), &'static str> {
        // Otherwise the sender could choose which of two values counts.
        let (Ok(site), Ok(origin), Ok(host)) =
            (single(headers, "sec-fetch-site"), single(headers, "origin"), single(headers, "host"))
        else {
            return Err("Sec-Fetch-Site, Origin or Host is duplicated");
        };
        if self.trusted_origins.iter().any(|trusted| trusted.as_bytes() == origin) {
            return Ok(());
        }
        let is_own = self.own_origin.as_ref().map(|own| own.as_bytes() == origin);
        match (site, is_own) {
            (b"same-origin" | b"none", _) => return Ok(()),
            (b"", _) => {}
            // `Sec-Fetch-Site` takes precedence over `Origin`.
            (_, Some(true)) => return Err("Sec-Fetch-Site and Origin contradict each other"),
            (_, Some(false) | None) => return Err("Sec-Fetch-Site names another site"),
        }
        if origin.is_empty() {
            let is_from_browser = || session_cookies(headers, &self.cookies).next().is_some();
            return match self.refuses_without_origin && is_from_browser() {
                true => Err("Sec-Fetch-Site and Origin are missing"),
                false => Ok(()),
            };
        }
        match is_own {
            Some(true) => Ok(()),
            Some(false) => Err("Origin is not own_origin"),
            // An authority in the target takes the place of `Host`, as in HTTP/2 (RFC 9112, section 3.2.2).
            None => match names_host(origin, uri.authority().map_or(host, |authority| authority.as_str().as_bytes())) {
                true => Ok(()),
                false => Err("Origin does not match Host"),
            },
        }
    }
}

impl Rules {
    /// Whether a page of the own origin certainly sent the request.
    pub(super) fn is_same_origin(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        // Without either header nothing is certain, and a trusted origin is another one.
        let says = |name: &str| single(headers, name).is_ok_and(|value| !value.is_empty());
        match single(headers, "sec-fetch-site") {
            Ok(b"same-origin") => true,
            Ok(b"") => says("origin") && !self.is_trusted(headers) && self.decide(uri, headers).is_ok(),
            _ => false,
        }
    }

    fn is_trusted(&self, headers: &HeaderMap) -> bool {
        let origin = headers.get("origin").map_or(&b""[..], |origin| origin.as_bytes());
        self.trusted_origins.iter().any(|trusted| trusted.as_bytes() == origin)
    }
}

/// Whether the page of this origin was loaded from this host and port.
///
/// `Host` has no scheme, so that of the origin says which port may be left out. Whether the service has that scheme is
/// not known, which is why there is `own_origin`.
fn names_host(origin: &[u8], host: &[u8]) -> bool {
    let (Ok(origin), Ok(host)) = (std::str::from_utf8(origin), std::str::from_utf8(host)) else { return false };
    let Some((scheme @ ("http" | "https"), authority)) = origin.split_once("://") else { return false };
    serialized(scheme, authority).is_some_and(|origin| serialized(scheme, host).is_some_and(|host| host == origin))
}

/// The value of a header; empty if it is missing, an error if there is more than one.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h [u8], ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(b""),
        (Some(only), None) => Ok(only.as_bytes()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::HeaderName};

    use super::*;
    use crate::cookie::CookieConfig;

    const OWN: &str = "https://app.example";
    const TRUSTED: [&str; 2] = ["https://www.example", "capacitor://localhost"];

    fn rules(own_origin: Option<&str>, refuses_without_origin: bool) -> Rules {
        Rules {
            own_origin: own_origin.map(str::to_owned),
            trusted_origins: TRUSTED.map(str::to_owned).to_vec(),
            refuses_without_origin,
            cookies: CookieConfig::new().validate().unwrap(),
        }
    }

    fn decide(rules: &Rules, headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(header) {
            map.append(name, value);
        }
        rules.decide(&Uri::from_static("/login"), &map)
    }

    /// Each row: `Sec-Fetch-Site`, `Origin`, and what is decided on a request to `app.example` without `own_origin` and
    /// with it.
    #[test]
    fn decides_by_the_table() {
        const SITE: Result<(), &str> = Err("Sec-Fetch-Site names another site");
        const BOTH: Result<(), &str> = Err("Sec-Fetch-Site and Origin contradict each other");
        const HOST: Result<(), &str> = Err("Origin does not match Host");
        const OTHER: Result<(), &str> = Err("Origin is not own_origin");
        let (unknown, known) = (rules(None, false), rules(Some(OWN), false));
        for (site, origin, without_own, with_own) in [
            // The browser says where the request comes from.
            ("same-origin", "", Ok(()), Ok(())),
            ("none", "", Ok(()), Ok(())),
            ("same-origin", "https://evil.example", Ok(()), Ok(())),
            ("same-site", "", SITE, SITE),
            ("cross-site", "https://evil.example", SITE, SITE),
            ("SAME-ORIGIN", "", SITE, SITE),
            ("cross-site", OWN, SITE, BOTH),
            // A trusted origin passes whatever the browser says.
            ("cross-site", TRUSTED[0], Ok(()), Ok(())),
            ("cross-site", TRUSTED[1], Ok(()), Ok(())),
            ("", TRUSTED[1], Ok(()), Ok(())),
            ("cross-site", "capacitor://localhost:80", SITE, SITE),
            ("", "capacitor://app.example", HOST, OTHER),
            ("", "CAPACITOR://localhost", HOST, OTHER),
            // It does not say; then the Origin counts.
            ("", "", Ok(()), Ok(())),
            ("", OWN, Ok(()), Ok(())),
            ("", "http://app.example", Ok(()), OTHER),
            ("", "https://app.example:8443", HOST, OTHER),
            ("", "https://evil.example", HOST, OTHER),
            ("", "null", HOST, OTHER),
            ("", "https://app.example.", HOST, OTHER),
            ("", "https://app.example/", HOST, OTHER),
            ("", "https://evil@app.example", HOST, OTHER),
        ] {
            let headers = [("host", "app.example"), ("sec-fetch-site", site), ("origin", origin)];
            assert_eq!(decide(&unknown, &headers), without_own, "{site} {origin}");
            assert_eq!(decide(&known, &headers), with_own, "{site} {origin}, own_origin");
        }
    }

    #[test]
    fn refuses_duplicated_headers() {
        for name in ["sec-fetch-site", "origin", "host"] {
            for value in ["", "same-origin", OWN, TRUSTED[0]] {
                let decided = decide(&rules(None, false), &[(name, value), (name, value)]);
                assert_eq!(decided, Err("Sec-Fetch-Site, Origin or Host is duplicated"), "{name}: {value}");
            }
        }
    }

    #[test]
    fn refuse_without_origin_applies_to_requests_with_session_cookies() {
        const MISSING: Result<(), &str> = Err("Sec-Fetch-Site and Origin are missing");
        for (cookie, decided) in [("__Host-access=x", MISSING), ("__Host-refresh=x", MISSING), ("theme=dark", Ok(()))] {
            assert_eq!(decide(&rules(None, true), &[("cookie", cookie)]), decided, "{cookie}");
            assert_eq!(decide(&rules(None, false), &[("cookie", cookie)]), Ok(()), "{cookie}");
        }
    }
}
