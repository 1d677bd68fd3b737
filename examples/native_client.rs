//! A service for clients without a cookie store, such as apps and command-line tools.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example native_client
//!
//! curl localhost:3000/login --json '{"username":"alice","password":"wonderland"}'
//! # {"access_token":"…","token_type":"Bearer","expires_in":3600,"refresh_token":"…"}
//!
//! curl localhost:3000/me -H "Authorization: Bearer $ACCESS_TOKEN"
//! curl localhost:3000/oauth/token -d grant_type=refresh_token -d refresh_token=$REFRESH_TOKEN
//! curl localhost:3000/oauth/revoke -d token=$REFRESH_TOKEN
//! curl -i localhost:3000/me -H "Authorization: Bearer $ACCESS_TOKEN"   # 401
//! ```
//!
//! If a response of `/oauth/token` has no `refresh_token`, the client keeps its current one. After a `503`, or if no
//! response arrives, it repeats the request with the same token.

use std::{env, error::Error};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Result,
    routing::{get, post},
};
use serde::Deserialize;
use tower_jwt_sessions::{ConfigError, KeyRing, MemoryStore, Session, SessionManager, manager::SessionTokens};

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
        .accept_bearer_tokens() // in addition to cookies, which pages of the service may use
        .build()
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/me", get(me))
        .nest("/oauth", sessions.token_router()) // POST /token refreshes, POST /revoke logs out
        .layer(sessions.layer())
        .with_state(sessions)
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

/// Responds with the JSON of RFC 6749, section 5.1. Only for clients that keep tokens in the credential storage of
/// their system: on a page, every script could read them.
async fn login(State(sessions): State<SessionManager>, Json(login): Json<Login>) -> Result<SessionTokens> {
    let proof = sessions.start_proof();
    // An application checks a password hash here.
    if (login.username.as_str(), login.password.as_str()) != ("alice", "wonderland") {
        return Err(StatusCode::UNAUTHORIZED.into());
    }
    Ok(sessions.login(login.username).proven_since(proof).tokens().await?)
}

/// Uses the same extractor as for browsers.
async fn me(session: Session) -> String {
    format!("{}\n", session.user_id())
}
