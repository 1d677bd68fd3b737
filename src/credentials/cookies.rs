//! Reads the two session cookies from raw headers.
//!
//! Deliberately not a cookie jar. Names are compared byte for byte and never percent-decoded (RFC 6265bis, section
//! 5.6), only space and tab are trimmed, a broken or non-ASCII sibling does not hide them (section 6.1), and a name
//! that is there twice counts as unusable, since the order says nothing about who set it (section 8.6).

#[cfg(feature = "router")]
use http::HeaderValue;
use http::{HeaderMap, header};

use crate::cookie::{CookieSettings, TokenCookie};

/// What was found under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurrence<'h> {
    Absent,
    One(&'h [u8]),
    /// More than one, whatever the values.
    Several,
}

impl<'h> Occurrence<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    pub(crate) const fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The tokens in the headers of a request, not verified.
#[derive(Clone, Copy)]
pub(crate) struct RawTokens<'h> {
    pub(crate) access: Occurrence<'h>,
    pub(crate) refresh: Occurrence<'h>,
}

impl<'h> RawTokens<'h> {
    /// Whether there is nothing to verify.
    pub(crate) const fn are_absent(self) -> bool {
        self.access.is_absent() && self.refresh.is_absent()
    }

    pub(crate) fn from_cookies(headers: &'h HeaderMap, plan: &CookieSettings) -> Self {
        let mut found = Self { access: Occurrence::Absent, refresh: Occurrence::Absent };
        // Not a `for` loop: that would leave and enter the nested iterator for each cookie.
        all_pairs(headers).for_each(|pair| match token_cookie(plan, pair) {
            Some((TokenCookie::Access, value)) => found.access.add(value),
            Some((TokenCookie::Refresh, value)) => found.refresh.add(value),
            None => {}
        });
        found
    }
}

/// Returns every session cookie, however many there are.
pub(crate) fn session_cookies<'h>(
    headers: &'h HeaderMap,
    plan: &CookieSettings,
) -> impl Iterator<Item = (TokenCookie, &'h [u8])> {
    all_pairs(headers).filter_map(|pair| token_cookie(plan, pair))
}

/// Puts this access token into the `Cookie` header, in place of the one that may be there.
#[cfg(feature = "router")]
pub(crate) fn replace_access_cookie(headers: &mut HeaderMap, plan: &CookieSettings, token: &str) {
    let mut line = Vec::new();
    for pair in all_pairs(headers).map(trim) {
        let is_access = matches!(token_cookie(plan, pair), Some((TokenCookie::Access, _)));
        if !is_access && !pair.is_empty() {
            line.extend_from_slice(pair);
            line.extend_from_slice(b"; ");
        }
    }
    line.extend([plan.access_name.as_bytes(), b"=", token.as_bytes()].into_iter().flatten());
    // Always valid: it consists of parts of such lines. If not, the request would stay as it is.
    if let Ok(mut line) = HeaderValue::from_bytes(&line) {
        line.set_sensitive(true);
        headers.insert(header::COOKIE, line);
    }
}

/// The most values under one name that are looked at: one for each scope that the cookie may have had, and some to
/// spare. Each may be a token whose signature has to be checked, and name a session whose end is a step of the store.
pub(crate) const MAX_VALUES: usize = 4;

/// Returns every session cookie; `None` when there are more than [`MAX_VALUES`] of one name.
pub(crate) fn bounded_session_cookies<'h>(
    headers: &'h HeaderMap,
    plan: &CookieSettings,
) -> Option<Vec<(TokenCookie, &'h [u8])>> {
    let mut values: Vec<(TokenCookie, &[u8])> = Vec::new();
    for (which, value) in session_cookies(headers, plan) {
        if values.iter().filter(|(other, _)| *other == which).count() == MAX_VALUES {
            return None;
        }
        values.push((which, value));
    }
    Some(values)
}

/// All `Cookie` lines are read as if they were one (RFC 6265bis, section 4.2.1).
fn all_pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::COOKIE).into_iter().flat_map(|line| pairs(line.as_bytes()))
}

/// Returns the value of a pair that is a session cookie.
#[inline]
fn token_cookie<'h>(plan: &CookieSettings, pair: &'h [u8]) -> Option<(TokenCookie, &'h [u8])> {
    let pair = trim_start(pair);
    if let Some(value) = value_under(&plan.access_name, pair) {
        return Some((TokenCookie::Access, value));
    }
    value_under(&plan.refresh_name, pair).map(|value| (TokenCookie::Refresh, value))
}

/// The value of a pair of this name.
fn value_under<'h>(name: &str, pair: &'h [u8]) -> Option<&'h [u8]> {
    let (found, rest) = pair.split_at_checked(name.len())?;
    // The byte that follows excludes most other names sooner than comparing them would.
    let value = match rest {
        [b'=', value @ ..] => value,
        [b' ' | b'\t', ..] => trim_start(rest).strip_prefix(b"=")?,
        _ => return None,
    };
    (found == name.as_bytes()).then(|| trim(value))
}

/// What semicolons divide.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        // Most of a line is tokens: the instructions of the processor for that find their ends.
        let end = memchr::memchr(b';', line);
        rest = end.and_then(|end| line.get(end + 1..));
        Some(end.and_then(|end| line.get(..end)).unwrap_or(line))
    })
}

