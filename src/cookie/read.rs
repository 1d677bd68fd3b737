//! Reading our two cookies from raw headers.
//!
//! Deliberately not a cookie jar. Names are compared byte for byte and never percent-decoded (RFC 6265bis, section
//! 5.6), only space and tab are trimmed, a broken or non-ASCII sibling does not hide ours (section 6.1), and a name
//! that is there twice counts as unusable, since the order says nothing about who set it (section 8.6).

use http::{HeaderMap, header};

use super::CookiePlan;

/// What was found under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence<'h> {
    Absent,
    One(&'h [u8]),
    /// More than once, whatever the values.
    Twice,
}

impl<'h> Presence<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Twice => Self::Twice,
        };
    }

    pub(crate) const fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The values of our cookies, as they stand in the headers of a request.
#[derive(Clone, Copy)]
pub(crate) struct RawCookies<'h> {
    pub(crate) access: Presence<'h>,
    pub(crate) refresh: Presence<'h>,
}

impl<'h> RawCookies<'h> {
    /// Reads every `Cookie` line as if they were one (RFC 6265bis, section 4.2.1).
    pub(crate) fn read(headers: &'h HeaderMap, plan: &CookiePlan) -> Self {
        let mut found = Self { access: Presence::Absent, refresh: Presence::Absent };
        for line in headers.get_all(header::COOKIE) {
            for pair in line.as_bytes().split(|byte| *byte == b';') {
                let Some(equals) = pair.iter().position(|byte| *byte == b'=') else { continue };
                let (name, value) = pair.split_at(equals);
                let name = trim(name);
                if name == plan.access_name.as_bytes() {
                    found.access.add(trim(value.get(1..).unwrap_or_default()));
                } else if name == plan.refresh_name.as_bytes() {
                    found.refresh.add(trim(value.get(1..).unwrap_or_default()));
                }
            }
        }
        found
    }
}

/// Takes off spaces and tabs only; there are more kinds of white space, and servers that trim those read a cookie
/// under a name that the browser did not check.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}
