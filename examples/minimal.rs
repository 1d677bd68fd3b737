//! Login, a private page and logout, with sessions in memory.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example minimal
//!
//! curl -c jar -b jar localhost:3000/login --json '{"username":"alice","password":"wonderland"}'
//! curl -c jar -b jar localhost:3000/me
//! curl -c jar -b jar -X POST localhost:3000/auth/refresh
//! curl -c jar -b jar -X POST localhost:3000/auth/logout
//! curl -c jar -b jar localhost:3000/me                     # 401
//! ```

use std::{env, error::Error, io};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::Result,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager, UserId,
};

/// Travels in the access token, which its user can read.
#[derive(Deserialize, Serialize)]
pub(crate) struct Claims {
    role: String,
}

type Sessions = SessionManager<Claims>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    let app = app(sessions(&secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<Sessions, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .claims_source(find_user)
        .build()
}

pub(crate) fn app(sessions: Sessions) -> Router {
    Router::new()
        .route("/login", post(login).layer(sessions.cross_site_guard()))
        .route("/me", get(me))
        .route("/", get(home))
        .nest("/auth", sessions.router()) // refresh, logout, logout-all, sessions
        .layer(sessions.layer()) // verifies every request
        .with_state(sessions)
}

/// Called at every login and refresh: a deleted user is logged out, and a new role is in the next token.
async fn find_user(id: UserId) -> Result<Option<Claims>, io::Error> {
    Ok((id == "alice").then(|| Claims { role: "admin".into() }))
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

async fn login(
    State(sessions): State<Sessions>,
    presented: PresentedTokens<Claims>,
    Json(login): Json<Login>,
) -> Result<SessionCookies> {
    // Before the password is read: a login that began before the password was changed is refused.
    let proof = sessions.start_proof();
    // An application checks a password hash here, for example with the argon2 crate.
    if (login.username.as_str(), login.password.as_str()) != ("alice", "wonderland") {
        return Err(StatusCode::UNAUTHORIZED.into());
    }
    // Ends the session that the browser had before.
    Ok(sessions.login(login.username).proven_since(proof).replacing(presented).await?)
}

/// The extractor `Session` makes the route private: without a session the response is a 401, and this does not run.
async fn me(session: Session<Claims>) -> String {
    format!("{} is {}\n", session.user_id(), session.claims().role)
}

/// A public page.
async fn home(session: Option<Session<Claims>>) -> String {
    format!("Hello {}\n", session.as_ref().map_or("world", |session| session.user_id().as_str()))
}
