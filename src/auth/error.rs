//! Why a request has no session.

use std::fmt;

use crate::{credentials::InvalidCredentials, problem::Problem};

/// Why a request has no session.
///
/// For the log, and for pages that greet a user whose session has expired differently. Clients are told six cases
/// only: no credentials, invalid credentials, revocations unknown, store unavailable, an error in the application, and,
/// for every other reason, an invalid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The request has neither session cookie, and no Bearer token where those are accepted.
    NoCredentials,
    /// The request has the refresh cookie but no access cookie: the access token has expired.
    OnlyRefreshToken,
    /// The access cookie is there more than once, so that one of them may have been set by another site.
    AmbiguousCookie,
    /// A Bearer token stands beside a session cookie, the `Bearer` header does not hold exactly one token, or there is
    /// more than one `Authorization` header. Answered with `400`. Only where Bearer tokens are accepted.
    InvalidRequest,
    /// The access token was not issued for this verifier, or is malformed.
    InvalidToken,
    /// The access token has expired.
    Expired,
    /// The session has ended, or its access was expired.
    Revoked,
    /// An end of the session failed in the store: it may be alive there, and this node retries until it has ended.
    /// Answered with `503`, since `401` would look like a successful logout.
    EndUnfinished,
    /// The access token is missing or cannot be used, and the renewal layer (`SessionManager::renewal_layer`) could not
    /// refresh the session, since the store or the claims source failed or was too slow. Answered with `503`, since
    /// `401` would look like a logout.
    NotRenewed,
    /// The access token is missing or cannot be used, and the renewal layer could not refresh the session because of an
    /// error in the application, such as claims that are too long for a token. Answered with `500`, since the session
    /// has not ended; the log says what failed.
    RenewalFailed,
    /// The access token is missing or cannot be used, and the session is bound to a device, which has not proven a refresh:
    /// the renewal layer (`SessionManager::renewal_layer`) cannot refresh it. Answered with `403`, or with the way to the
    /// login.
    ProofRequired,
    /// The access token is valid, but this node does not know enough of what other nodes ended: see
    /// [`StalePolicy`](crate::revocation::StalePolicy). Answered with `503`.
    RevocationsUnknown,
}

impl VerifyError {
    /// Returns what the client is told.
    pub(crate) const fn problem(self) -> Problem {
        match self {
            Self::NoCredentials => Problem::MISSING_CREDENTIALS,
            Self::InvalidRequest => Problem::INVALID_REQUEST,
            Self::RevocationsUnknown => Problem::REVOCATIONS_UNKNOWN,
            Self::EndUnfinished | Self::NotRenewed => Problem::STORE_UNAVAILABLE,
            Self::RenewalFailed => Problem::INTERNAL_ERROR,
            Self::ProofRequired => Problem::PROOF_REQUIRED,
            Self::OnlyRefreshToken | Self::AmbiguousCookie | Self::InvalidToken | Self::Expired | Self::Revoked => {
                Problem::INVALID_TOKEN
            }
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredentials => "no credentials",
            Self::OnlyRefreshToken => "no access token beside the refresh token",
            Self::AmbiguousCookie => "more than one access cookie",
            Self::InvalidRequest => "malformed or ambiguous credentials",
            Self::InvalidToken => "invalid access token",
            Self::Expired => "access token expired",
            Self::Revoked => "session ended or access expired",
            Self::EndUnfinished => "end of the session unfinished",
            Self::NotRenewed => "session not refreshed: store or claims source unavailable",
            Self::RenewalFailed => "session not refreshed: error in the application",
            Self::ProofRequired => "session bound to a device, without its proof",
            Self::RevocationsUnknown => "revocations unknown",
        })
    }
}

impl std::error::Error for VerifyError {}

impl From<InvalidCredentials> for VerifyError {
    fn from(_: InvalidCredentials) -> Self {
        Self::InvalidRequest
    }
}
