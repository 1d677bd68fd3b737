//! Where the tokens of a request stand: in our cookies or, where that was switched on, in an `Authorization` header.

use http::HeaderMap;

use super::Unauthenticated;
use crate::{
    bearer::Bearer,
    cookie::{CookiePlan, Presence, RawTokens, TokenCookie, each_cookie},
    event::LOG_TARGET,
};

/// The places where a verifier looks for tokens.
#[derive(Clone, PartialEq)]
pub(crate) struct CredentialPlaces {
    pub(crate) cookies: CookiePlan,
    /// Whether an `Authorization: Bearer` header is looked at.
    pub(crate) accepts_bearer: bool,
}

impl CredentialPlaces {
    /// The tokens that stand in the headers. A Bearer token stands in the place of the access cookie.
    ///
    /// Beside either of our cookies it is refused, also beside the refresh cookie alone: that one comes from a browser
    /// whose access cookie has just expired, and would have been refused a minute ago.
    pub(super) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<RawTokens<'h>, Unauthenticated> {
        let cookies = RawTokens::from_cookies(headers, &self.cookies);
        match self.bearer(headers) {
            Bearer::Absent => Ok(cookies),
            Bearer::One(token) if cookies.are_absent() => {
                Ok(RawTokens { access: Presence::One(token), refresh: Presence::Absent })
            }
            Bearer::One(_) => Err(refused("a Bearer token and a session cookie")),
            Bearer::Malformed => Err(refused("no single Bearer token")),
        }
    }

    /// Every token that could be one of ours, however many there are.
    pub(super) fn each<'h>(&'h self, headers: &'h HeaderMap) -> impl Iterator<Item = (TokenCookie, &'h [u8])> {
        let bearer = match self.bearer(headers) {
            Bearer::One(token) => Some((TokenCookie::Access, token)),
            Bearer::Absent | Bearer::Malformed => None,
        };
        each_cookie(headers, &self.cookies).chain(bearer)
    }

    /// Whether there is nothing to verify: [`Unauthenticated::NoCredentials`].
    pub(crate) fn are_empty(&self, headers: &HeaderMap) -> bool {
        self.find(headers).is_ok_and(RawTokens::are_absent)
    }

    pub(super) fn bearer<'h>(&self, headers: &'h HeaderMap) -> Bearer<'h> {
        match self.accepts_bearer {
            true => Bearer::read(headers),
            // An application may use the header for something of its own.
            false => Bearer::Absent,
        }
    }
}

#[cold]
fn refused(reason: &'static str) -> Unauthenticated {
    tracing::debug!(target: LOG_TARGET, reason, "refused the credentials");
    Unauthenticated::InvalidRequest
}
