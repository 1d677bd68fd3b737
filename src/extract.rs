//! Extractors: what a handler asks for.

use std::{convert::Infallible, fmt, ops::Deref};

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{
    event::LOG_TARGET,
    middleware::{self, Passed},
    problem::{Problem, Renderer},
    session::{PresentedTokens, Session},
    verifier::VerifyError,
};

/// Why a handler that asked for a [`Session`] did not get one. It is a response.
#[derive(Clone)]
pub struct SessionRejection {
    kind: SessionRejectionKind,
    renderer: Renderer,
}

/// The kinds of [`SessionRejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionRejectionKind {
    /// The request has no session. 401, and 400 or 503 where the reason says so.
    Unauthenticated(VerifyError),
    /// The store had to be asked and did not answer. 503.
    StoreUnavailable,
    /// The handler asks for a [`StoreChecked`] session, but there is no store behind the verifier, or the session is one of
    /// `Session::for_test`. 500.
    NoStore,
    /// The route is not under the layer, or only under one for other claims. 500.
    ///
    /// A request without credentials does not tell: where the process has a layer for these claims, it is
    /// [`VerifyError`](VerifyError::NoCredentials) on every route.
    LayerMissing {
        /// The claims that the handler asked for.
        asked: &'static str,
        /// The claims of the layer that is there, if the request has credentials for it.
        found: Option<&'static str>,
    },
}

impl SessionRejection {
    fn layer_missing<C>(parts: &Parts) -> Self {
        let (found, renderer) = middleware::any(&parts.extensions).unzip();
        let asked = std::any::type_name::<C>();
        Self { kind: SessionRejectionKind::LayerMissing { asked, found }, renderer: renderer.unwrap_or_default() }
    }

    fn unauthenticated<C: Send + Sync + 'static>(passed: &Passed<'_, C>) -> Self {
        Self { kind: SessionRejectionKind::Unauthenticated(passed.reason()), renderer: passed.renderer() }
    }

    /// Why.
    pub const fn kind(&self) -> SessionRejectionKind {
        self.kind
    }

    /// What the client is told: one code for every token that cannot be used.
    pub const fn problem(&self) -> Problem {
        match self.kind {
            SessionRejectionKind::Unauthenticated(reason) => reason.problem(),
            SessionRejectionKind::StoreUnavailable => Problem::STORE_UNAVAILABLE,
            SessionRejectionKind::NoStore | SessionRejectionKind::LayerMissing { .. } => Problem::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SessionRejectionKind::Unauthenticated(reason) => write!(f, "no session: {reason}"),
            SessionRejectionKind::StoreUnavailable => f.write_str("the session store did not answer"),
            SessionRejectionKind::NoStore => f.write_str(
                "a live session was asked for, but this verifier has no store to ask: use the layer of a SessionManager",
            ),
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
        self.renderer.render(&self.problem())
    }
}

/// A request without a session is answered with `401`.
impl<C, S> FromRequestParts<S> for Session<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match passed::<C>(parts)? {
            Passed::Session(session) => Ok(session.clone()),
            other => Err(SessionRejection::unauthenticated(&other)),
        }
    }
}

/// `None` for every cookie that cannot be used: an old one must not lock a browser out of a public page. An error where
/// a good one cannot be judged, because the layer fails closed, and for every Bearer token that cannot be used, where
/// those are accepted: a client that sends one means it.
impl<C, S> OptionalFromRequestParts<S> for Session<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        match passed::<C>(parts)? {
            Passed::Session(session) => Ok(Some(session.clone())),
            other if is_nobody(&other, other.reason(), parts) => Ok(None),
            other => Err(SessionRejection::unauthenticated(&other)),
        }
    }
}

/// A session that the store was asked about in this request: `StoreChecked<Session<C>>`.
///
/// A [`Session`] is good as far as this node knows, which lags behind other nodes by milliseconds, and by as long as
/// an outage of the revocation log lasts. For the few routes where that is too much, such as deleting an account or
/// moving money, this extractor reads the record: one round trip to the store.
///
/// The handler runs if the session lives and its access token was not expired. Otherwise the answer is `401`, and `503`
/// with the code `store_unavailable` if the store does not answer. `Option<StoreChecked<Session<C>>>` is `None` instead of the
/// `401`.
///
/// ```
/// use tower_jwt_sessions::{Session, StoreChecked};
///
/// async fn delete_account(session: StoreChecked<Session>) -> String {
///     format!("{} is really there", session.user_id())
/// }
/// # let _ = delete_account;
/// ```
pub struct StoreChecked<S>(S);

impl<S> StoreChecked<S> {
    /// The session, no longer marked.
    pub fn into_inner(self) -> S {
        self.0
    }
}

#[cfg(any(test, feature = "test-util"))]
impl<C> StoreChecked<Session<C>> {
    /// A session that no store was asked about, to call handlers with: for tests.
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

/// A request without a live session is answered with `401`, and with `503` when the store cannot tell.
impl<C, S> FromRequestParts<S> for StoreChecked<Session<C>>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let session = <Session<C> as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let (token, backend) = session.proof();
        let kind = match backend {
            None => SessionRejectionKind::NoStore,
            Some(backend) => match backend.is_good(&token.user_id, token.session_id, token.epoch).await {
                Ok(true) => return Ok(Self(session)),
                Ok(false) => SessionRejectionKind::Unauthenticated(VerifyError::Revoked),
                Err(_) => SessionRejectionKind::StoreUnavailable,
            },
        };
        let renderer = Passed::Session(&session).renderer();
        Err(SessionRejection { kind, renderer })
    }
}

/// `None` for every cookie that cannot be used or whose session has ended. An error where nobody can tell, and for every
/// Bearer token that cannot be used.
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
                SessionRejectionKind::Unauthenticated(reason) if is_nobody(&passed::<C>(parts)?, reason, parts) => {
                    Ok(None)
                }
                _ => Err(rejection),
            },
        }
    }
}

/// What a layer for these claims found.
fn passed<C: Send + Sync + 'static>(parts: &Parts) -> Result<Passed<'_, C>, SessionRejection> {
    Passed::of(&parts.extensions, &parts.headers).ok_or_else(|| SessionRejection::layer_missing::<C>(parts))
}

/// Whether a request certainly has no session, and did not claim to have one.
fn is_nobody<C: Send + Sync + 'static>(passed: &Passed<'_, C>, reason: VerifyError, parts: &Parts) -> bool {
    reason != VerifyError::RevocationsUnknown && !passed.is_meant(&parts.headers)
}

/// Never fails; without the layer it proves nothing, and says so in the log.
impl<C, S> FromRequestParts<S> for PresentedTokens<C>
where
    C: DeserializeOwned + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let passed = Passed::of(&parts.extensions, &parts.headers);
        Ok(passed.and_then(|passed| passed.present(&parts.headers)).unwrap_or_else(|| {
            tracing::error!(target: LOG_TARGET, "{}", SessionRejection::layer_missing::<C>(parts));
            Self::default()
        }))
    }
}
