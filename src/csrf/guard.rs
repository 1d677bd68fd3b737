//! What both guards do with a request.

use axum_core::response::Response;
use http::{HeaderMap, Method, Uri, request::Parts};

use super::{config::CsrfConfig, plain_http, rules::Rules};
use crate::{
    cookie::{CookieSettings, WarnOnce},
    error::{ConfigError, LOG_TARGET},
    problem::{Problem, Renderer},
};

/// The rules, and what follows from them.
#[derive(Debug)]
pub(super) struct Guard {
    rules: Rules,
    reports_only: bool,
    renderer: Renderer,
}

impl Guard {
    pub(super) fn new(config: CsrfConfig, cookies: CookieSettings, renderer: Renderer) -> Result<Self, ConfigError> {
        config.validate()?;
        let CsrfConfig { own_origin, trusted_origins, refuses_without_origin, reports_only } = config;
        let rules = Rules { own_origin, trusted_origins, refuses_without_origin, cookies };
        Ok(Self { rules, reports_only, renderer })
    }

    /// Whether responses depend on the headers that are checked.
    pub(super) const fn enforces(&self) -> bool {
        !self.reports_only
    }

    /// Decides on a request and logs the reason of a refusal.
    pub(super) fn refuses(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        match self.rules.decide(uri, headers) {
            Ok(()) => false,
            Err(reason) if self.reports_only => {
                tracing::warn!(target: LOG_TARGET, reason, %method, "cross-site request would be refused");
                false
            }
            Err(reason) => {
                tracing::info!(target: LOG_TARGET, reason, "cross-site request refused");
                true
            }
        }
    }

    /// Whether a page of the own origin certainly sent the request.
    pub(super) fn is_same_origin(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        self.rules.is_same_origin(uri, headers)
    }

    /// The response to a refused request.
    pub(super) fn refusal(&self, parts: &Parts) -> Response {
        self.renderer.render(&Problem::CROSS_SITE_REQUEST, &self.renderer.recipient(parts))
    }

    /// The warning that is due if the response to this request sets cookies.
    pub(super) fn plain_http_warning(&self, headers: &HeaderMap) -> Option<WarnOnce> {
        plain_http::warning(&self.rules.cookies, headers)
    }
}
