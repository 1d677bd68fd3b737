//! Renewal within a request, for sites that render pages: the [`RenewalLayer`].
//!
//! A page is requested by a navigation, where no script can refresh first. When the access token has expired, the layer
//! refreshes the session *before* the handler runs. Handler, extractors and inner layers see the new session, and the
//! response carries the new cookies.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_jwt_sessions::{Session, SessionManager};
//!
//! async fn dashboard(session: Session) -> String {
//!     format!("Hello {}", session.user_id())
//! }
//!
//! fn app(sessions: &SessionManager) -> Router {
//!     Router::new()
//!         .route("/dashboard", get(dashboard))
//!         .layer(sessions.renewal_layer()) // in place of sessions.layer()
//!         // After the layer, which therefore does not renew these: scripts call them, and refresh first.
//!         .nest("/auth", sessions.router())
//! }
//! # let _ = app;
//! ```
//!
//! Nested before the layer, the companion routes are renewed as all others are: when a user navigates to them, or sends
//! a form of the site. A logout then still removes the cookies.

mod requests;
mod service;

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use self::requests::Scope;
pub use self::service::{RenewalFuture, RenewalService};
use crate::{
    auth::Verifier, claims::Claims, csrf::CrossSiteGuard, event::LOG_TARGET, health::Health, manager::SessionManager,
    revocation::StalePolicy,
};

/// Verifies the access token of every request as [`SessionLayer`](crate::SessionLayer) does, and refreshes the session
/// of a navigation first: [`SessionManager::renewal_layer`].
///
/// It takes the place of `SessionLayer`. A request is renewed if it has a refresh token, if its access token is
/// missing, has expired, is invalid or was expired by [`expire_access`](SessionManager::expire_access), and if it is
///
/// - a `GET` or `HEAD` that navigates: `Sec-Fetch-Mode: navigate` with `Sec-Fetch-Dest: document`, or an `iframe` of
///   the same origin; where the browser sends no fetch metadata, a request that accepts `text/html`;
/// - such a `POST`, a form, from the own origin: `Sec-Fetch-Site: same-origin` or, without fetch metadata, an `Origin`
///   that is the own one by the rules of [`CrossSiteGuard`]. The form reaches the handler with its body.
///
/// Not renewed are requests of scripts ([`also_for_scripts`](Self::also_for_scripts) changes that), prefetching and
/// prerendering, and clients with a Bearer token. So an idle tab that polls does not keep its session alive
/// indefinitely.
///
/// The request waits for a refresh for 200 ms at most. If the refresh is refused, the request goes on without a session,
/// as under `SessionLayer`. If the store or the claims source fails or is slower, it goes on as well, but the extractor
/// [`Session`](crate::Session) responds with `503`: an outage must not look like a logout. The cookies stay in both cases:
/// a removal could arrive after the cookies of a newer login. There is no redirect, so there is no loop.
///
/// The response sets the new cookies, except those that the handler sets itself by login, refresh or logout, and
/// `Cache-Control: private, no-store` in place of the handler's, and of headers such as `CDN-Cache-Control`. If the
/// response is lost, nothing is: the tokens that the client has stay good, as after every lost refresh.
/// [`Session::is_renewed`](crate::Session::is_renewed) tells the handler. In the request only the access token is
/// replaced, so a proxy passes on a valid one.
///
/// Parallel navigations refresh in parallel, and get the same tokens. A request that needs no renewal costs what it
/// costs under `SessionLayer`.
///
/// The inner service must be `Clone`, as routers are.
#[must_use]
pub struct RenewalLayer<C = ()> {
    sessions: SessionManager<C>,
    verifier: Verifier<C>,
    guard: CrossSiteGuard,
    scope: Scope,
    /// Whether refreshes are fast enough. An outage is seen elsewhere, by what is not available.
    pace: Arc<Health>,
}

impl<C: Claims> SessionManager<C> {
    /// Returns the layer that verifies every request and refreshes the session of a navigation before its handler runs,
    /// in place of [`layer`](Self::layer), for sites that render pages: see [`RenewalLayer`].
    ///
    /// Browsers must send the refresh cookie to the pages, so it needs cookies without
    /// [`refresh_path`](crate::cookie::CookieConfig::refresh_path).
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_jwt_sessions::{Session, SessionManager};
    ///
    /// async fn dashboard(session: Session) -> String {
    ///     session.user_id().to_string()
    /// }
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new().route("/dashboard", get(dashboard)).layer(sessions.renewal_layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn renewal_layer(&self) -> RenewalLayer<C> {
        if !self.verifier().inner().sources.cookies.refresh_accompanies_access() {
            tracing::warn!(
                target: LOG_TARGET,
                "renewal_layer() renews few pages: browsers send the refresh cookie below its refresh_path(..) only"
            );
        }
        RenewalLayer {
            sessions: self.for_all_requests(),
            verifier: self.verifier().clone(),
            guard: self.cross_site_guard(),
            scope: Scope::default(),
            pace: Arc::new(Health::of_renewals()),
        }
    }
}

impl<C> RenewalLayer<C> {
    /// Renews requests of scripts of the own origin too, of every method: pages that htmx or Turbo load, polling, event
    /// streams. Default: they are not renewed. Opening a WebSocket never is.
    ///
    /// A tab that polls then keeps its session alive until its absolute limit, so use it for single routes. Under a
    /// layer without it, another one with it may be around these routes:
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// async fn page() {}
    /// async fn fragment() {}
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     let fragments = Router::new()
    ///         .route("/fragment", get(fragment))
    ///         .layer(sessions.renewal_layer().also_for_scripts());
    ///     Router::new().route("/page", get(page)).merge(fragments).layer(sessions.renewal_layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn also_for_scripts(self) -> Self {
        Self { scope: Scope::PagesAndScripts, ..self }
    }

    /// Sets what this layer does while the revocation log cannot be read, as
    /// [`SessionLayer::when_stale`](crate::SessionLayer::when_stale) does.
    pub fn when_stale(self, policy: StalePolicy) -> Self
    where
        C: Claims,
    {
        Self { verifier: self.verifier.when_stale(policy), ..self }
    }
}

impl<S, C> Layer<S> for RenewalLayer<C> {
    type Service = RenewalService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        RenewalService::new(inner, self.clone())
    }
}

impl<C> Clone for RenewalLayer<C> {
    fn clone(&self) -> Self {
        Self {
            sessions: self.sessions.clone(),
            verifier: self.verifier.clone(),
            guard: self.guard.clone(),
            scope: self.scope,
            pace: Arc::clone(&self.pace),
        }
    }
}

impl<C> fmt::Debug for RenewalLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewalLayer").field("scope", &self.scope).finish_non_exhaustive()
    }
}
