//! Where a login leads to: a path of this site, whatever the request says.

use std::{borrow::Cow, convert::Infallible, fmt};

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, Uri, header, request::Parts};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The path on this site that a browser goes to after the login. `/` for everything that might lead elsewhere.
///
/// As an extractor it reads the parameter `next` of the query, and never rejects a request. In a form it is a field that
/// serde reads; give it `#[serde(default)]`. As a response it is `303 See Other`, also as `(cookies, next)`.
///
/// A value that is accepted begins with a single `/` and has no second one beside another in its path, no backslash, no
/// control character, no encoded slash or backslash that could become a second slash at the beginning, and at most 2048
/// bytes as it is sent, so browsers find no other host in it. Query and fragment are kept. Spaces, quotes, angle brackets
/// and all that is not ASCII are percent-encoded: the path is a valid `Location`, and an attribute of HTML can hold it in
/// quotes.
///
/// ```
/// use tower_jwt_sessions::pages::NextPath;
///
/// assert_eq!(NextPath::new("/notes?page=2").as_str(), "/notes?page=2");
/// assert_eq!(NextPath::new("https://evil.example/").as_str(), "/");
/// assert_eq!(NextPath::new("//evil.example/").or("/dashboard").as_str(), "/dashboard");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct NextPath(Cow<'static, str>);

/// Longer ones are not needed, and a `Location` has to fit into the header limits of proxies.
const MAX_LEN: usize = 2048;

impl NextPath {
    /// Reads a value that anyone may have sent.
    pub fn new(value: &str) -> Self {
        Self::checked(value).map(|path| Self(path.into())).unwrap_or_default()
    }

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns another path in place of `/`, which stands for a missing and for a refused value, too.
    pub fn or(self, fallback: &str) -> Self {
        match &*self.0 {
            "/" => Self::new(fallback),
            _ => self,
        }
    }

    /// Returns a value that stays on this site, with the characters encoded that no URL has.
    pub(super) fn checked(value: &str) -> Option<String> {
        if value.len() > MAX_LEN || value.contains('\\') || value.chars().any(char::is_control) {
            return None;
        }
        let path = value.split(['?', '#']).next()?;
        let rest = path.strip_prefix('/')?;
        // `//` begins a host. Within a path, browsers keep it, but what removes dot segments before it may not.
        if path.contains("//") || decodes_to_a_host(rest) {
            return None;
        }
        let mut text = String::with_capacity(value.len());
        for byte in value.bytes() {
            match byte {
                b' ' | b'"' | b'\'' | b'<' | b'>' | b'`' | b'{' | b'|' | b'}' | b'^' | 0x80.. => {
                    push_encoded(&mut text, byte);
                }
                _ => text.push(char::from(byte)),
            }
        }
        (text.len() <= MAX_LEN).then_some(text)
    }

    /// Takes a path that the application configures, which has to be written as it is sent.
    #[cfg(feature = "router")]
    pub(crate) fn configured(path: String) -> Option<Self> {
        (Self::checked(&path)? == path).then(|| Self(path.into()))
    }

    /// Reads the parameter `next`; `None` if it is missing. If there are two of them, neither counts.
    pub(crate) fn in_query(uri: &Uri) -> Option<Self> {
        let query = uri.query()?;
        let mut found = query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name)? == "next").then_some(value)
        });
        match (found.next(), found.next()) {
            (None, _) => None,
            (Some(value), None) => Some(decoded(value).map(|value| Self::new(&value)).unwrap_or_default()),
            (Some(_), Some(_)) => Some(Self::default()),
        }
    }
}

/// Whether the path, here without its first slash, begins with `//` after a server or proxy has decoded it once more, and
/// something has removed its dot segments: browsers do that to `/./` and `/%2e/` before.
fn decodes_to_a_host(rest: &str) -> bool {
    let rest = rest.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
        // In whatever order the two happen, an empty segment at the beginning is not the last one.
        if kept.first().is_some_and(|first| first.is_empty()) && segments.peek().is_some() {
            return true;
        }
    }
    false
}

pub(super) fn push_encoded(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    text.push('%');
    text.extend([byte >> 4, byte & 15].iter().filter_map(|digit| DIGITS.get(usize::from(*digit))));
}

/// Decodes a name or value of `application/x-www-form-urlencoded`; `None` if it is not UTF-8.
fn decoded(text: &str) -> Option<String> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        let ahead = rest.as_slice();
        found.push(match (byte, digit(ahead.first()), digit(ahead.get(1))) {
            (b'+', ..) => b' ',
            (b'%', Some(high), Some(low)) => {
                rest.nth(1);
                u8::try_from(high * 16 + low).ok()?
            }
            _ => *byte,
        });
    }
    String::from_utf8(found).ok()
}

/// The root of this site.
impl Default for NextPath {
    fn default() -> Self {
        Self(Cow::Borrowed("/"))
    }
}

impl fmt::Display for NextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for NextPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for NextPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Every text is accepted; what leads elsewhere becomes `/`.
impl<'de> Deserialize<'de> for NextPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&Cow::<'_, str>::deserialize(deserializer)?))
    }
}

/// Reads the parameter `next` of the query. Never rejects.
impl<S: Send + Sync> FromRequestParts<S> for NextPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::in_query(&parts.uri).unwrap_or_default())
    }
}

/// Answers `303 See Other`, after which browsers ask for the path with `GET`.
impl IntoResponse for NextPath {
    fn into_response(self) -> Response {
        see_other(HeaderValue::try_from(&*self.0).unwrap_or(HeaderValue::from_static("/")))
    }
}

/// A redirect after which browsers use `GET`, whatever the method was (RFC 9110, section 15.4.4).
pub(crate) fn see_other(location: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
