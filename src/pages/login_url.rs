//! Where the login is, and the way there.

use http::{HeaderMap, HeaderValue, Method, Uri, header};

use super::{Format, NextPath, is_speculative};

/// The path of the login page: valid in a `Location`, without query and fragment.
#[derive(Clone, Debug)]
pub(crate) struct LoginUrl(Box<str>);

impl LoginUrl {
    /// Returns `None` for everything but a plain path of this site.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let is_plain = NextPath::checked(path).is_some_and(|checked| checked == path) && !path.contains(['?', '#']);
        is_plain.then(|| Self(path.into()))
    }

    /// Returns where to send a request without a session; `None` if it cannot follow: it is no navigation to a page, asks
    /// for the login itself, which would never end, or is speculative. A browser drops a prefetched error and asks again
    /// when the user does; it would keep the login, which the user may not need.
    pub(crate) fn location(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
        if Format::of(headers) != Format::Html
            || is_speculative(headers)
            || has_bearer(headers)
            || uri.path() == &*self.0
        {
            return None;
        }
        // After the login a form would be gone, and its address often has no page.
        let is_page = matches!(*method, Method::GET | Method::HEAD);
        let next = uri.path_and_query().filter(|_| is_page).and_then(|own| NextPath::checked(own.as_str()));
        let location = match next {
            Some(next) => format!("{}?next={}", self.0, encoded(&next)),
            None => self.0.to_string(),
        };
        HeaderValue::try_from(location).ok()
    }
}

/// Whether a client authenticates by itself; it has no use for a form.
fn has_bearer(headers: &HeaderMap) -> bool {
    let scheme =
        |value: &HeaderValue| value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
    headers.get_all(header::AUTHORIZATION).iter().any(scheme)
}

/// Percent-encodes the value of a parameter: all but the unreserved characters (RFC 3986, section 2.3).
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 16);
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            _ => super::next_path::push_encoded(&mut text, byte),
        }
    }
    text
}
