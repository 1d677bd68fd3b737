//! Replaces the key of access tokens while serving, a secret by an Ed25519 key, without logging users out.
//!
//! ```sh
//! openssl genpkey -algorithm ed25519 -out next.pem
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) NEXT_KEY=next.pem \
//!     cargo run --example key_rotation
//!
//! curl -c jar -b jar -X POST localhost:3000/login
//! curl -c jar -b jar localhost:3000/me
//! curl -i localhost:3000/auth/jwks.json                    # 404: a secret is not published
//! ```
//!
//! Type `publish` into the terminal of the service: `jwks.json` now has the new key. Type `activate`: the next refresh
//! issues a token of the new key, and tokens of the old one are still accepted. With several nodes, activate after all
//! of them have published. The example `verify_only` is a service that needs only `jwks.json`.

use std::{
    env,
    error::Error,
    fs,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    extract::State,
    response::Result,
    routing::{get, post},
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager, keys::SigningKey,
};

/// How long the old key is accepted after the change: one hour, the lifetime of access tokens, and another hour for all
/// nodes to follow.
const OVERLAP: Duration = Duration::from_secs(2 * 60 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let set = |name| env::var(name).map_err(|_| format!("set {name}"));
    let sessions = sessions(&set("JWT_SECRET")?, &set("REFRESH_SECRET")?)?;
    let next = SigningKey::eddsa_pem(fs::read(set("NEXT_KEY")?)?)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let server = tokio::spawn(axum::serve(listener, app(sessions.clone())).into_future());

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = lines.next_line().await? {
        match command.trim() {
            "publish" => publish(&sessions, &next)?,
            "activate" => activate(&sessions, next.clone())?,
            _ => {}
        }
    }
    Ok(server.await??)
}

/// Accepts tokens of the next key and lists it in `jwks.json`. Continues to sign with the old one.
pub(crate) fn publish(sessions: &SessionManager, next: &SigningKey) -> Result<(), ConfigError> {
    sessions.replace_access_keys(sessions.access_keys().with_verification_key(next.verification_key().clone())?)
}

/// Signs with the next key. The old one is accepted until its last token has expired.
pub(crate) fn activate(sessions: &SessionManager, next: SigningKey) -> Result<(), ConfigError> {
    #[allow(clippy::disallowed_methods, reason = "the library itself takes the time from a clock")]
    let retire_at = SystemTime::now() + OVERLAP;
    sessions.replace_access_keys(sessions.access_keys().activate(next, retire_at)?)
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
    Router::new()
        .route("/login", post(login).layer(sessions.cross_site_guard()))
        .route("/me", get(me))
        .nest("/auth", sessions.router()) // GET /auth/jwks.json has the public keys
        .layer(sessions.layer())
        .with_state(sessions)
}

/// Checks no password: see the example `minimal`.
async fn login(State(sessions): State<SessionManager>, presented: PresentedTokens) -> Result<SessionCookies> {
    Ok(sessions.login("alice").replacing(presented).await?)
}

async fn me(session: Session) -> String {
    format!("{}\n", session.user_id())
}
