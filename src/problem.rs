//! Error answers: RFC 9457 problem documents with the `WWW-Authenticate` of RFC 6750.

use std::{fmt, sync::Arc};

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// The documentation of every problem, the `type` of its document (RFC 9457, section 3.1.1).
const TYPE_BASE: &str = "https://docs.rs/tower-jwt-sessions/latest/tower_jwt_sessions/struct.Problem.html#";

/// An error answer, before it is rendered.
///
/// By default it becomes an `application/problem+json` document (RFC 9457):
///
/// ```json
/// {"type":"https://docs.rs/…#invalid_token","title":"…","status":401,"code":"invalid_token"}
/// ```
///
/// `render_errors` of the builder replaces that; status and the headers that belong to the problem stay. Nothing in a
/// problem depends on *why* a token was refused: that is in the log.
///
/// # `invalid_request`
/// 400. Credentials in two places, too many cookies of one name, or an `Authorization` header that is not one Bearer token.
/// # `missing_credentials`
/// 401. The request carried no session cookie, and no Bearer token where those are accepted.
/// # `invalid_token`
/// 401. The access token is expired, revoked or none of ours: refresh, and log in if that fails.
/// # `invalid_refresh_token`
/// 401. The refresh token is expired, was superseded, belongs to an ended session or is none of ours: log in.
/// # `proof_outdated`
/// 401. The user's sessions were ended while the login was under way, or the login took too long: log in again.
/// # `cross_site_request`
/// 403. The request came from another site.
/// # `user_not_found`
/// 403. The claims source does not know the user who logs in.
/// # `session_not_found`
/// 404. The user has no such session.
/// # `session_limit_reached`
/// 409. The user has as many sessions as allowed.
/// # `data_conflict`
/// 409. The session's data changed since it was read.
/// # `internal_error`
/// 500. A mistake in the application's code or configuration; the log says which.
/// # `revocations_unknown`
/// 503. This node does not know what other nodes ended, and was told not to serve sessions then.
/// # `store_unavailable`
/// 503. The session store failed. Nothing is known about the session: keep the cookies and try again.
/// # `claims_unavailable`
/// 503. The claims source failed. Nothing was changed: keep the cookies and try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    challenge: Option<&'static str>,
    retry_after: bool,
}

/// No error code without credentials (RFC 6750, section 3.1).
const CHALLENGE: &str = r#"Bearer realm="session""#;
const CHALLENGE_INVALID_REQUEST: &str = r#"Bearer realm="session", error="invalid_request""#;
const CHALLENGE_INVALID: &str = r#"Bearer realm="session", error="invalid_token""#;

impl Problem {
    const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, challenge: None, retry_after: false }
    }

    const fn unauthorized(code: &'static str, title: &'static str, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, code, title) }
    }

    const fn unavailable(code: &'static str, title: &'static str) -> Self {
        Self { retry_after: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title) }
    }

    pub(crate) const INVALID_REQUEST: Self = Self {
        challenge: Some(CHALLENGE_INVALID_REQUEST),
        ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", "The credentials cannot be understood.")
    };
    pub(crate) const MISSING_CREDENTIALS: Self =
        Self::unauthorized("missing_credentials", "This needs a login.", CHALLENGE);
    pub(crate) const INVALID_TOKEN: Self =
        Self::unauthorized("invalid_token", "The session has expired or ended.", CHALLENGE_INVALID);
    pub(crate) const INVALID_REFRESH_TOKEN: Self =
        Self::unauthorized("invalid_refresh_token", "The session cannot be continued.", CHALLENGE_INVALID);
    pub(crate) const PROOF_OUTDATED: Self =
        Self::unauthorized("proof_outdated", "The login has to be repeated.", CHALLENGE);
    #[cfg(feature = "router")]
    pub(crate) const CROSS_SITE_REQUEST: Self =
        Self::new(StatusCode::FORBIDDEN, "cross_site_request", "Requests from other sites are refused here.");
    pub(crate) const USER_NOT_FOUND: Self =
        Self::new(StatusCode::FORBIDDEN, "user_not_found", "There is no such user.");
    #[cfg(feature = "router")]
    pub(crate) const SESSION_NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "session_not_found", "There is no such session.");
    pub(crate) const SESSION_LIMIT_REACHED: Self =
        Self::new(StatusCode::CONFLICT, "session_limit_reached", "There are too many sessions.");
    pub(crate) const DATA_CONFLICT: Self =
        Self::new(StatusCode::CONFLICT, "data_conflict", "The data changed in the meantime.");
    pub(crate) const INTERNAL_ERROR: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something is wrong on our side.");
    pub(crate) const STORE_UNAVAILABLE: Self =
        Self::unavailable("store_unavailable", "Sessions cannot be reached right now.");
    pub(crate) const REVOCATIONS_UNKNOWN: Self =
        Self::unavailable("revocations_unknown", "Sessions cannot be verified right now.");
    pub(crate) const CLAIMS_UNAVAILABLE: Self =
        Self::unavailable("claims_unavailable", "Users cannot be reached right now.");

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code, one of the headings above.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// A short sentence for people, the same for every occurrence.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// The absolute URL of the problem's documentation.
    pub fn type_url(&self) -> String {
        format!("{TYPE_BASE}{}", self.code)
    }

    /// The problem document (RFC 9457, section 3).
    pub fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "type": self.type_url(),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
        })
    }

    fn default_response(&self) -> Response {
        let mut response = Response::new(Body::from(self.document().to_string()));
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Renderer::default().render(&self)
    }
}

/// How problems are rendered: as the application chose, or as problem documents.
#[derive(Clone, Default)]
pub(crate) struct Renderer(Option<Arc<Render>>);

type Render = dyn Fn(&Problem) -> Response + Send + Sync;

impl Renderer {
    pub(crate) fn new(render: impl Fn(&Problem) -> Response + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(render)))
    }

    /// Whether problems are rendered as problem documents.
    pub(crate) const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The response to a problem. Whatever renders it, the status and the problem's headers are right.
    pub(crate) fn render(&self, problem: &Problem) -> Response {
        let mut response = match &self.0 {
            Some(render) => render(problem),
            None => problem.default_response(),
        };
        *response.status_mut() = problem.status;
        problem.write_headers(response.headers_mut());
        response
    }
}

impl fmt::Debug for Renderer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Renderer(custom)" } else { "Renderer(problem+json)" })
    }
}
