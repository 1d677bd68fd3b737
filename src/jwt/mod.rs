//! Access and refresh tokens: JWS compact serialisations (RFC 7515, RFC 7519) in *wire format v1*.
//!
//! A token is accepted only if its header segment is byte for byte one that this ring writes, and its claims stand in
//! the order in which this crate writes them. There is no header to parse, so `alg`, `crit`, `jku` and `kid` have
//! nothing to take hold of.
//!
//! ```text
//! access   {"typ":"at+jwt","alg":…,"kid":…}  {"iss":…,"aud":…,"sub":…,"sid":…,"gen":…,"epoch":…,"auth_time":…,"iat":…,"exp":… , application claims}
//! refresh  {"typ":"rt+jwt","alg":…,"kid":…}  {"iss":…,"aud":…,"sub":…,"sid":…,"gen":…,"auth_time":…,"iat":…,"exp":…}
//! ```

mod claims;
mod codec;
mod cursor;
mod live;
mod members;
mod names;
mod scan;
mod signature_cache;
mod variants;

#[cfg(all(test, feature = "router"))]
pub(crate) use self::codec::SIGNATURES_CHECKED;
pub(crate) use self::{
    claims::{AppClaims, ClaimsShape, check_claims_type, unit_claims},
    codec::{Buffer, Codec, IssueError, Opened, TokenError},
    live::LiveCodec,
};
use crate::{
    clock::Timestamp,
    error::ConfigError,
    id::{SessionId, UserId, UserIdText},
};

/// What a token is for. Each kind has a `typ` (RFC 8725, section 3.11) and a key ring of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    /// The `typ` header parameter; `at+jwt` is that of RFC 9068.
    const fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
        }
    }
}

/// The claims that the crate itself writes and reads. Times have whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredClaims<User = UserId> {
    pub(crate) user_id: User,
    pub(crate) session_id: SessionId,
    pub(crate) generation: u32,
    /// Access tokens only; 0 in refresh tokens.
    pub(crate) epoch: u32,
    pub(crate) auth_time: Timestamp,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl RegisteredClaims<UserIdText<'_>> {
    /// The same on their own.
    #[inline]
    pub(crate) fn into_owned(self) -> RegisteredClaims {
        let Self { user_id, session_id, generation, epoch, auth_time, issued_at, expires_at } = self;
        let user_id = user_id.into_owned();
        RegisteredClaims { user_id, session_id, generation, epoch, auth_time, issued_at, expires_at }
    }
}

/// A token and the cookie that carries it fit into the 4096 bytes that browsers keep (RFC 6265bis, section 5.6).
pub(crate) const MAX_TOKEN_LEN: usize = 4096;

/// An issuer or audience that leaves room for everything else in a token.
pub(crate) fn checked_identifier(name: &'static str, identifier: String) -> Result<String, ConfigError> {
    match identifier.len() {
        1..=255 => Ok(identifier),
        _ => Err(ConfigError::InvalidIdentifier { name }),
    }
}

/// A token has up to four kilobytes, so this is as much memory as anybody can mean.
const MAX_CACHED: usize = 1 << 20;

/// A number of tokens that can be cached.
pub(crate) fn checked_cache(tokens: usize) -> Result<usize, ConfigError> {
    match tokens {
        0..=MAX_CACHED => Ok(tokens),
        _ => Err(ConfigError::SignatureCacheTooLarge { tokens, max: MAX_CACHED }),
    }
}

#[cfg(test)]
mod tests;
