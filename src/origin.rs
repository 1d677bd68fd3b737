//! Refusing requests from other sites, with the method of Go's `CrossOriginProtection` as tower-http implements it.

mod unambiguous;
mod upgrade;

use axum_core::{body::Body, response::Response};
use tower_http::csrf::{Csrf, CsrfLayer, ProtectionError, ResponseForProtectionError};
use tower_layer::Layer;

use self::unambiguous::Unambiguous;
pub use self::upgrade::UpgradeGuard;
use crate::{
    error::ConfigError,
    event::LOG_TARGET,
    problem::{Problem, Renderer},
};

/// Refuses state-changing requests from other sites: [`SessionManager::cross_site_guard`](crate::SessionManager::cross_site_guard).
///
/// `SameSite` cookies stop most of them in the browser; this stops the rest at the server, also where there is no
/// session yet (OWASP ASVS 5.0, 3.5.1). `GET`, `HEAD` and `OPTIONS` pass. Other methods pass if `Sec-Fetch-Site` says
/// `same-origin` or `none`, or, where a browser does not send it, if `Origin` names the `Host` of the request. Requests
/// with neither header come from no browser and pass too. A trusted origin always passes; a request that has either header
/// twice never does.
#[derive(Clone, Debug)]
#[must_use]
pub struct CrossSiteGuard {
    csrf: CsrfLayer<Refusal>,
}

/// Answers what the guard refuses.
#[derive(Clone, Debug)]
pub struct Refusal {
    renderer: Renderer,
}

impl ResponseForProtectionError<Body> for Refusal {
    fn response_for_protection_error(&mut self, error: ProtectionError) -> Response {
        tracing::info!(target: LOG_TARGET, reason = %error, "refused a cross-site request");
        self.renderer.render(&Problem::CROSS_SITE_REQUEST)
    }
}

impl<S> Layer<S> for CrossSiteGuard {
    type Service = Unambiguous<Csrf<S, Refusal>>;

    fn layer(&self, inner: S) -> Self::Service {
        Unambiguous::new(self.csrf.layer(inner))
    }
}

impl CrossSiteGuard {
    /// A guard that lets these origins pass, and answers others through this renderer.
    pub(crate) fn new(trusted_origins: &[String], renderer: Renderer) -> Result<Self, ConfigError> {
        let csrf = trusted_origins.iter().try_fold(CsrfLayer::new(), |layer, origin| {
            layer.add_trusted_origin(origin).map_err(|_| ConfigError::InvalidOrigin { origin: origin.clone() })
        })?;
        Ok(Self { csrf: csrf.with_rejection_response(Refusal { renderer }) })
    }
}
