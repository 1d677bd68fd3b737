//! Error responses: problem documents (RFC 9457) with the `WWW-Authenticate` of RFC 6750.

mod render;

use std::time::Duration;

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};

pub(crate) use self::render::{Recipient, Renderer};

/// The documentation of every problem, the `type` of its document (RFC 9457, section 3.1.1).
const TYPE_BASE: &str = "https://docs.rs/tower-jwt-sessions/latest/tower_jwt_sessions/error/struct.Problem.html#";

/// An error response before it is rendered.
///
/// By default it is rendered as an `application/problem+json` document (RFC 9457):
///
/// ```json
/// {"type":"https://docs.rs/…#invalid_token","title":"…","status":401,"code":"invalid_token"}
/// ```
///
/// Where the request is known and is a [navigation](crate::pages#what-counts-as-a-navigation), browsers get a small page
/// or, if they do not accept HTML, the document as `application/json`.
/// [`render_errors`](crate::manager::SessionManagerBuilder::render_errors) replaces the body and may replace the status.
/// A problem does not tell *why* a token was refused; the log does.
///
/// # `invalid_request`
/// 400. Credentials in two places, too many cookies of one name, or an unreadable `Authorization` header.
/// # `invalid_device_proof`
/// 400. The proof of the device is malformed, or was not signed by the key of the session.
/// # `missing_credentials`
/// 401. The request has no session cookie, and no Bearer token where those are accepted.
/// # `invalid_token`
/// 401. The access token is invalid, expired or revoked: refresh, and log in if that fails.
/// # `invalid_refresh_token`
/// 401. The refresh token is invalid, expired or superseded, or its session has ended: log in.
/// # `proof_outdated`
/// 401. The user's sessions were ended while the login was under way, or the login took too long: log in again.
/// # `insufficient_user_authentication`
/// 401. The login is longer ago than the `max_age` of the challenge, in seconds (RFC 9470): log in again.
/// # `insufficient_scope`
/// 403. The session does not permit this.
/// # `proof_required`
/// 403. The device has to prove this refresh: send the request again, which the browser does with a proof, or log in.
/// # `device_binding_required`
/// 403. This is only for sessions that are bound to a device.
/// # `already_bound`
/// 403. The session has the key of a device already.
/// # `cross_site_request`
/// 403. The request came from another site.
/// # `user_not_found`
/// 403. The claims source does not know the user who logs in.
/// # `already_acting`
/// 403. Someone who is acting as a user cannot act as another one: log in again first.
/// # `session_not_found`
/// 404. The user has no such session.
/// # `no_public_keys`
/// 404. The access tokens are signed with a secret, so there are no public keys to verify them with.
/// # `session_limit_reached`
/// 409. The user has as many sessions as allowed.
/// # `data_conflict`
/// 409. The session's data changed since it was read.
/// # `internal_error`
/// 500. An error in the code or configuration of the application; the log says which.
/// # `revocations_unknown`
/// 503. This node does not know which sessions other nodes ended, and is configured not to serve sessions then.
/// # `store_unavailable`
/// 503. The session store is unavailable. The session may still be valid: keep the cookies and try again.
/// # `refresh_token_unverified`
/// 503. The refresh token cannot be verified here, or is one of several: keep the key of the device and try again.
/// # `claims_unavailable`
/// 503. The claims source is unavailable. Nothing was changed: keep the cookies and try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    challenge: Option<Challenge>,
    retry_after: bool,
}

/// The `WWW-Authenticate` header of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Challenge {
    Fixed(&'static str),
    /// The login is older than this many seconds (RFC 9470, section 3).
    LoginWithin(u64),
}

impl Challenge {
    fn to_header(self) -> HeaderValue {
        match self {
            Self::Fixed(challenge) => HeaderValue::from_static(challenge),
            Self::LoginWithin(max_age) => {
                HeaderValue::try_from(format!("{CHALLENGE_OLD_LOGIN}, max_age=\"{max_age}\""))
                    .unwrap_or(HeaderValue::from_static(CHALLENGE_OLD_LOGIN))
            }
        }
    }
}

/// No error code without credentials (RFC 6750, section 3.1).
const CHALLENGE: &str = r#"Bearer realm="session""#;
const CHALLENGE_INVALID_REQUEST: &str = r#"Bearer realm="session", error="invalid_request""#;
const CHALLENGE_SCOPE: &str = r#"Bearer realm="session", error="insufficient_scope""#;
const CHALLENGE_OLD_LOGIN: &str = r#"Bearer realm="session", error="insufficient_user_authentication""#;
const CHALLENGE_INVALID: &str = r#"Bearer realm="session", error="invalid_token""#;

