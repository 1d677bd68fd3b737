//! Extractors: what a handler asks for.

use std::{convert::Infallible, fmt};

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{
    event::LOG_TARGET,
    middleware::SessionContext,
    problem::{Problem, Renderer},
    session::{Presented, Session},
    verifier::Unauthenticated,
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
    /// The request has no session. 401.
    Unauthenticated(Unauthenticated),
    /// The route is not under the layer, or only under one for other claims. 500.
    LayerMissing {
        /// The claims that the handler asked for.
        asked: &'static str,
        /// The claims of the layer that is there.
        found: Option<&'static str>,
    },
}

impl SessionRejection {
    fn layer_missing<C>(parts: &Parts) -> Self {
        let present = parts.extensions.get::<SessionContext>().map(SessionContext::any_verifier);
        Self {
            kind: SessionRejectionKind::LayerMissing {
                asked: std::any::type_name::<C>(),
                found: present.map(|verifier| verifier.claims_name()),
            },
            renderer: present.map(|verifier| verifier.renderer().clone()).unwrap_or_default(),
        }
    }

    /// Why.
    pub const fn kind(&self) -> SessionRejectionKind {
        self.kind
    }

    /// What the client is told: one code for every token that cannot be used.
    pub const fn problem(&self) -> Problem {
        match self.kind {
            SessionRejectionKind::Unauthenticated(Unauthenticated::RevocationsUnknown) => Problem::REVOCATIONS_UNKNOWN,
            SessionRejectionKind::Unauthenticated(Unauthenticated::NoCredentials) => Problem::MISSING_CREDENTIALS,
            SessionRejectionKind::Unauthenticated(_) => Problem::INVALID_TOKEN,
            SessionRejectionKind::LayerMissing { .. } => Problem::INTERNAL_ERROR,
        }
    }
}

impl fmt::Display for SessionRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SessionRejectionKind::Unauthenticated(reason) => write!(f, "the request has no session: {reason:?}"),
            SessionRejectionKind::LayerMissing { asked, found: None } => write!(
                f,
                "no session layer for Session<{asked}>: add .layer(sessions.layer()) to the router, after its routes"
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
        if matches!(self.kind, SessionRejectionKind::LayerMissing { .. }) {
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
        if let Some(session) = parts.extensions.get::<Self>() {
            return Ok(session.clone());
        }
        let Some(context) = SessionContext::of::<C>(&parts.extensions) else {
            return Err(SessionRejection::layer_missing::<C>(parts));
        };
        Err(SessionRejection {
            kind: SessionRejectionKind::Unauthenticated(context.reason.unwrap_or(Unauthenticated::NoCredentials)),
            renderer: context.any_verifier().renderer().clone(),
        })
    }
}

/// `None` for every cookie that cannot be used: an old one must not lock a browser out of a public page. An error only
/// where a good one cannot be judged, because the layer fails closed.
impl<C, S> OptionalFromRequestParts<S> for Session<C>
where
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = SessionRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Self::Rejection> {
        match <Self as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(session) => Ok(Some(session)),
            Err(rejection) => match rejection.kind {
                SessionRejectionKind::Unauthenticated(Unauthenticated::RevocationsUnknown)
                | SessionRejectionKind::LayerMissing { .. } => Err(rejection),
                SessionRejectionKind::Unauthenticated(_) => Ok(None),
            },
        }
    }
}

/// Never fails; without the layer it proves nothing, and says so in the log.
impl<C, S> FromRequestParts<S> for Presented<C>
where
    C: DeserializeOwned + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let context = SessionContext::of::<C>(&parts.extensions);
        let Some(verifier) = context.and_then(SessionContext::verifier::<C>) else {
            tracing::error!(target: LOG_TARGET, "{}", SessionRejection::layer_missing::<C>(parts));
            return Ok(Self::default());
        };
        Ok(verifier.present(&parts.headers))
    }
}
