//! Errors: [`ConfigError`] at build time, [`Error`] while serving, and the [`Problem`] that clients receive.
//!
//! ```
//! use tower_jwt_sessions::{Error, KeyRing, SessionCookies, SessionManager, error::{ConfigErrorKind, ErrorKind}};
//!
//! let error = KeyRing::hs256("too short").unwrap_err();
//! assert_eq!(error.kind(), ConfigErrorKind::WeakKey);
//! println!("{error}"); // what is wrong, and what to do
//!
//! /// An `Error` is a response; a kind decides what else to do.
//! async fn login(sessions: &SessionManager) -> Result<SessionCookies, Error> {
//!     sessions.login("alice").await.inspect_err(|error| {
//!         if error.kind() == ErrorKind::SessionLimitReached {
//!             // offer to end another session
//!         }
//!     })
//! }
//! # let _ = login;
//! ```

use std::{error::Error as StdError, fmt};

use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::problem::{Recipient, Renderer};
pub use crate::{
    id::{InvalidSessionId, InvalidUserId},
    problem::Problem,
};

/// The target of every line that the crate logs.
pub(crate) const LOG_TARGET: &str = "tower_jwt_sessions";

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// A configuration that cannot work, found while building: opaque, with a [`kind`](ConfigError::kind).
///
/// Every message says what to change, also as `Debug`, which is what a `main` that returns it prints. No message shows
/// a key, a secret or a password.
///
/// ```
/// use tower_jwt_sessions::{KeyRing, error::ConfigErrorKind};
///
/// let error = KeyRing::hs256("too short").unwrap_err();
/// assert_eq!(error.kind(), ConfigErrorKind::WeakKey);
/// assert!(error.to_string().starts_with("secret too short: 9 bytes, need at least 32"));
/// ```
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: String,
    source: Option<BoxError>,
}

/// The kinds of [`ConfigError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// The type of the claims has values that no token can carry.
    InvalidClaimsType,
    /// A cookie setting, or a combination of them, that browsers refuse or that is ambiguous.
    InvalidCookie,
    /// A key, a JWK or a set of them that cannot be read or is contradictory, or an invalid, duplicate or unknown key
    /// id.
    InvalidKey,
    /// A change of keys while serving that would refuse tokens before they expire. Nothing was changed.
    InvalidKeyChange,
    /// A lifetime or replay window out of range, or two of them that contradict each other.
    InvalidLifetime,
    /// An issuer, an audience or a size of the signature cache out of range.
    InvalidOption,
    /// An origin that no browser sends.
    InvalidOrigin,
    /// A URL, a key prefix or a client for Redis that cannot be used.
    InvalidStore,
    /// An option without a default was not set.
    MissingOption,
    /// `build`, or a constructor that starts background tasks, was called outside of a tokio runtime.
    NoRuntime,
    /// A private key or a secret where public keys belong.
    PrivateKey,
    /// The access and the refresh ring share a key, so that one kind of token could pass for the other.
    SharedKey,
    /// The store could not be reached while building.
    StoreUnreachable,
    /// An algorithm that is not supported, or not for this kind of token.
    UnsupportedAlgorithm,
    /// A key that protects nothing: a secret that is shorter than its hash (RFC 7518, section 3.2) or all zeros, or an
    /// Ed25519 public key of small order.
    WeakKey,
}

