//! What an application puts together at start-up: builder, layer and guards.

use super::{SessionManager, SessionManagerBuilder};
#[cfg(feature = "router")]
use crate::csrf::{CrossSiteGuard, UpgradeGuard};
use crate::{auth::SessionLayer, claims::Claims};

// The bound is on the function: where it is on the block, the compiler does not show the note of `Claims`.
impl<C> SessionManager<C> {
    /// Returns a builder with the default options.
    pub fn builder() -> SessionManagerBuilder<C>
    where
        C: Claims,
    {
        SessionManagerBuilder::new()
    }
}

impl<C: Claims> SessionManager<C> {
    /// Returns the layer that verifies every request.
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

    /// Returns the guard against cross-site requests that all companion routes have, for routes of the application. The
    /// login route needs it most: without it another site can log a browser in as another user.
    ///
    /// ```
    /// use axum::{Router, routing::post};
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// async fn login() {}
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new().route("/login", post(login).layer(sessions.cross_site_guard()))
    /// }
    /// # let _ = app;
    /// ```
    #[cfg(feature = "router")]
    pub fn cross_site_guard(&self) -> CrossSiteGuard {
        self.inner.cross_site_guard.clone()
    }

    /// Returns the guard for routes that open a WebSocket: it checks requests of every method.
    ///
    /// A WebSocket begins with a `GET`, which the [`cross_site_guard`](Self::cross_site_guard) lets pass, and browsers
    /// let every page open one to any server, with the cookies that `SameSite` allows. So pages of other origins are
    /// refused with `403` before the upgrade: `Sec-Fetch-Site` must say `same-origin` or, where a browser does not send
    /// it, `Origin` must be the [`own_origin`](SessionManagerBuilder::own_origin) or, without one, name the `Host` of
    /// the request. A [`trusted_origin`](SessionManagerBuilder::trusted_origin) passes, and so do clients other than
    /// browsers, which send neither header.
    ///
    /// ```
    /// use axum::{Router, response::Response, routing::get};
    /// use tower_jwt_sessions::{Session, SessionManager};
    ///
    /// async fn chat(session: Session /* , upgrade: WebSocketUpgrade */) { /* … */ }
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new().route("/chat", get(chat).layer(sessions.upgrade_guard())).layer(sessions.layer())
    /// }
    /// # let _ = app;
    /// ```
    #[cfg(feature = "router")]
    pub fn upgrade_guard(&self) -> UpgradeGuard {
        self.inner.cross_site_guard.for_upgrades()
    }
}
