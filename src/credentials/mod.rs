//! The tokens of a request: in the session cookies or, where that was switched on, in an `Authorization` header.

mod bearer;
mod cookies;

use http::HeaderMap;

pub(crate) use self::cookies::{Occurrence, RawTokens};
#[cfg(feature = "router")]
pub(crate) use self::cookies::{replace_access_cookie, session_cookies};
use self::{bearer::Bearer, cookies::bounded_session_cookies};
use crate::{
    cookie::{CookieSettings, TokenCookie},
    event::LOG_TARGET,
};

/// Where a verifier looks for tokens.
pub(crate) struct CredentialSources {
    pub(crate) cookies: CookieSettings,
    /// Whether an `Authorization: Bearer` header is read.
    pub(crate) accepts_bearer: bool,
}

/// The credentials of a request are malformed, or in two places.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvalidCredentials;

impl CredentialSources {
    /// Finds the tokens in the headers. A Bearer token takes the place of the access cookie.
    ///
    /// Beside either session cookie it is refused, also beside the refresh cookie alone: that one comes from a browser
    /// whose access cookie has just expired, and would have been refused a minute ago.
    pub(crate) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<RawTokens<'h>, InvalidCredentials> {
        let cookies = RawTokens::from_cookies(headers, &self.cookies);
        match self.bearer(headers) {
            Bearer::Absent => Ok(cookies),
            Bearer::One(token) if cookies.are_absent() => {
                Ok(RawTokens { access: Occurrence::One(token), refresh: Occurrence::Absent })
            }
            Bearer::One(_) => Err(invalid("a Bearer token and a session cookie")),
            Bearer::Malformed => Err(invalid("no single Bearer token")),
        }
    }

    /// Finds every value that could be a token.
    ///
    /// # Errors
    ///
    /// [`InvalidCredentials`] when there are more than an honest client could have.
    pub(crate) fn find_all<'h>(
        &self,
        headers: &'h HeaderMap,
    ) -> Result<Vec<(TokenCookie, &'h [u8])>, InvalidCredentials> {
        let mut values = bounded_session_cookies(headers, &self.cookies)
            .ok_or_else(|| invalid("too many session cookies of one name"))?;
        if let Bearer::One(token) = self.bearer(headers) {
            values.push((TokenCookie::Access, token));
        }
        Ok(values)
    }

    /// Whether the client authenticates explicitly: a browser sends its cookies everywhere, a client chooses where to
    /// send a Bearer token.
    pub(crate) fn is_explicit(&self, headers: &HeaderMap) -> bool {
        !self.bearer(headers).is_absent()
    }

    fn bearer<'h>(&self, headers: &'h HeaderMap) -> Bearer<'h> {
        match self.accepts_bearer {
            true => Bearer::read(headers),
            // An application may use the header for something of its own.
            false => Bearer::Absent,
        }
    }
}

#[cold]
fn invalid(reason: &'static str) -> InvalidCredentials {
    tracing::debug!(target: LOG_TARGET, reason, "invalid credentials");
    InvalidCredentials
}
