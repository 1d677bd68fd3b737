//! The router for native clients: refresh and revocation as in OAuth 2.0.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, rejection::BytesRejection},
    http::HeaderMap,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{StatusCode, header};
use serde_json::json;

use super::{no_store, route::TokenRoute};
use crate::{
    claims::Claims,
    error::{Error, ErrorKind},
    manager::SessionManager,
};

/// Two tokens of the greatest length, each byte percent-encoded, and room for other parameters, which are ignored.
const MAX_BODY_LEN: usize = 32 * 1024;

impl<C: Claims> SessionManager<C> {
    /// Returns routes for clients without a cookie store, such as native apps and command-line tools. They are not part
    /// of [`router`](Self::router): mount them only if there are such clients.
    ///
    /// | route | form | success |
    /// |---|---|---|
    /// | `POST /token` | `grant_type=refresh_token&refresh_token=…` (RFC 6749, section 6) | [`SessionTokens`](crate::manager::SessionTokens) |
    /// | `POST /revoke` | `token=…`, a refresh or access token (RFC 7009) | `200`, also when there was nothing to end |
    ///
    /// Forms and errors are those of OAuth 2.0 (RFC 6749, section 5.2), so that existing clients can use the routes.
    /// `400` with `{"error":"invalid_grant"}` means that a new login is required, `503` with `Retry-After` that the
    /// client should repeat the request with the same token. `invalid_request` and `unsupported_grant_type` are errors
    /// of the client. If a response has no `refresh_token`, the client keeps the one that it has.
    ///
    /// Only the form is read: no cookie, no query and no `Authorization` header. A cross-site request therefore carries
    /// no credentials of its victim, and the routes do not need the [`cross_site_guard`](Self::cross_site_guard), which
    /// would refuse apps that are built on web views.
    ///
    /// Responses contain tokens, but only for clients that have a refresh token in plain text, which scripts on a page
    /// with `HttpOnly` cookies do not. The login of such clients is a route of the application, with
    /// [`Login::tokens`](crate::manager::Login::tokens).
    ///
    /// ```
    /// use axum::Router;
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new()
    ///         .nest("/auth", sessions.router())
    ///         .nest("/oauth", sessions.token_router())
    ///         .layer(sessions.layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn token_router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let serve = |router: Router<Self>, route: TokenRoute| match route {
            TokenRoute::Token => router.route(route.path(), post(token)),
            TokenRoute::Revoke => router.route(route.path(), post(revoke)),
        };
        TokenRoute::ALL
            .into_iter()
            .fold(Router::new(), serve)
            .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
            .layer(map_response(no_store))
            .with_state(self.for_all_requests())
    }
}

async fn token<C>(
    sessions: SessionManager<C>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal>
where
    C: Claims,
{
    let body = body.map_err(Refusal::unread)?;
    let form = Form::read(&headers, &body)?;
    match form.one("grant_type")? {
        "refresh_token" => {}
        _ => return Err(Refusal::UNSUPPORTED_GRANT_TYPE),
    }
    Ok(sessions.refresh_with_token(form.one("refresh_token")?).await?.into_response())
}

async fn revoke<C>(
    sessions: SessionManager<C>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), Refusal>
where
    C: Claims,
{
    let body = body.map_err(Refusal::unread)?;
    let form = Form::read(&headers, &body)?;
    sessions.end_with_token(form.one("token")?).await?;
    Ok(())
}

/// The parameters of a form.
struct Form(Vec<(String, String)>);

impl Form {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match media_type.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            true => Ok(Self(form_urlencoded::parse(body).into_owned().collect())),
            false => Err(Refusal::INVALID_REQUEST),
        }
    }

    /// The value of a required parameter. Duplicates are an error, and an empty value counts as missing (RFC 6749,
    /// section 3.2).
    fn one(&self, name: &str) -> Result<&str, Refusal> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            _ => Err(Refusal::INVALID_REQUEST),
        }
    }
}

/// An error response of RFC 6749, section 5.2, or a problem document where that defines none.
enum Refusal {
    OAuth(&'static str, &'static str),
    Problem(Error),
}

impl Refusal {
    const INVALID_REQUEST: Self =
        Self::OAuth("invalid_request", "A form with each required parameter exactly once is required.");
    const TOO_LONG: Self = Self::OAuth("invalid_request", "The form is longer than 32 KiB.");
    const UNSUPPORTED_GRANT_TYPE: Self = Self::OAuth("unsupported_grant_type", "Only refresh_token is supported.");
    const INVALID_GRANT: Self = Self::OAuth("invalid_grant", "The session cannot be refreshed.");

    /// The body was too long, or the connection broke.
    fn unread(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TOO_LONG,
            _ => Self::INVALID_REQUEST,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidRefreshToken => Self::INVALID_GRANT,
            _ => Self::Problem(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::OAuth(error, description) => {
                let body = Json(json!({ "error": error, "error_description": description }));
                (StatusCode::BAD_REQUEST, body).into_response()
            }
            Self::Problem(error) => error.into_response(),
        }
    }
}
