//! Refuses cross-site requests by what browsers say about their origin, with the rules of Go's `CrossOriginProtection`.
//!
//! The companion router has the [`CrossSiteGuard`] on all its routes. Add it to those routes of the application that
//! change something, above all to the login, and the [`UpgradeGuard`] to routes that open a WebSocket:
//!
//! ```
//! use axum::{Router, routing::{get, post}};
//! use tower_jwt_sessions::SessionManager;
//!
//! async fn login() { /* … */ }
//! async fn chat() { /* … */ }
//!
//! fn app(sessions: &SessionManager) -> Router {
//!     Router::new()
//!         .route("/login", post(login).layer(sessions.cross_site_guard()))
//!         .route("/chat", get(chat).layer(sessions.upgrade_guard()))
//!         .nest("/auth", sessions.router())
//!         .layer(sessions.layer())
//! }
//! # let _ = app;
//! ```

mod config;
mod guard;
mod origin;
mod plain_http;
mod rules;
mod service;

use std::sync::Arc;

use http::{HeaderMap, Uri};
use tower_layer::Layer;

pub(crate) use self::config::CsrfConfig;
use self::guard::Guard;
pub use self::service::{GuardFuture, GuardService};
use crate::{cookie::CookieSettings, error::ConfigError, problem::Renderer};

/// Refuses state-changing requests from other sites with `403`:
/// [`SessionManager::cross_site_guard`](crate::SessionManager::cross_site_guard).
///
/// `SameSite` cookies stop most of them in the browser. The guard stops the others at the server, also where there is
/// no session yet (OWASP ASVS 5.0, 3.5.1):
///
/// 1. `GET`, `HEAD` and `OPTIONS` pass.
/// 2. A request with more than one `Sec-Fetch-Site`, `Origin` or `Host` is refused.
/// 3. A request from a [trusted origin](crate::manager::SessionManagerBuilder::trusted_origin) passes.
/// 4. If `Sec-Fetch-Site` is there, `same-origin` and `none` pass and other values are refused.
/// 5. Otherwise, if `Origin` is there, it must be the [own origin](crate::manager::SessionManagerBuilder::own_origin).
///    Without a configured one it must name the `Host` of the request; case and the default port of the scheme make no
///    difference.
/// 6. A request with neither header comes from no browser. It passes, unless
///    [`refuse_without_origin`](crate::manager::SessionManagerBuilder::refuse_without_origin) is set and it has session
///    cookies.
///
/// `X-Forwarded-…` headers are never read. Responses that depend on the two headers say so in `Vary`.
///
/// The first login or refresh for a page on plain http, where browsers drop `Secure` cookies, logs a warning.
#[derive(Clone, Debug)]
#[must_use]
pub struct CrossSiteGuard {
    guard: Arc<Guard>,
}

/// Refuses requests of every method from other sites, since a WebSocket begins with a `GET`:
/// [`SessionManager::upgrade_guard`](crate::SessionManager::upgrade_guard).
///
/// The rules are those of [`CrossSiteGuard`] without the first.
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeGuard {
    guard: Arc<Guard>,
}

impl CrossSiteGuard {
    pub(crate) fn new(config: CsrfConfig, cookies: CookieSettings, renderer: Renderer) -> Result<Self, ConfigError> {
        Ok(Self { guard: Arc::new(Guard::new(config, cookies, renderer)?) })
    }

    /// Whether a page of the own origin certainly sent the request: no trusted origin, and no client other than a
    /// browser.
    pub(crate) fn is_same_origin(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.guard.is_same_origin(uri, headers)
    }

    /// The guard that checks requests of every method.
    pub(crate) fn for_upgrades(&self) -> UpgradeGuard {
        UpgradeGuard { guard: Arc::clone(&self.guard) }
    }
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService::new(inner, Arc::clone(&self.guard), false)
    }
}

impl<S> Layer<S> for UpgradeGuard {
    type Service = GuardService<S>;

    fn layer(&self, inner: S) -> GuardService<S> {
        GuardService::new(inner, Arc::clone(&self.guard), true)
    }
}
