//! Sessions in Redis, which outlive the process and are shared by any number of nodes.
//!
//! ```sh
//! export REDIS_URL=redis://localhost JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32)
//! PORT=3000 cargo run --example redis --features redis &
//! PORT=3001 cargo run --example redis --features redis &
//!
//! curl -c jar -b jar -X POST localhost:3000/login/alice
//! curl -c jar -b jar localhost:3001/me
//! cp jar stolen
//! curl -c jar -b jar -X POST localhost:3000/auth/logout
//! curl -b stolen localhost:3001/me                         # 401 on the other node, too
//! curl -i localhost:3001/ready
//! ```

use std::{env, error::Error};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Result,
    routing::{get, post},
};
use tower_jwt_sessions::{
    ConfigError, KeyRing, PresentedTokens, Session, SessionCookies, SessionManager, redis::RedisStore,
    revocation::FeedStatus,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let set = |name| env::var(name).map_err(|_| format!("set {name}"));
    let store = RedisStore::connect(&set("REDIS_URL")?).await?;
    let app = app(sessions(store, &set("JWT_SECRET")?, &set("REFRESH_SECRET")?)?);
    let address = format!("127.0.0.1:{}", set("PORT")?);
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}

/// Nodes of one service need the same store, secrets and issuer.
pub(crate) fn sessions(store: RedisStore, jwt: &str, refresh: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt)?)
        .refresh_keys(KeyRing::hs256(refresh)?)
        .issuer("https://app.example")
        .store(store)
        .build()
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/login/{user}", post(login).layer(sessions.cross_site_guard()))
        .route("/me", get(me))
        .route("/ready", get(ready))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions)
}

/// Checks no password: see the example `minimal`.
async fn login(
    State(sessions): State<SessionManager>,
    Path(user): Path<String>,
    presented: PresentedTokens,
) -> Result<SessionCookies> {
    Ok(sessions.login(user).replacing(presented).await?)
}

async fn me(session: Session) -> String {
    format!("{}\n", session.user_id())
}

/// For the readiness probe. A node that has not read the revocation log yet serves no sessions; one that has
/// read it keeps serving while Redis is unavailable.
async fn ready(State(sessions): State<SessionManager>) -> StatusCode {
    match sessions.revocation_feed().status() {
        FeedStatus::CatchingUp => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}
