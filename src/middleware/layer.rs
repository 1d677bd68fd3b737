//! The layer.

use std::fmt;

use serde::de::DeserializeOwned;
use tower_layer::Layer;

use super::{SessionService, context};
use crate::{claims::Claims, manager::SessionManager, revocation::StalePolicy, verifier::Verifier};

/// Verifies the access token of every request: [`SessionManager::layer`].
///
/// It inserts a [`Session<C>`](crate::Session) into the extensions of the request, or the reason why there is none, and
/// nothing where there are no credentials. It never rejects, never waits and does no I/O; extractors decide what a handler
/// needs.
///
/// It fits on any tower service of `http` requests. Answers that log in, refresh or log out keep their session cookies
/// whatever the handler's other response parts do to `Set-Cookie`.
#[must_use]
pub struct SessionLayer<C> {
    verifier: Verifier<C>,
}

impl<C> SessionLayer<C> {
    /// A layer on this verifier.
    pub const fn new(verifier: Verifier<C>) -> Self {
        Self { verifier }
    }

    /// What this layer does while the revocation log cannot be read, for example stricter than others on the routes of
    /// administrators.
    pub fn when_stale(self, policy: StalePolicy) -> Self
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        Self { verifier: self.verifier.when_stale(policy) }
    }
}

impl<C: Claims> SessionManager<C> {
    /// The layer that verifies every request.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_jwt_sessions::{Session, SessionManager};
    ///
    /// async fn me(session: Session) -> String {
    ///     session.user_id().to_string()
    /// }
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new().route("/me", get(me)).layer(sessions.layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn layer(&self) -> SessionLayer<C> {
        SessionLayer::new(self.verifier().clone())
    }
}

impl<S, C: Send + Sync + 'static> Layer<S> for SessionLayer<C> {
    type Service = SessionService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        context::announce(&self.verifier);
        SessionService::new(inner, self.verifier.clone())
    }
}

impl<C> Clone for SessionLayer<C> {
    fn clone(&self) -> Self {
        Self::new(self.verifier.clone())
    }
}

impl<C> fmt::Debug for SessionLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").finish_non_exhaustive()
    }
}