impl ConfigError {
    /// The message is `problem: help`, in lower case and without a full stop.
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    #[cfg(feature = "redis")]
    #[must_use]
    pub(crate) fn caused_by(self, source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    pub(crate) fn no_runtime() -> Self {
        Self::new(
            ConfigErrorKind::NoRuntime,
            "no tokio runtime for background tasks: connect the store and call build() within one, for example under \
             #[tokio::main]",
        )
    }

    /// Returns what went wrong.
    pub const fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for ConfigError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Returns what serde expected. Only from serde's own messages, where it follows what was found and names only fields
/// and types; messages of other code may contain anything.
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

/// An error while serving: opaque, with a [`kind`](Error::kind).
///
/// As a response it is the [`Problem`] of its kind. Its message and its sources are for the log and contain no token.
pub struct Error {
    kind: ErrorKind,
    source: Option<BoxError>,
    renderer: Renderer,
    recipient: Recipient,
}

/// The kinds of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The session that is to act as a user is already acting as another one
    /// ([`Login::acting`](crate::manager::Login::acting)). Nothing was changed. 403.
    AlreadyActing,
    /// A key of a device was registered for the session before. Nothing was changed. 403.
    AlreadyBound,
    /// The claims cannot be written into a token: they are not an object, or use a reserved name. 500.
    Claims,
    /// The claims source failed. Nothing was changed. 503.
    ClaimsSource,
    /// The session's data was changed concurrently. 409.
    DataConflict,
    /// The session's data is not of the requested type, or cannot be written as JSON. 500.
    DataFormat,
    /// The operating system or the cryptographic library failed. 500.
    Internal,
    /// What should prove that a device has its key is malformed, or was not signed by that key. Nothing was changed. 400.
    InvalidDeviceProof,
    /// The refresh token has expired, was superseded, belongs to an ended session or has no valid signature. 401.
    InvalidRefreshToken,
    /// The request has credentials in two places, more than four cookies of one name, or an `Authorization` header that
    /// is not one Bearer token. 400.
    InvalidRequest,
    /// The user id is empty or longer than 255 bytes. 500.
    InvalidUserId,
    /// The request carried no refresh token. 401.
    MissingRefreshToken,
    /// The user's sessions were ended after the proof of this login began, or the proof is older than half an hour
    /// ([`Login::proven_since`](crate::manager::Login::proven_since)). Nothing was changed: the user has to log in
    /// again. 401.
    ProofOutdated,
    /// The session is bound to a device, which has not proven this refresh. Nothing was changed: its browser refreshes by
    /// itself before its next request. 403.
    ProofRequired,
    /// The session has ended. 401.
    SessionEnded,
    /// The user has as many sessions as allowed, and the limit refuses further logins. 409.
    SessionLimitReached,
    /// The store failed. The outcome is unknown, and a retry is safe. 503.
    Store,
    /// A token and the name of its cookie exceed the 4096 bytes that browsers store. Nothing was changed. 500.
    TokenTooLong,
    /// The user who logs in does not exist in the claims source. 403.
    UserNotFound,
    /// The [`Session`](crate::Session) or [`PresentedTokens`](crate::PresentedTokens) comes from the layer or verifier
    /// of another [`SessionManager`](crate::SessionManager). Nothing was changed. 500.
    WrongManager,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, renderer: &Renderer) -> Self {
        Self { kind, source: None, renderer: renderer.clone(), recipient: Recipient::default() }
    }

    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Renders the error for this request: as a page for navigations, and for
    /// [`render_errors`](crate::manager::SessionManagerBuilder::render_errors) with its parts.
    ///
    /// Few handlers need it. The errors of a manager that the handler has
    /// [as an extractor](crate::SessionManager#within-a-request) know their request, and so do those of operations that
    /// are given the [`PresentedTokens`](crate::PresentedTokens) of an extractor. For any other error, such as one of
    /// [`Session::session_claims`](crate::Session::session_claims), the response is that to a request that is not known:
    /// a problem document. No layer changes that afterwards, since it would have to remember every request until its
    /// response, and could not replace bodies of any type.
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_jwt_sessions::{Error, Session};
    ///
    /// async fn tenant(session: Session, parts: Parts) -> Result<String, Error> {
    ///     let claims = session.session_claims::<(String,)>().map_err(|error| error.for_request(&parts))?;
    ///     Ok(claims.map(|(tenant,)| tenant).unwrap_or_default())
    /// }
    /// # let _ = tenant;
    /// ```
    #[must_use]
    pub fn for_request(mut self, parts: &Parts) -> Self {
        self.recipient = self.renderer.recipient(parts);
        self
    }

    /// Returns what went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the problem that the client receives.
    pub const fn problem(&self) -> Problem {
        match self.kind {
            ErrorKind::AlreadyActing => Problem::ALREADY_ACTING,
            ErrorKind::AlreadyBound => Problem::ALREADY_BOUND,
            ErrorKind::ClaimsSource => Problem::CLAIMS_UNAVAILABLE,
            ErrorKind::Store => Problem::STORE_UNAVAILABLE,
            ErrorKind::DataConflict => Problem::DATA_CONFLICT,
            ErrorKind::MissingRefreshToken => Problem::MISSING_CREDENTIALS,
            ErrorKind::InvalidDeviceProof => Problem::INVALID_DEVICE_PROOF,
            ErrorKind::InvalidRefreshToken => Problem::INVALID_REFRESH_TOKEN,
            ErrorKind::InvalidRequest => Problem::INVALID_REQUEST,
            ErrorKind::ProofOutdated => Problem::PROOF_OUTDATED,
            ErrorKind::ProofRequired => Problem::PROOF_REQUIRED,
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
            ErrorKind::AlreadyActing => "the session is already acting as another user",
            ErrorKind::AlreadyBound => "the session has the key of a device already",
            ErrorKind::Claims => "invalid claims",
            ErrorKind::ClaimsSource => "claims source failed",
            ErrorKind::DataConflict => "session data changed concurrently",
            ErrorKind::DataFormat => "session data of an unexpected type",
            ErrorKind::Internal => "operating system or cryptographic library failed",
            ErrorKind::InvalidDeviceProof => "malformed proof of a device, or one of another key",
            ErrorKind::InvalidRefreshToken => "invalid refresh token",
            ErrorKind::InvalidRequest => "ambiguous or malformed credentials",
            ErrorKind::InvalidUserId => "invalid user id",
            ErrorKind::MissingRefreshToken => "no refresh token",
            ErrorKind::ProofOutdated => "proof of the login older than an end of the user's sessions, or too old",
            ErrorKind::ProofRequired => "session bound to a device: refresh without its proof",
            ErrorKind::SessionEnded => "session ended",
            ErrorKind::SessionLimitReached => "session limit reached",
            ErrorKind::Store => "session store failed",
            ErrorKind::TokenTooLong => "token too long for a cookie: put less into the claims",
            ErrorKind::UserNotFound => "user not found",
            ErrorKind::WrongManager => {
                "session or tokens of another SessionManager: use the manager whose layer the route is under"
            }
        })?;
        // Only where the cause is a mistake in the application and names it.
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

impl Error {
    /// Sets whom the response is for.
    pub(crate) fn addressed_to(mut self, recipient: &Recipient) -> Self {
        self.recipient = recipient.clone();
        self
    }

    /// Whether it is an error in the application.
    pub(crate) fn is_internal(&self) -> bool {
        self.problem() == Problem::INTERNAL_ERROR
    }

    /// Logs an error in the application. Failures of the store and of the claims source are logged once per outage,
    /// where they occur.
    pub(crate) fn log_if_internal(&self) {
        if self.is_internal() {
            tracing::error!(target: LOG_TARGET, error = %self, kind = ?self.kind(), "session operation failed");
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log_if_internal();
        self.renderer.render(&self.problem(), &self.recipient)
    }
}
