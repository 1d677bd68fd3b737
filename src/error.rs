//! What can go wrong: [`ConfigError`] while building, [`Error`] while serving.

use std::{error::Error as StdError, fmt, time::Duration};

use axum_core::response::{IntoResponse, Response};

use crate::{
    policy::MAX_CLOCK_SKEW,
    problem::{Problem, Renderer},
};

/// The target of every line that the crate logs.
pub(crate) const LOG_TARGET: &str = "tower_jwt_sessions";

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// A configuration that cannot work, found while building. Every message names the cure, also as `Debug`, which is what
/// a `main` that returns it prints.
#[non_exhaustive]
pub enum ConfigError {
    /// The access and the refresh ring share a key, so that one kind of token could pass for the other.
    AccessAndRefreshShareAKey,
    /// The access lifetime is not shorter than the refresh lifetime.
    AccessOutlivesRefresh {
        /// The access lifetime.
        access: Duration,
        /// The refresh lifetime.
        refresh: Duration,
    },
    /// The access lifetime exceeds `max_access_lifetime`, so that nodes would refuse the tokens.
    AccessTooLong {
        /// The access lifetime.
        access: Duration,
        /// The longest that nodes accept.
        max: Duration,
    },
    /// The access lifetime is shorter than the clocks of two nodes may disagree.
    AccessTooShort {
        /// The access lifetime.
        access: Duration,
    },
    /// A cookie setting, or a mixture of them, that browsers refuse or that cannot be told apart.
    Cookie {
        /// What is wrong.
        problem: String,
        /// What to change.
        cure: &'static str,
    },
    /// Two keys of one ring have the same `kid`.
    DuplicateKeyId {
        /// The `kid`.
        kid: String,
    },
    /// Issuer or audience is empty or too long.
    InvalidIdentifier {
        /// Which.
        name: &'static str,
    },
    /// A JWK that is not what it says, or not meant for this.
    InvalidJwk {
        /// Its `kid`, if it could be read.
        kid: Option<String>,
        /// What is wrong.
        problem: String,
        /// What to change.
        cure: &'static str,
    },
    /// A key could not be read.
    InvalidKey {
        /// The algorithm that it was read for.
        algorithm: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A `kid` that is not 1 to 64 letters, digits or `-._~`.
    InvalidKeyId {
        /// The `kid`.
        kid: String,
    },
    /// A key prefix for Redis with braces (which choose the cluster slot) or control characters.
    InvalidKeyPrefix,
    /// `build`, or a constructor that leaves work to the background, was called outside of a tokio runtime.
    NoRuntime,
    /// An origin that no browser would send.
    InvalidOrigin {
        /// The origin.
        origin: String,
    },
    /// The type of the claims has values that no token can carry.
    InvalidClaimsType {
        /// The name of the type.
        claims: &'static str,
        /// What is wrong.
        problem: String,
        /// What to change.
        cure: &'static str,
    },
    /// A URL for Redis that could not be read. The URL itself is not shown, since it may hold a password.
    InvalidRedisUrl {
        /// What is wrong.
        problem: String,
    },
    /// No private key or secret of a JWK set has the `kid` that shall sign.
    KeyNotFound {
        /// The `kid`.
        kid: String,
    },
    /// A key shall sign that this node does not verify with, so that other nodes may not know it either.
    KeyNotPublished {
        /// Its `kid`.
        kid: String,
    },
    /// The keys of this verifier are those of a `SessionManager`.
    KeysOfManager,
    /// A lifetime of zero, or one longer than 400 days (RFC 6265bis, section 5.5).
    LifetimeOutOfRange {
        /// Which.
        name: &'static str,
        /// The lifetime.
        lifetime: Duration,
    },
    /// Something that has no default was not given.
    Missing {
        /// The builder method to call.
        method: &'static str,
    },
    /// A JWK set has secrets and public keys, so that one kind could be taken for the other.
    MixedKeySet,
    /// A key shall stop to verify before the last token that it signed has expired.
    OverlapTooShort {
        /// Its `kid`.
        kid: String,
        /// How long it would verify from now on.
        overlap: Duration,
        /// How long it has to.
        min: Duration,
    },
    /// A private key or a secret stands where public keys belong.
    PrivateKeyGivenToVerify {
        /// Its `kid`, if it has one.
        kid: Option<String>,
    },
    /// The refresh lifetime exceeds the absolute lifetime.
    RefreshOutlivesSession {
        /// The refresh lifetime.
        refresh: Duration,
        /// The absolute lifetime.
        absolute: Duration,
    },
    /// The replay window is longer than a minute.
    ReplayWindowTooLong {
        /// The window.
        window: Duration,
    },
    /// A secret is shorter than its algorithm needs (RFC 7518, section 3.2).
    SecretTooShort {
        /// The algorithm.
        algorithm: &'static str,
        /// The smallest length in bytes.
        min: usize,
        /// The length in bytes that was given.
        actual: usize,
    },
    /// More signatures are to be cached than a node has memory for.
    SignatureCacheTooLarge {
        /// How many.
        tokens: usize,
        /// The most.
        max: usize,
    },
    /// Redis could not be reached while building.
    StoreUnreachable {
        /// Why.
        source: BoxError,
    },
    /// A Redis client whose settings can hang a request or repeat a command.
    UnsafeRedisClient {
        /// What is wrong.
        problem: &'static str,
        /// What to change.
        cure: &'static str,
    },
    /// An algorithm that cannot sign this kind of token.
    UnsupportedAlgorithm {
        /// The algorithm.
        algorithm: &'static str,
        /// What to use.
        cure: &'static str,
    },
    /// A kind of Redis deployment that this build cannot talk to.
    UnsupportedRedisUrl {
        /// The scheme of the URL.
        scheme: String,
        /// What to do.
        cure: &'static str,
    },
    /// A key that protects nothing: an Ed25519 public key of small order, or a secret of all zeros.
    WeakKey {
        /// The algorithm that it was read for.
        algorithm: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// What to use.
        cure: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessAndRefreshShareAKey => f.write_str(
                "access_keys and refresh_keys share a key: give each ring secrets of its own, for example from \
                 JWT_SECRET and REFRESH_SECRET",
            ),
            Self::AccessOutlivesRefresh { access, refresh } => write!(
                f,
                "access_lifetime ({access:?}) must be shorter than refresh_lifetime ({refresh:?}): shorten the first or \
                 lengthen the second"
            ),
            Self::AccessTooLong { access, max } => write!(
                f,
                "access_lifetime ({access:?}) exceeds max_access_lifetime ({max:?}): raise max_access_lifetime on \
                 every node first"
            ),
            Self::AccessTooShort { access } => write!(
                f,
                "access_lifetime ({access:?}) must not be shorter than the clocks of two nodes may disagree \
                 ({MAX_CLOCK_SKEW:?}): lengthen it"
            ),
            Self::Cookie { problem, cure } => write!(f, "{problem}: {cure}"),
            Self::DuplicateKeyId { kid } => {
                write!(f, "two keys of one ring have the kid {kid:?}: remove one, or name it with with_key_id")
            }
            Self::InvalidClaimsType { claims, problem, cure } => {
                write!(f, "some values of the claims type {claims} cannot be put into a token, {problem}: {cure}")
            }
            Self::InvalidIdentifier { name } => write!(f, "{name} must have 1 to 255 bytes: pass the URL of your service"),
            Self::InvalidJwk { kid: Some(kid), problem, cure } => write!(f, "the JWK {kid:?} {problem}: {cure}"),
            Self::InvalidJwk { kid: None, problem, cure } => write!(f, "the JWK {problem}: {cure}"),
            Self::InvalidKey { algorithm, expected } => write!(f, "not a key for {algorithm}: pass {expected}"),
            Self::InvalidKeyId { kid } => write!(f, "{kid:?} is no kid: use 1 to 64 letters, digits or -._~"),
            Self::InvalidKeyPrefix => f.write_str(
                "the key prefix has braces or control characters: braces choose the slot in Redis Cluster, so use other \
                 characters",
            ),
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime for what works in the background: connect the store and call build() within one, \
                 for example under #[tokio::main]",
            ),
            Self::InvalidOrigin { origin } => write!(
                f,
                "{origin:?} is not an origin as browsers send it: write scheme://host[:port] in lower case, without a \
                 path, a default port or a wildcard, and with http or https as the scheme of own_origin"
            ),
            Self::InvalidRedisUrl { problem } => {
                write!(f, "the Redis URL cannot be read ({problem}): write redis://[user:password@]host[:port][/database]")
            }
            Self::KeyNotFound { kid } => write!(f, "no private key of the set has the kid {kid:?}: name one of them"),
            Self::KeyNotPublished { kid } => {
                write!(f, "the key {kid:?} was not published: add it with with_verification_key on every node first")
            }
            Self::KeysOfManager => f.write_str("these are keys of a SessionManager: use its replace_access_keys"),
            Self::LifetimeOutOfRange { name, lifetime } => {
                write!(f, "{name} ({lifetime:?}) is out of range: choose at least one second and at most 400 days")
            }
            Self::Missing { method } => write!(f, "{method} was not called: it has no default"),
            Self::MixedKeySet => f.write_str("the JWK set has both secrets and public keys: make it a set of one kind"),
            Self::OverlapTooShort { kid, overlap, min } => write!(
                f,
                "the key {kid:?} would verify for another {overlap:?}, but tokens that it signed may live for {min:?}: \
                 keep it with with_retiring_key for that long"
            ),
            Self::PrivateKeyGivenToVerify { kid } => {
                let kid = kid.as_deref().unwrap_or_default();
                write!(f, "the JWK {kid:?} is private where public keys belong: remove it, and replace it if it leaked")
            }
            Self::RefreshOutlivesSession { refresh, absolute } => write!(
                f,
                "refresh_lifetime ({refresh:?}) exceeds absolute_lifetime ({absolute:?}): shorten the first or lengthen \
                 the second"
            ),
            Self::ReplayWindowTooLong { window } => write!(
                f,
                "the replay window ({window:?}) is longer than a minute, in which a stolen token would go unnoticed: \
                 shorten it"
            ),
            Self::SecretTooShort { algorithm, min, actual } => write!(
                f,
                "a secret for {algorithm} has at least {min} bytes, this one has {actual}: make one with `openssl rand \
                 -base64 {min}`"
            ),
            Self::SignatureCacheTooLarge { tokens, max } => write!(
                f,
                "cache_signatures has room for {max} tokens at most, not for {tokens}: twice as many as users are active \
                 at a time is enough"
            ),
            Self::StoreUnreachable { source } => {
                write!(f, "Redis cannot be reached ({source}): check the address, the password and that it is running")
            }
            Self::UnsafeRedisClient { problem, cure } => write!(f, "the Redis client {problem}: {cure}"),
            Self::UnsupportedAlgorithm { algorithm, cure } => write!(f, "{algorithm} cannot be used here: {cure}"),
            Self::WeakKey { algorithm, problem, cure } => write!(f, "weak key for {algorithm}: {problem}: {cure}"),
            Self::UnsupportedRedisUrl { scheme, cure } => write!(f, "Redis URLs of scheme {scheme:?} do not work: {cure}"),
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for ConfigError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::StoreUnreachable { source } => Some(&**source),
            _ => None,
        }
    }
}