/// Takes off spaces and tabs only; there are more kinds of white space, and servers that trim those read a cookie
/// under a name that the browser did not check.
fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::cookie::CookieConfig;

    const ACCESS: &str = "__Host-access";
    const REFRESH: &str = "__Host-refresh";

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn access(lines: &[&[u8]]) -> Option<Vec<u8>> {
        let headers = headers(lines);
        match RawTokens::from_cookies(&headers, &CookieConfig::new().validate().unwrap()).access {
            Occurrence::One(value) => Some(value.to_vec()),
            Occurrence::Absent => None,
            Occurrence::Several => Some(b"(several)".to_vec()),
        }
    }

    #[test]
    fn session_cookie_is_found_among_others() {
        let good = Some(b"token".to_vec());
        for line in [
            "__Host-access=token",
            "a=b; __Host-access=token; c=d",
            "a=b;__Host-access=token;c=d",
            "  __Host-access =\t token\t; c=d",
            ";;;=;__Host-access=token;=;;",
            "novalue; __Host-access=token; x=\"quo;ted\"",
            "x=%ff; __Host-access=token",
        ] {
            assert_eq!(access(&[line.as_bytes()]), good, "{line}");
        }
        assert_eq!(access(&[b"x=\xE2\x80\x80; __Host-access=token"]), good);
        assert_eq!(access(&[&[b"x=".as_slice(), &[0xff; 16 * 1024], b"; __Host-access=token"].concat()]), good);
        assert_eq!(access(&[b"a=b", b"__Host-access=token", b"c=d"]), good);
    }

    #[test]
    fn similar_names_are_not_session_cookies() {
        for line in [
            "__host-access=token",
            "%5F%5FHost-access=token",
            "__%48ost-access=token",
            "=__Host-access=token",
            "$Version=1, __Host-access=token",
            "x__Host-access=token",
            "__Host-accessx=token",
            "__Host-access",
            "__Host-access\"=token",
            "x=__Host-access=token",
        ] {
            assert_eq!(access(&[line.as_bytes()]), None, "{line}");
        }
        for space in ["\u{2000}", "\u{a0}", "\u{85}", "\u{3000}"] {
            assert_eq!(access(&[format!("{space}__Host-access=token").as_bytes()]), None, "{space:?}");
        }
        assert_eq!(access(&[b"\x85__Host-access=token"]), None);
    }

    #[test]
    fn values_beyond_the_limit_are_refused() {
        let plan = CookieConfig::new().validate().unwrap();
        let count = |access: usize, refresh: usize| {
            let pairs = [vec!["__Host-access=a"; access], vec!["__Host-refresh=r"; refresh]].concat();
            bounded_session_cookies(&headers(&[pairs.join("; ").as_bytes(), b"__Host-other=x"]), &plan)
                .map(|values| values.len())
        };
        assert_eq!(count(0, 0), Some(0));
        assert_eq!(count(1, 1), Some(2));
        assert_eq!(count(MAX_VALUES, MAX_VALUES), Some(2 * MAX_VALUES));
        assert_eq!(count(MAX_VALUES + 1, 0), None);
        assert_eq!(count(1, MAX_VALUES + 1), None);
        assert_eq!(count(1_000, 1_000), None);
    }

    #[test]
    fn duplicate_cookies_are_several() {
        let several = Some(b"(several)".to_vec());
        assert_eq!(access(&[b"__Host-access=good; __Host-access=evil"]), several);
        assert_eq!(access(&[b"__Host-access=good", b"__Host-access=good"]), several);
        assert_eq!(access(&[b"__Host-access=; __Host-access=good; __Host-access=x"]), several);
    }

    /// A plain and slow implementation.
    fn model(line: &[u8], name: &str) -> Vec<Vec<u8>> {
        let text: String = line.iter().copied().map(char::from).collect();
        let is_space = |c| c == ' ' || c == '\t';
        text.split(';')
            .filter_map(|pair| pair.split_once('='))
            .filter(|(found, _)| found.trim_matches(is_space) == name)
            .map(|(_, value)| value.trim_matches(is_space).chars().map(|c| c as u8).collect())
            .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(ACCESS.as_bytes().to_vec()),
                    Just(REFRESH.as_bytes().to_vec()),
                    Just(b"=".to_vec()),
                    Just(b";".to_vec()),
                    Just(b"; ".to_vec()),
                    Just(b"\t".to_vec()),
                    prop::collection::vec(0x20_u8..=0xff, 0..4),
                ],
                0..16,
            ),
        ) {
            let line: Vec<u8> = parts.concat().into_iter().filter(|byte| *byte != 0x7f).collect();
            let headers = headers(&[&line]);
            let found = RawTokens::from_cookies(&headers, &CookieConfig::new().validate().unwrap());
            for (presence, name) in [(found.access, ACCESS), (found.refresh, REFRESH)] {
                let expected = match model(&line, name).as_slice() {
                    [] => "absent".to_owned(),
                    [value] => format!("{value:?}"),
                    _ => "several".to_owned(),
                };
                let actual = match presence {
                    Occurrence::Absent => "absent".to_owned(),
                    Occurrence::One(value) => format!("{value:?}"),
                    Occurrence::Several => "several".to_owned(),
                };
                prop_assert_eq!(actual, expected);
            }
        }
    }
}
