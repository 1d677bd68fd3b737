//! Access and refresh tokens: JWS compact serialisations (RFC 7515, RFC 7519) in *wire format v1*.
//!
//! A token is accepted only if its header segment is byte for byte one that an accepted key writes, and its registered
//! claims stand in the order in which this crate writes them. No header is parsed, so attacks with `alg`, `crit`, `jku`
//! or `kid` have no target. What the login said about the session follows in `act` and `sess`, if it said anything. Then
//! come the application's claims, which are read by serde_json. `"client_id":…,"jti":…` stand before `sub` in access
//! tokens whose manager was told so.
//!
//! ```text
//! access   {"typ":"at+jwt","alg":…,"kid":…}  {"iss":…,"aud":…,"sub":…,"sid":…,"gen":…,"epoch":…,"auth_time":…,"iat":…,"exp":…,"act":{"sub":…,"sid":…},"sess":{…} , application claims}
//! refresh  {"typ":"rt+jwt","alg":…,"kid":…}  {"iss":…,"aud":…,"sub":…,"sid":…,"gen":…,"auth_time":…,"iat":…,"exp":…,"act":{"sub":…,"sid":…},"sess":{…}}
//! ```

mod claims;
mod codec;
mod cursor;
mod head;
mod signature_cache;
mod terms;
mod variants;

#[cfg(all(test, feature = "router"))]
pub(crate) use self::codec::SIGNATURES_CHECKED;
pub use self::terms::SessionTerms;
pub(crate) use self::{
    claims::{AppClaims, ClaimsShape, RegisteredClaims, check_claims_type, unit_claims},
    codec::{Buffer, Codec, IssueError, MAX_TOKEN_LEN, Opened, TokenError, TokenKind},
    terms::{Actor, InvalidSessionClaims},
};

#[cfg(test)]
mod tests;
