//! Refusing requests from other sites, with the method of Go's `CrossOriginProtection`.

mod config;
mod future;
mod plain_http;
mod rules;
mod service;
mod spelling;

use std::sync::Arc;

use axum_core::response::Response;
use http::{HeaderMap, Method, Uri};
use tower_layer::Layer;

pub(crate) use self::config::GuardConfig;
use self::{rules::Rules, service::Guarded};
use crate::{
    cookie::CookiePlan,
    error::ConfigError,
    event::LOG_TARGET,
    problem::{Problem, Renderer},
};

/// Refuses state-changing requests from other sites: [`SessionManager::cross_site_guard`](crate::SessionManager::cross_site_guard).
///
/// `SameSite` cookies stop most of them in the browser; this stops the rest at the server, also where there is no
/// session yet (OWASP ASVS 5.0, 3.5.1). `GET`, `HEAD` and `OPTIONS` pass. Other methods pass if `Sec-Fetch-Site` says
/// `same-origin` or `none`, or, where a browser does not send it, if `Origin` is the configured
/// [`own_origin`](crate::SessionManagerBuilder::own_origin) or, without one, names the `Host` of the request, in
/// whatever case and with or without the default port of its scheme. Requests with neither header come from no browser
/// and pass too, unless [`refuse_without_origin`](crate::SessionManagerBuilder::refuse_without_origin) says otherwise.
/// A trusted origin always passes; a request that has one of the three headers twice never does.
///
/// The first login or refresh for a page on plain http, where browsers drop `Secure` cookies, is a warning in the log.
///
/// Answers that depend on the two headers say so in `Vary`. No `X-Forwarded-…` header is ever looked at.
#[derive(Clone, Debug)]
#[must_use]
pub struct CrossSiteGuard {
    guard: Arc<Guard>,
}

/// The same refusal for requests of any method, since a WebSocket begins with a `GET`:
/// [`SessionManager::upgrade_guard`](crate::SessionManager::upgrade_guard).
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeGuard {
    guard: Arc<Guard>,
}

/// What is refused, and how.
#[derive(Debug)]
struct Guard {
    rules: Rules,
    reports_only: bool,
    renderer: Renderer,
}

impl CrossSiteGuard {
    pub(crate) fn new(config: GuardConfig, cookies: CookiePlan, renderer: Renderer) -> Result<Self, ConfigError> {
        config.check()?;
        let GuardConfig { own_origin, trusted_origins, refuses_without_origin, reports_only } = config;
        let rules = Rules { own_origin, trusted_origins, refuses_without_origin, cookies };
        Ok(Self { guard: Arc::new(Guard { rules, reports_only, renderer }) })
    }

    /// The guard that looks at requests of every method.
    pub(crate) fn for_upgrades(&self) -> UpgradeGuard {
        UpgradeGuard { guard: Arc::clone(&self.guard) }
    }
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded::new(inner, Arc::clone(&self.guard), false)
    }
}

impl<S> Layer<S> for UpgradeGuard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded::new(inner, Arc::clone(&self.guard), true)
    }
}

impl Guard {
    /// Whether the request is refused. Logs the reason.
    fn refuses(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        match self.rules.decide(uri, headers) {
            Ok(()) => false,
            Err(reason) if self.reports_only => {
                tracing::warn!(target: LOG_TARGET, reason, %method, "would refuse a cross-site request");
                false
            }
            Err(reason) => {
                tracing::info!(target: LOG_TARGET, reason, "refused a cross-site request");
                true
            }
        }
    }

    fn refusal(&self) -> Response {
        self.renderer.render(&Problem::CROSS_SITE_REQUEST)
    }
}
