//! An OpenAPI document with the login of the application and the companion routes, from [utoipa].
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) \
//!     cargo run --example openapi --features utoipa
//!
//! curl localhost:3000/openapi.json
//! ```
//!
//! A viewer such as Swagger UI or Scalar shows the document; generators make typed clients of it.
//!
//! [utoipa]: https://docs.rs/utoipa

use std::{env, error::Error};

use axum::{Json, Router, extract::State, http::StatusCode, response::Result, routing::get};
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager,
    openapi::{LoginProblems, SessionProblems},
};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What is the same for all routes. The security scheme of the cookie is added in `app`.
#[derive(OpenApi)]
#[openapi(info(title = "Example", description = "Who am I?"), tags((name = "account")))]
struct Api;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    let app = app(sessions(&secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .build()
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    // Routes of the application: `routes!` takes method and path from the attribute above the handler.
    let (router, api) = OpenApiRouter::with_openapi(Api::openapi())
        .merge(OpenApiRouter::new().routes(routes!(login)).layer(sessions.cross_site_guard()))
        .routes(routes!(me))
        .split_for_parts();
    // The companion routes: both the router and its description go under /auth.
    let api = api.nest("/auth", sessions.openapi().router());
    router
        .nest("/auth", sessions.router())
        .route("/openapi.json", get(async || Json(api)))
        .layer(sessions.layer())
        .with_state(sessions)
}

#[derive(Deserialize, ToSchema)]
struct Login {
    username: String,
    password: String,
}

// `LoginProblems` are the errors of `sessions.login` and of the guard. The wrong password is ours: it has a status that
// they do not have, since a document describes each status of a route once.
/// Log in
///
/// Sets the cookies of the session.
#[utoipa::path(
    post,
    path = "/login",
    tag = "account",
    security(()),
    responses(LoginProblems, (status = 204, description = "Logged in."), (status = 422, description = "Wrong username or password.")),
)]
async fn login(
    State(sessions): State<SessionManager>,
    presented: PresentedTokens,
    Json(login): Json<Login>,
) -> Result<(StatusCode, SessionCookies)> {
    let proof = sessions.start_proof();
    // An application checks a password hash here.
    if (login.username.as_str(), login.password.as_str()) != ("alice", "wonderland") {
        return Err(StatusCode::UNPROCESSABLE_ENTITY.into());
    }
    let cookies = sessions.login(login.username).proven_since(proof).replacing(presented).await?;
    Ok((StatusCode::NO_CONTENT, cookies))
}

#[derive(Serialize, ToSchema)]
struct Me {
    user: String,
}

// `session_cookie` is the scheme that `sessions.openapi()` adds, `SessionProblems` are the errors of the extractor.
/// Get the user
#[utoipa::path(
    get,
    path = "/me",
    tag = "account",
    security(("session_cookie" = [])),
    responses((status = 200, description = "The user.", body = Me), SessionProblems),
)]
async fn me(session: Session) -> Json<Me> {
    Json(Me { user: session.user_id().to_string() })
}