impl Problem {
    const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, challenge: None, retry_after: false }
    }

    const fn unauthorized(code: &'static str, title: &'static str, challenge: &'static str) -> Self {
        Self { challenge: Some(Challenge::Fixed(challenge)), ..Self::new(StatusCode::UNAUTHORIZED, code, title) }
    }

    const fn unavailable(code: &'static str, title: &'static str) -> Self {
        Self { retry_after: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title) }
    }

    pub(crate) const INVALID_REQUEST: Self = Self {
        challenge: Some(Challenge::Fixed(CHALLENGE_INVALID_REQUEST)),
        ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", "The credentials are malformed or ambiguous.")
    };
    pub(crate) const INVALID_DEVICE_PROOF: Self = Self {
        challenge: Some(Challenge::Fixed(CHALLENGE_INVALID_REQUEST)),
        ..Self::new(StatusCode::BAD_REQUEST, "invalid_device_proof", "The proof of the device is not valid.")
    };
    pub(crate) const MISSING_CREDENTIALS: Self =
        Self::unauthorized("missing_credentials", "Authentication is required.", CHALLENGE);
    pub(crate) const INVALID_TOKEN: Self =
        Self::unauthorized("invalid_token", "The session has expired or ended.", CHALLENGE_INVALID);
    pub(crate) const INVALID_REFRESH_TOKEN: Self =
        Self::unauthorized("invalid_refresh_token", "The session cannot be refreshed.", CHALLENGE_INVALID);
    pub(crate) const PROOF_OUTDATED: Self =
        Self::unauthorized("proof_outdated", "The login must be repeated.", CHALLENGE);
    pub(crate) const INSUFFICIENT_SCOPE: Self = Self {
        challenge: Some(Challenge::Fixed(CHALLENGE_SCOPE)),
        ..Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "The session does not permit this.")
    };
    pub(crate) const PROOF_REQUIRED: Self =
        Self::new(StatusCode::FORBIDDEN, "proof_required", "The device has to prove that it has its key.");
    pub(crate) const DEVICE_BINDING_REQUIRED: Self =
        Self::new(StatusCode::FORBIDDEN, "device_binding_required", "The session is not bound to a device.");
    pub(crate) const ALREADY_BOUND: Self =
        Self::new(StatusCode::FORBIDDEN, "already_bound", "The session has a device already.");
    #[cfg(feature = "router")]
    pub(crate) const CROSS_SITE_REQUEST: Self =
        Self::new(StatusCode::FORBIDDEN, "cross_site_request", "Cross-site requests are refused.");
    pub(crate) const ALREADY_ACTING: Self =
        Self::new(StatusCode::FORBIDDEN, "already_acting", "The session is already acting as another user.");
    pub(crate) const USER_NOT_FOUND: Self =
        Self::new(StatusCode::FORBIDDEN, "user_not_found", "The user does not exist.");
    #[cfg(feature = "router")]
    pub(crate) const SESSION_NOT_FOUND: Self =
        Self::new(StatusCode::NOT_FOUND, "session_not_found", "The session does not exist.");
    #[cfg(feature = "router")]
    pub(crate) const NO_PUBLIC_KEYS: Self =
        Self::new(StatusCode::NOT_FOUND, "no_public_keys", "The access tokens are signed with a secret.");
    pub(crate) const SESSION_LIMIT_REACHED: Self =
        Self::new(StatusCode::CONFLICT, "session_limit_reached", "The user has too many sessions.");
    pub(crate) const DATA_CONFLICT: Self =
        Self::new(StatusCode::CONFLICT, "data_conflict", "The session data was changed concurrently.");
    pub(crate) const INTERNAL_ERROR: Self =
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "An internal error occurred.");
    pub(crate) const STORE_UNAVAILABLE: Self =
        Self::unavailable("store_unavailable", "The session store is unavailable.");
    pub(crate) const REVOCATIONS_UNKNOWN: Self =
        Self::unavailable("revocations_unknown", "Sessions cannot be verified at the moment.");
    #[cfg(feature = "dbsc")]
    pub(crate) const REFRESH_TOKEN_UNVERIFIED: Self =
        Self::unavailable("refresh_token_unverified", "The refresh token cannot be verified at the moment.");
    pub(crate) const CLAIMS_UNAVAILABLE: Self = Self::unavailable("claims_unavailable", "User data is unavailable.");

    /// Every problem, for documents about all of them.
    #[cfg(feature = "utoipa")]
    pub(crate) const ALL: &[Self] = &[
        Self::INVALID_REQUEST,
        Self::INVALID_DEVICE_PROOF,
        Self::MISSING_CREDENTIALS,
        Self::INVALID_TOKEN,
        Self::INVALID_REFRESH_TOKEN,
        Self::PROOF_OUTDATED,
        Self::login_not_recent(Duration::ZERO),
        Self::INSUFFICIENT_SCOPE,
        Self::PROOF_REQUIRED,
        Self::DEVICE_BINDING_REQUIRED,
        Self::ALREADY_BOUND,
        Self::CROSS_SITE_REQUEST,
        Self::USER_NOT_FOUND,
        Self::ALREADY_ACTING,
        Self::SESSION_NOT_FOUND,
        Self::NO_PUBLIC_KEYS,
        Self::SESSION_LIMIT_REACHED,
        Self::DATA_CONFLICT,
        Self::INTERNAL_ERROR,
        Self::REVOCATIONS_UNKNOWN,
        Self::STORE_UNAVAILABLE,
        #[cfg(feature = "dbsc")]
        Self::REFRESH_TOKEN_UNVERIFIED,
        Self::CLAIMS_UNAVAILABLE,
    ];

    /// The login is older than `max_age`.
    pub(crate) const fn login_not_recent(max_age: Duration) -> Self {
        Self {
            challenge: Some(Challenge::LoginWithin(max_age.as_secs())),
            ..Self::new(StatusCode::UNAUTHORIZED, "insufficient_user_authentication", "A recent login is required.")
        }
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code, one of the headings above.
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// A short sentence for humans, the same for every occurrence.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Whether the response has a `WWW-Authenticate` header.
    #[cfg(feature = "utoipa")]
    pub(crate) const fn has_challenge(&self) -> bool {
        self.challenge.is_some()
    }

    /// Whether the response has a `Retry-After` header.
    #[cfg(feature = "utoipa")]
    pub(crate) const fn has_retry_after(&self) -> bool {
        self.retry_after
    }

    /// The absolute URL of the problem's documentation.
    pub fn type_url(&self) -> String {
        format!("{TYPE_BASE}{}", self.code)
    }

    /// The problem document in JSON (RFC 9457, section 3).
    pub fn to_json(&self) -> String {
        serde_json::json!({
            "type": self.type_url(),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
        })
        .to_string()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Renderer::default().render(&self, &Recipient::default())
    }
}
