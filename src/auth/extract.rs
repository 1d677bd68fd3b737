//! The extractors of handlers.

use std::{fmt, ops::Deref, time::Duration};

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::de::DeserializeOwned;

#[cfg(feature = "router")]
use super::Verifier;
use super::{
    PresentedTokens, Session, VerifyError,
    outcome::{self, Outcome},
};
use crate::{
    event::LOG_TARGET,
    problem::{Problem, Recipient, Renderer},
};

/// Why an extractor or a guard rejected a request. It is a response.
#[derive(Clone)]
pub struct SessionRejection {
    kind: SessionRejectionKind,
    renderer: Renderer,
    recipient: Recipient,
}

/// The kinds of [`SessionRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionRejectionKind {
    /// The request has no session. 401, and 400 or 503 where the reason says so.
    Unauthenticated(VerifyError),
    /// The session does not meet the condition of a guard: [`guard::require`](crate::guard::require) or
    /// [`Session::require`]. 403.
    NotPermitted,
    /// The login is too long ago: [`guard::require_recent_login`](crate::guard::require_recent_login) or
    /// [`Session::require_recent_login`]. 401.
    LoginNotRecent {
        /// How old the login may be.
        max_age: Duration,
    },
    /// The session is not bound to a device: [`guard::require_device_binding`](crate::guard::require_device_binding) or
    /// [`Session::require_device_binding`]. 403.
    DeviceNotBound,
    /// The store had to be asked and did not answer. 503.
    StoreUnavailable,
    /// The handler asks for a [`StoreChecked`] session, but the verifier has no store, or the session is one of
    /// `Session::for_test`. 500.
    NoStore,
    /// The route is not under the layer, or only under one for other claims. 500.
    LayerMissing {
        /// The claims that the handler asked for.
        asked: &'static str,
        /// The claims of the layer that is there, if it found credentials.
        found: Option<&'static str>,
    },
}

impl SessionRejection {
    /// Rejects a request in which a guard found no session, as the extractor does.
    pub(crate) fn without_session<C: Send + Sync + 'static>(parts: &Parts) -> Self {
        find::<C>(parts).map_or_else(|missing| missing, |outcome| unauthenticated(&outcome, parts))
    }

    /// Rejects this request: a page leads to the login.
    fn new(kind: SessionRejectionKind, renderer: Renderer, parts: &Parts) -> Self {
        Self { kind, recipient: renderer.visitor(parts), renderer }
    }

    /// Answers this request: with a page or a redirect to the login where it is a navigation, and for
    /// [`render_errors`](crate::manager::SessionManagerBuilder::render_errors) with its parts. Extractors and guards do
    /// so themselves; it is for rejections by [`Session::require`] and [`Session::require_recent_login`].
    #[must_use]
    pub fn for_request(self, parts: &Parts) -> Self {
        Self::new(self.kind, self.renderer, parts)
    }

    /// Returns the reason.
    pub const fn kind(&self) -> SessionRejectionKind {
        self.kind
    }

    /// Returns what the client is told: one code for every token that cannot be used.
    pub const fn problem(&self) -> Problem {
        match self.kind {
            SessionRejectionKind::Unauthenticated(reason) => reason.problem(),
            SessionRejectionKind::NotPermitted => Problem::INSUFFICIENT_SCOPE,
            SessionRejectionKind::LoginNotRecent { max_age } => Problem::login_not_recent(max_age),
            SessionRejectionKind::DeviceNotBound => Problem::DEVICE_BINDING_REQUIRED,
            SessionRejectionKind::StoreUnavailable => Problem::STORE_UNAVAILABLE,
            SessionRejectionKind::NoStore | SessionRejectionKind::LayerMissing { .. } => Problem::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SessionRejectionKind::Unauthenticated(reason) => write!(f, "no session: {reason}"),
            SessionRejectionKind::NotPermitted => f.write_str("the session does not permit this"),
            SessionRejectionKind::LoginNotRecent { max_age } => {
                write!(f, "the login is more than {} seconds ago", max_age.as_secs())
            }
            SessionRejectionKind::DeviceNotBound => f.write_str("the session is not bound to a device"),
            SessionRejectionKind::StoreUnavailable => f.write_str("session store unavailable"),
            SessionRejectionKind::NoStore => {
                f.write_str("no store behind the verifier: StoreChecked needs the layer of a SessionManager")
            }
            SessionRejectionKind::LayerMissing { asked, found: None } => write!(
                f,
                "no session layer for Session<{asked}>: add .layer(sessions.layer()) to the router, after its routes, and \
                 ask for its claims"
            ),
            SessionRejectionKind::LayerMissing { asked, found: Some(found) } => write!(
                f,
                "no session layer for Session<{asked}>, only one for Session<{found}>: ask for the claims of the layer"
            ),
        }
    }
}

impl fmt::Debug for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRejection").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl std::error::Error for SessionRejection {}

impl IntoResponse for SessionRejection {
    fn into_response(self) -> Response {
        if matches!(self.kind, SessionRejectionKind::NoStore | SessionRejectionKind::LayerMissing { .. }) {
            tracing::error!(target: LOG_TARGET, "{self}");
        }
        self.renderer.render(&self.problem(), &self.recipient)
    }
}

impl<C> Session<C> {
    /// Rejects what this session may not do.
    pub(super) fn reject(&self, kind: SessionRejectionKind) -> SessionRejection {
        let renderer = self.verifier().map(|verifier| verifier.renderer.clone()).unwrap_or_default();
        SessionRejection { kind, renderer, recipient: Recipient::default() }
    }
}

