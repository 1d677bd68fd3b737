//! Where the tokens of a request stand: in our cookies or, where that was switched on, in an `Authorization` header.

use http::HeaderMap;

use super::VerifyError;
use crate::{
    bearer::Bearer,
    cookie::{CookieSettings, Presence, RawTokens, TokenCookie, all_values},
    event::LOG_TARGET,
};

/// The places where a verifier looks for tokens.
#[derive(Clone, PartialEq)]
pub(crate) struct CredentialPlaces {
    pub(crate) cookies: CookieSettings,
    /// Whether an `Authorization: Bearer` header is looked at.
    pub(crate) accepts_bearer: bool,
}

impl CredentialPlaces {
    /// The tokens that stand in the headers. A Bearer token stands in the place of the access cookie.
    ///
    /// Beside either of our cookies it is refused, also beside the refresh cookie alone: that one comes from a browser
    /// whose access cookie has just expired, and would have been refused a minute ago.
    pub(super) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<RawTokens<'h>, VerifyError> {
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

    /// Every value that could be a token of ours.
    ///
    /// # Errors
    ///
    /// [`VerifyError::AmbiguousCookie`] when there are more than an honest client could have. None of them is
    /// looked at.
    pub(super) fn all<'h>(&self, headers: &'h HeaderMap) -> Result<Vec<(TokenCookie, &'h [u8])>, VerifyError> {
        let mut values = all_values(headers, &self.cookies).ok_or_else(crowded)?;
        if let Bearer::One(token) = self.bearer(headers) {
            values.push((TokenCookie::Access, token));
        }
        Ok(values)
    }

    /// Whether there is nothing to verify: [`VerifyError::NoCredentials`].
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
fn crowded() -> VerifyError {
    let reason = VerifyError::AmbiguousCookie;
    tracing::debug!(target: LOG_TARGET, ?reason, "refused the credentials: too many cookies of one name");
    reason
}

#[cold]
fn refused(reason: &'static str) -> VerifyError {
    tracing::debug!(target: LOG_TARGET, reason, "refused the credentials");
    VerifyError::InvalidRequest
}
