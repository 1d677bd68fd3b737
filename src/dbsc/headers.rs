//! The headers of the protocol.

use http::{HeaderMap, HeaderName, HeaderValue};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    event::SkipReason,
    id::{SessionId, short_digest},
};

pub(crate) const REGISTRATION_HEADER: HeaderName = HeaderName::from_static("secure-session-registration");
pub(crate) const CHALLENGE_HEADER: HeaderName = HeaderName::from_static("secure-session-challenge");
pub(crate) const RESPONSE_HEADER: HeaderName = HeaderName::from_static("secure-session-response");
pub(crate) const SESSION_ID_HEADER: HeaderName = HeaderName::from_static("sec-secure-session-id");
pub(crate) const SKIPPED_HEADER: HeaderName = HeaderName::from_static("secure-session-skipped");

/// How often a header is there, and its value if that is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single<'h> {
    Absent,
    One(&'h [u8]),
    Several,
}

/// Returns the only value of a header.
pub(crate) fn single(headers: &HeaderMap, name: HeaderName) -> Single<'_> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(only), None) => Single::One(only.as_bytes()),
        _ => Single::Several,
    }
}

/// Removes the quotes of a string (RFC 9651, section 3.3.3), which the draft demands and browsers leave out.
pub(crate) fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// Returns the name of a session in this protocol. Browsers show it to pages, so it is a digest of the identifier.
pub(crate) fn identifier(session: SessionId) -> String {
    let digest: [u8; 16] = short_digest("tower-jwt-sessions dbsc session v1", [&session.as_bytes()[..]]);
    URL_SAFE_NO_PAD.encode(digest)
}

/// Returns the offer to register a key at this path. Path and challenge have no character that needs escaping.
pub(crate) fn offer(path: &str, challenge: &str) -> Option<HeaderValue> {
    sensitive(format!(r#"(ES256);path="{path}";challenge="{challenge}""#))
}

/// Returns the next challenge of a session.
pub(crate) fn challenge_header(session: SessionId, challenge: &str) -> Option<HeaderValue> {
    sensitive(format!(r#""{challenge}";id="{}""#, identifier(session)))
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns why the browser has sent a request without refreshing first, if it says so.
pub(crate) fn skip_reason(headers: &HeaderMap) -> Option<SkipReason> {
    let Single::One(value) = single(headers, SKIPPED_HEADER) else { return None };
    let reason = value.split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default().trim_ascii();
    Some(match reason {
        b"quota_exceeded" => SkipReason::QuotaExceeded,
        b"unreachable" => SkipReason::Unreachable,
        b"server_error" => SkipReason::ServerError,
        _ => SkipReason::Other,
    })
}