/// What serde expected. Only from serde's own texts, where it follows what was found and names nothing but fields and
/// types; the texts of others may say anything.
pub(crate) fn expectation(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(&*text, |(text, _)| text);
    if text.starts_with("missing field `") || text.starts_with("duplicate field `") {
        return Some(text.to_owned());
    }
    let told = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant `", "unknown field `"];
    if !told.iter().any(|start| text.starts_with(start)) {
        return None;
    }
    text.rsplit_once(", expected ").map(|(_, expected)| format!("expected {expected}"))
}

/// What went wrong while serving: opaque, with a [`kind`](Error::kind).
///
/// It is a response: the [`Problem`] of its kind. Its text and its sources are for the log; neither holds a token.
pub struct Error {
    kind: ErrorKind,
    source: Option<BoxError>,
    renderer: Renderer,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The claims cannot be written into a token: not an object, or a name that the crate uses itself. 500.
    Claims,
    /// The claims source failed. Nothing was changed. 503.
    ClaimsSource,
    /// The session's data was changed by somebody else. 409.
    DataConflict,
    /// The session's data cannot be read as the asked type, or not be written as JSON. 500.
    DataFormat,
    /// The operating system or the cryptographic library failed. 500.
    Internal,
    /// The refresh token is expired, was superseded, belongs to an ended session or is none of ours. 401.
    InvalidRefreshToken,
    /// The request has credentials in two places, more than four cookies of one of our names, or an `Authorization`
    /// header that is not one Bearer token. 400.
    InvalidRequest,
    /// The user id is empty or longer than 255 bytes. 500.
    InvalidUserId,
    /// The request carried no refresh token. 401.
    MissingRefreshToken,
    /// The user's sessions were ended after the proof of this login began, or the proof is older than half an hour
    /// ([`Login::proven_since`](crate::Login::proven_since)). Nothing was changed: the user has to log in again. 401.
    ProofOutdated,
    /// The session has ended. 401.
    SessionEnded,
    /// The user has as many sessions as allowed, and the limit says to refuse. 409.
    SessionLimitReached,
    /// The store failed. What it did with the request is unknown; trying again is safe. 503.
    Store,
    /// Token and name exceed the 4096 bytes that a browser keeps. Nothing was changed. 500.
    TokenTooLong,
    /// The claims source does not know the user who logs in. 403.
    UserNotFound,
    /// The [`Session`](crate::Session) or [`PresentedTokens`](crate::PresentedTokens) comes from the layer or verifier of another
    /// [`SessionManager`](crate::SessionManager). Nothing was changed. 500.
    WrongManager,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, renderer: &Renderer) -> Self {
        Self { kind, source: None, renderer: renderer.clone() }
    }

    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the client is told.
    pub const fn problem(&self) -> Problem {
        match self.kind {
            ErrorKind::ClaimsSource => Problem::CLAIMS_UNAVAILABLE,
            ErrorKind::Store => Problem::STORE_UNAVAILABLE,
            ErrorKind::DataConflict => Problem::DATA_CONFLICT,
            ErrorKind::MissingRefreshToken => Problem::MISSING_CREDENTIALS,
            ErrorKind::InvalidRefreshToken => Problem::INVALID_REFRESH_TOKEN,
            ErrorKind::InvalidRequest => Problem::INVALID_REQUEST,
            ErrorKind::ProofOutdated => Problem::PROOF_OUTDATED,
            ErrorKind::SessionEnded => Problem::INVALID_TOKEN,
            ErrorKind::SessionLimitReached => Problem::SESSION_LIMIT_REACHED,
            ErrorKind::UserNotFound => Problem::USER_NOT_FOUND,
            ErrorKind::Claims
            | ErrorKind::DataFormat
            | ErrorKind::Internal
            | ErrorKind::InvalidUserId
            | ErrorKind::TokenTooLong
            | ErrorKind::WrongManager => Problem::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Claims => "the claims cannot be written into a token",
            ErrorKind::ClaimsSource => "the claims source failed",
            ErrorKind::DataConflict => "the session's data was changed by somebody else",
            ErrorKind::DataFormat => "the session's data is not of the expected type",
            ErrorKind::Internal => "the operating system or the cryptographic library failed",
            ErrorKind::InvalidRefreshToken => "the refresh token is not valid",
            ErrorKind::InvalidRequest => {
                "the request has credentials in two places, too many of them, or some that cannot be read"
            }
            ErrorKind::InvalidUserId => "the user id is not valid",
            ErrorKind::MissingRefreshToken => "there is no refresh token",
            ErrorKind::ProofOutdated => {
                "the proof of the login is older than an end of the user's sessions, or too old"
            }
            ErrorKind::SessionEnded => "the session has ended",
            ErrorKind::SessionLimitReached => "the user has too many sessions",
            ErrorKind::Store => "the session store failed",
            ErrorKind::TokenTooLong => "the token does not fit into a cookie: put less into the claims",
            ErrorKind::UserNotFound => "there is no such user",
            ErrorKind::WrongManager => {
                "session or tokens of another SessionManager: use the manager whose layer the route is under"
            }
        })?;
        // Only where the cause is a mistake of the application, and says which.
        match &self.source {
            Some(source)
                if matches!(self.kind, ErrorKind::Claims | ErrorKind::DataFormat | ErrorKind::InvalidUserId) =>
            {
                write!(f, ": {source}")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // Failures of the store and of the claims source are logged once per outage, where they occur. These are errors in
        // the application.
        if self.problem() == Problem::INTERNAL_ERROR {
            tracing::error!(target: LOG_TARGET, error = %self, kind = ?self.kind(), "session operation failed");
        }
        self.renderer.render(&self.problem())
    }
}
