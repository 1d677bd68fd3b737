//! Detects that browsers drop the cookies because the pages are on plain http. Otherwise users have to log in again and
//! again, and nothing fails.
//!
//! Done by the guard, which reads `Origin` anyway and stands in front of login and refresh. In the layer it would cost
//! every request.

use std::net::Ipv4Addr;

use http::{HeaderMap, Response, header};

use crate::{
    cookie::{CookieSettings, WarnOnce, sets_secure_cookies},
    error::LOG_TARGET,
};

/// The warning that is due if the response to this request sets cookies.
pub(super) fn warning(cookies: &CookieSettings, headers: &HeaderMap) -> Option<WarnOnce> {
    let is_possible = cookies.secure && cookies.plain_http.is_open() && drops_secure_cookies(headers);
    is_possible.then(|| cookies.plain_http.clone())
}

/// Whether the request comes from a page that was loaded over plain http from another computer.
///
/// Browsers send `Sec-Fetch-Site` over https only (W3C Fetch Metadata, section 2). With it, the page on http calls an
/// API on https, which may set `Secure` cookies.
fn drops_secure_cookies(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.and_then(|origin| origin.strip_prefix("http://")).is_some_and(|authority| !is_local(authority))
        && !headers.contains_key("sec-fetch-site")
}

/// Whether browsers trust the host without https (W3C Secure Contexts, section 3.1).
fn is_local(authority: &str) -> bool {
    if authority.starts_with('[') {
        return authority.starts_with("[::1]");
    }
    let host = authority.split(':').next().unwrap_or_default();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// Logs the warning if this response sets cookies.
pub(super) fn log<B>(response: &Response<B>, warning: &WarnOnce) {
    if sets_secure_cookies(response) && warning.is_due() {
        tracing::warn!(
            target: LOG_TARGET,
            "browsers drop Secure session cookies on plain http: use https, or insecure_http_for_development()"
        );
    }
}
