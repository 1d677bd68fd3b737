//! The routes of clients that keep no cookies: refresh and revocation in the words of OAuth 2.0.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::HeaderMap,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::never_stored;
use crate::{
    error::{Error, ErrorKind},
    manager::SessionManager,
};

/// Two tokens of the greatest length, percent-encoded to the last letter, and some room for what is ignored.
const MAX_BODY_LEN: usize = 32 * 1024;

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// Routes for clients that keep no cookies, such as native apps and tools. They are not part of
    /// [`router`](Self::router): mount them only where there are such clients.
    ///
    /// | route | form | success |
    /// |---|---|---|
    /// | `POST /token` | `grant_type=refresh_token&refresh_token=…` (RFC 6749, section 6) | [`SessionTokens`](crate::SessionTokens) |
    /// | `POST /revoke` | `token=…`, a refresh or access token (RFC 7009) | `200`, also when there was nothing to end |
    ///
    /// Forms and errors are those of OAuth 2.0 (RFC 6749, section 5.2), so that its clients can use the routes: `400`
    /// with `{"error":"invalid_grant"}` asks for a login, `503` with `Retry-After` to try again with the same token, and
    /// `invalid_request` and `unsupported_grant_type` are mistakes of the client. Where an answer has no
    /// `refresh_token`, the client goes on with the one that it has.
    ///
    /// Nothing but the form is read: no cookie, no query and no `Authorization` header. A request from another site
    /// therefore carries nothing of its victim, and these routes are without the
    /// [`cross_site_guard`](Self::cross_site_guard): apps built on web views call them from origins of their own.
    ///
    /// They give tokens in the body of the answer, but only to who has a refresh token in plain text, which a page with
    /// `HttpOnly` cookies has not. A login for such clients is a route of the application, with
    /// [`Login::tokens`](crate::Login::tokens).
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
        Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
            .layer(map_response(never_stored))
            .with_state(self.clone())
    }
}

async fn token<C>(
    State(sessions): State<SessionManager<C>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let body = body.map_err(|_| Refusal::INVALID_REQUEST)?;
    let form = Form::read(&headers, &body)?;
    match form.one("grant_type")? {
        "refresh_token" => {}
        _ => return Err(Refusal::UNSUPPORTED_GRANT_TYPE),
    }
    Ok(sessions.refresh_with_token(form.one("refresh_token")?).await?.into_response())
}

async fn revoke<C>(
    State(sessions): State<SessionManager<C>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(), Refusal>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let body = body.map_err(|_| Refusal::INVALID_REQUEST)?;
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

    /// The value of a parameter that has to be there once. An empty one counts as left out (RFC 6749, section 3.2).
    fn one(&self, name: &str) -> Result<&str, Refusal> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Ok(value),
            _ => Err(Refusal::INVALID_REQUEST),
        }
    }
}

/// An error answer of RFC 6749, section 5.2, or one of ours where that has none.
enum Refusal {
    OAuth(&'static str, &'static str),
    Ours(Error),
}

impl Refusal {
    const INVALID_REQUEST: Self =
        Self::OAuth("invalid_request", "This needs a form with each required parameter once.");
    const UNSUPPORTED_GRANT_TYPE: Self = Self::OAuth("unsupported_grant_type", "Only refresh_token is supported.");
    const INVALID_GRANT: Self = Self::OAuth("invalid_grant", "The session cannot be continued.");
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidRefreshToken => Self::INVALID_GRANT,
            _ => Self::Ours(error),
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
            Self::Ours(error) => error.into_response(),
        }
    }
}
