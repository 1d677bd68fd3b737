//! A manager that knows the request that it is used in.

use std::{convert::Infallible, sync::Arc};

use axum_core::extract::{FromRef, FromRequestParts};
use http::request::Parts;

use super::SessionManager;
use crate::{
    auth::PresentedTokens,
    claims::Claims,
    event::{Cause, EndCause, EndReason, Operation},
};

impl<C: Claims> SessionManager<C> {
    /// Returns the manager for use within this request: see [above](Self#within-a-request).
    ///
    /// ```
    /// use http::request::Parts;
    /// use tower_jwt_sessions::{Error, SessionManager};
    ///
    /// async fn disable(sessions: &SessionManager, parts: &Parts, user: u64) -> Result<usize, Error> {
    ///     sessions.for_request(parts).end_all(user).await
    /// }
    /// # let _ = disable;
    /// ```
    #[must_use]
    pub fn for_request(&self, parts: &Parts) -> Self {
        let context = self.verification().context(parts);
        Self { context: Some(context), ..self.clone() }
    }

    /// Returns the manager for use within the request that presents these tokens.
    pub(super) fn within(&self, presented: &PresentedTokens<C>) -> Self {
        let context = self.context.as_ref().or(presented.context.as_ref());
        Self { inner: Arc::clone(&self.inner), context: context.cloned() }
    }

    /// Returns the manager without a request, for what serves many.
    #[cfg(feature = "router")]
    pub(crate) fn for_all_requests(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), context: None }
    }

    pub(super) fn cause(&self, operation: Operation) -> Cause {
        Cause { operation, client: self.context.as_ref().map(|context| Arc::clone(&context.client)) }
    }

    pub(super) fn end_cause(&self, reason: EndReason, operation: Operation) -> EndCause {
        EndCause { reason, cause: self.cause(operation) }
    }
}

/// The manager of the state, [within the request](SessionManager#within-a-request). Never rejected.
impl<C, S> FromRequestParts<S> for SessionManager<C>
where
    C: Claims,
    S: Send + Sync,
    Self: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::from_ref(state).for_request(parts))
    }
}
