//! Refusing requests from other sites, with the method of Go's `CrossOriginProtection` as tower-http implements it.

use axum_core::{body::Body, response::Response};
use serde::{Serialize, de::DeserializeOwned};
use tower_http::csrf::{Csrf, CsrfLayer, ProtectionError, ResponseForProtectionError};
use tower_layer::Layer;

use crate::{
    error::ConfigError,
    event::LOG_TARGET,
    manager::SessionManager,
    problem::{Problem, Renderer},
};

/// Refuses state-changing requests from other sites: [`SessionManager::cross_site_guard`].
///
/// `SameSite` cookies stop most of them in the browser; this stops the rest at the server, also where there is no
/// session yet (OWASP ASVS 5.0, 3.5.1). `GET`, `HEAD` and `OPTIONS` pass. Other methods pass if `Sec-Fetch-Site` says
/// `same-origin` or `none`, or, where a browser does not send it, if `Origin` names the `Host` of the request. Requests
/// with neither header come from no browser and pass too. A trusted origin always passes.
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
    type Service = Csrf<S, Refusal>;

    fn layer(&self, inner: S) -> Self::Service {
        self.csrf.layer(inner)
    }
}

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// The guard that the companion router has on all its routes, for routes of the application. The login route needs
    /// it most: without it another site can log a browser in as somebody else.
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
    pub fn cross_site_guard(&self) -> CrossSiteGuard {
        let refusal = Refusal { renderer: self.verifier().inner().renderer.clone() };
        // The origins were checked when the manager was built.
        let csrf = with_trusted(self.trusted_origins()).unwrap_or_default();
        CrossSiteGuard { csrf: csrf.with_rejection_response(refusal) }
    }
}

/// Finds origins that no browser would send.
pub(crate) fn check(origins: &[String]) -> Result<(), ConfigError> {
    with_trusted(origins).map(|_| ())
}

fn with_trusted(origins: &[String]) -> Result<CsrfLayer, ConfigError> {
    origins.iter().try_fold(CsrfLayer::new(), |layer, origin| {
        layer.add_trusted_origin(origin).map_err(|_| ConfigError::InvalidOrigin { origin: origin.clone() })
    })
}
