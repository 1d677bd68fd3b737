//! Refusing requests from other sites, with the method of Go's `CrossOriginProtection` as tower-http implements it.
//!
//! What tower-http refuses is refused; what it lets pass is looked at once more for the little that it does not do.

mod asked;
mod config;
mod future;
mod service;

use std::sync::Arc;

use axum_core::response::Response;
use http::{HeaderMap, Method, Uri};
use tower_layer::Layer;

pub(crate) use self::config::GuardConfig;
use self::{asked::Asked, service::Guarded};
use crate::{
    cookie::{CookiePlan, each_cookie},
    error::ConfigError,
    event::LOG_TARGET,
    problem::{Problem, Renderer},
};

/// Refuses state-changing requests from other sites: [`SessionManager::cross_site_guard`](crate::SessionManager::cross_site_guard).
///
/// `SameSite` cookies stop most of them in the browser; this stops the rest at the server, also where there is no
/// session yet (OWASP ASVS 5.0, 3.5.1). `GET`, `HEAD` and `OPTIONS` pass. Other methods pass if `Sec-Fetch-Site` says
/// `same-origin` or `none`, or, where a browser does not send it, if `Origin` is the configured
/// [`own_origin`](crate::SessionManagerBuilder::own_origin) or, without one, names the `Host` of the request. Requests
/// with neither header come from no browser and pass too, unless
/// [`refuse_without_origin`](crate::SessionManagerBuilder::refuse_without_origin) says otherwise. A trusted origin
/// always passes; a request that has one of the three headers twice never does.
///
/// Answers that depend on the two headers say so in `Vary`. No `X-Forwarded-…` header is ever looked at.
#[derive(Clone, Debug)]
#[must_use]
pub struct CrossSiteGuard {
    rules: Arc<Rules>,
}

/// The same refusal for requests of any method, since a WebSocket begins with a `GET`:
/// [`SessionManager::upgrade_guard`](crate::SessionManager::upgrade_guard).
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeGuard {
    rules: Arc<Rules>,
}

/// What is refused, and how.
#[derive(Debug)]
struct Rules {
    asked: Asked,
    own_origin: Option<String>,
    trusted_origins: Vec<String>,
    refuses_without_origin: bool,
    reports_only: bool,
    cookies: CookiePlan,
    renderer: Renderer,
}

impl CrossSiteGuard {
    pub(crate) fn new(config: GuardConfig, cookies: CookiePlan, renderer: Renderer) -> Result<Self, ConfigError> {
        let GuardConfig { own_origin, trusted_origins, refuses_without_origin, reports_only } = config;
        for origin in own_origin.iter().chain(&trusted_origins) {
            config::check(origin)?;
        }
        let asked = Asked::new(own_origin.iter().chain(&trusted_origins))?;
        let rules =
            Rules { asked, own_origin, trusted_origins, refuses_without_origin, reports_only, cookies, renderer };
        Ok(Self { rules: Arc::new(rules) })
    }

    /// The guard that looks at requests of every method.
    pub(crate) fn for_upgrades(&self) -> UpgradeGuard {
        UpgradeGuard { rules: Arc::clone(&self.rules) }
    }
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded::new(inner, Arc::clone(&self.rules), false)
    }
}

impl<S> Layer<S> for UpgradeGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded::new(inner, Arc::clone(&self.rules), true)
    }
}

impl Rules {
    /// Why a request that changes something, or opens a WebSocket, is refused.
    fn refuses(&self, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        // A header that stands there twice says nothing: which one counts is for an attacker to choose.
        let (Ok(site), Ok(origin), Ok(_)) =
            (one(headers, "sec-fetch-site"), one(headers, "origin"), one(headers, "host"))
        else {
            return Some("Sec-Fetch-Site, Origin or Host stands there twice");
        };
        if let Some(reason) = self.asked.refuses(uri, headers) {
            return Some(reason);
        }
        // What passed is of a trusted origin, or of the own one, or its browser says so, or it names the Host, or nothing.
        let is = |known: &String| origin == known.as_bytes();
        if self.trusted_origins.iter().any(is) || matches!(site, b"same-origin" | b"none") {
            return None;
        }
        if origin.is_empty() {
            let is_from_browser = || each_cookie(headers, &self.cookies).next().is_some();
            return (self.refuses_without_origin && is_from_browser()).then_some("no Sec-Fetch-Site and no Origin");
        }
        match &self.own_origin {
            // The host alone would make http and https, and every port, one.
            Some(own) if !is(own) => Some("Origin is another one than own_origin"),
            // A browser that says cross-site is believed, whatever the Origin.
            Some(_) if !site.is_empty() => Some("Sec-Fetch-Site and Origin contradict each other"),
            Some(_) | None => None,
        }
    }

    fn refusal(&self) -> Response {
        self.renderer.render(&Problem::CROSS_SITE_REQUEST)
    }

    /// Whether the request is to be refused, which the log is told.
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        match self.refuses(uri, headers) {
            None => false,
            Some(reason) if self.reports_only => {
                tracing::warn!(target: LOG_TARGET, reason, %method, "would refuse a cross-site request");
                false
            }
            Some(reason) => {
                tracing::info!(target: LOG_TARGET, reason, "refused a cross-site request");
                true
            }
        }
    }
}

/// The value of a header that stands there once, empty if it does not.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h [u8], ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(b""),
        (Some(only), None) => Ok(only.as_bytes()),
        (Some(_), Some(_)) => Err(()),
    }
}