/// Rejects a request without a session with `401`.
impl<C, S> FromRequestParts<S> for Session<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match find::<C>(parts)? {
            Outcome::Authenticated(session) => Ok(session.clone()),
            other => Err(unauthenticated(&other, parts)),
        }
    }
}

/// Returns `None` for every cookie that cannot be used: an old one must not lock a browser out of a public page.
/// Rejects a valid one that cannot be judged, because the layer fails closed, and every Bearer token that cannot be
/// used, where those are accepted: a client chooses to send one.
impl<C, S> OptionalFromRequestParts<S> for Session<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        match find::<C>(parts)? {
            Outcome::Authenticated(session) => Ok(Some(session.clone())),
            other if may_be_anonymous(&other, other.reason(), parts) => Ok(None),
            other => Err(unauthenticated(&other, parts)),
        }
    }
}

/// A session that the store confirmed in this request: `StoreChecked<Session<C>>`.
///
/// A [`Session`] is valid as far as this node knows. It learns of what other nodes end within milliseconds, and later
/// during an outage of the revocation log. For the few routes where that is too late, such as deleting an account or
/// moving money, this extractor reads the record: one round trip to the store.
///
/// The handler runs if the session is alive and its access was not expired. Otherwise the response is `401`, or `503`
/// with the code `store_unavailable` if the store does not respond. `Option<StoreChecked<Session<C>>>` is `None` instead
/// of the `401`.
///
/// ```
/// use tower_jwt_sessions::{Session, StoreChecked};
///
/// async fn delete_account(session: StoreChecked<Session>) -> String {
///     format!("{} is logged in", session.user_id())
/// }
/// # let _ = delete_account;
/// ```
pub struct StoreChecked<S>(S);

impl<S> StoreChecked<S> {
    /// Returns the session.
    pub fn into_inner(self) -> S {
        self.0
    }
}

#[cfg(any(test, feature = "test-util"))]
impl<C> StoreChecked<Session<C>> {
    /// Marks a session without asking a store, for tests of handlers.
    pub const fn for_test(session: Session<C>) -> Self {
        Self(session)
    }
}

impl<S> Deref for StoreChecked<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: Clone> Clone for StoreChecked<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: fmt::Debug> fmt::Debug for StoreChecked<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreChecked").field(&self.0).finish()
    }
}

/// Rejects a request without a session, or whose session has ended, with `401`, and with `503` when the store does not
/// answer.
impl<C, S> FromRequestParts<S> for StoreChecked<Session<C>>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let session = <Session<C> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let token = session.registered();
        let kind = match session.backend() {
            None => SessionRejectionKind::NoStore,
            Some(backend) => match backend.is_good(token).await {
                Ok(true) => return Ok(Self(session)),
                Ok(false) => SessionRejectionKind::Unauthenticated(VerifyError::Revoked),
                Err(_) => SessionRejectionKind::StoreUnavailable,
            },
        };
        Err(SessionRejection::new(kind, Outcome::Authenticated(&session).renderer(), parts))
    }
}

/// Returns `None` for every cookie that cannot be used or whose session has ended. Rejects what cannot be judged, and
/// every Bearer token that cannot be used.
impl<C, S> OptionalFromRequestParts<S> for StoreChecked<Session<C>>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Self::Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(session) => Ok(Some(session)),
            Err(rejection) => match rejection.kind {
                SessionRejectionKind::Unauthenticated(reason)
                    if may_be_anonymous(&find::<C>(parts)?, reason, parts) =>
                {
                    Ok(None)
                }
                _ => Err(rejection),
            },
        }
    }
}

/// Rejects only requests that have not passed the layer: what a manager does with what they present would be without
/// effect.
impl<C, S> FromRequestParts<S> for PresentedTokens<C>
where
    C: DeserializeOwned + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        find::<C>(parts)?.present(parts).ok_or_else(|| layer_missing::<C>(parts))
    }
}

/// Finds what the layer for these claims found.
fn find<C: Send + Sync + 'static>(parts: &Parts) -> Result<Outcome<'_, C>, SessionRejection> {
    Outcome::find(&parts.extensions).ok_or_else(|| layer_missing::<C>(parts))
}

#[cfg(feature = "router")]
impl<C> Verifier<C> {
    /// Rejects a request that this verifier found no session in.
    pub(crate) fn reject(&self, reason: VerifyError, parts: &Parts) -> SessionRejection {
        SessionRejection::new(SessionRejectionKind::Unauthenticated(reason), self.inner().renderer.clone(), parts)
    }
}

fn layer_missing<C>(parts: &Parts) -> SessionRejection {
    let (found, renderer) = outcome::find_any(&parts.extensions).map(|other| (other.claims, other.renderer)).unzip();
    let kind = SessionRejectionKind::LayerMissing { asked: std::any::type_name::<C>(), found };
    SessionRejection::new(kind, renderer.unwrap_or_default(), parts)
}

fn unauthenticated<C: Send + Sync + 'static>(outcome: &Outcome<'_, C>, parts: &Parts) -> SessionRejection {
    let kind = SessionRejectionKind::Unauthenticated(outcome.reason());
    SessionRejection::new(kind, outcome.renderer(), parts)
}

/// Whether a request certainly has no session, and did not explicitly claim to have one.
fn may_be_anonymous<C: Send + Sync + 'static>(outcome: &Outcome<'_, C>, reason: VerifyError, parts: &Parts) -> bool {
    reason != VerifyError::RevocationsUnknown && !outcome.is_explicit(&parts.headers)
}
