//! A second service that accepts the sessions of the first and has no secret, only its public keys.
//!
//! Start the example `key_rotation`, type `publish` and `activate` there, then:
//!
//! ```sh
//! cargo run --example verify_only
//!
//! curl -c jar -b jar -X POST localhost:3000/login
//! curl -b jar localhost:3001/report
//! ```
//!
//! Such a service does not learn of logouts: an access token is accepted until it expires.

use std::{env, error::Error, time::Duration};

use axum::{Router, routing::get};
use tower_jwt_sessions::{ConfigError, Session, SessionLayer, Verifier, keys::VerificationKeys};

/// How long `jwks.json` may be cached. A new key must be published for longer than that before it signs.
const REFRESH_KEYS_EVERY: Duration = Duration::from_secs(5 * 60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::var("JWKS_URL").unwrap_or_else(|_| "http://localhost:3000/auth/jwks.json".into());
    let verifier = verifier(&fetch(url.clone()).await?)?;
    let app = app(&verifier);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REFRESH_KEYS_EVERY).await;
            if let Err(error) = update(&verifier, url.clone()).await {
                tracing::warn!(error, "public keys not updated, keeping the last ones");
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    Ok(axum::serve(listener, app).await?)
}

/// Issuer and audience must be those of the first service.
pub(crate) fn verifier(jwks: &str) -> Result<Verifier<()>, ConfigError> {
    Verifier::builder()
        .keys(VerificationKeys::from_jwks(jwks)?)
        .issuer("http://localhost:3000")
        .audience("http://localhost:3000")
        .cache_signatures(10_000) // a signature takes fifty times as long as an HMAC
        .build()
}

pub(crate) fn app(verifier: &Verifier<()>) -> Router {
    Router::new().route("/report", get(report)).layer(SessionLayer::new(verifier.clone()))
}

async fn report(session: Session) -> String {
    format!("report for {}\n", session.user_id())
}

async fn update(verifier: &Verifier<()>, url: String) -> Result<(), Box<dyn Error>> {
    Ok(verifier.replace_keys(&VerificationKeys::from_jwks(fetch(url).await?)?)?)
}

/// Uses ureq, which is small; any HTTP client works.
async fn fetch(url: String) -> Result<String, Box<dyn Error>> {
    let response = tokio::task::spawn_blocking(move || ureq::get(&url).call()?.body_mut().read_to_string());
    Ok(response.await??)
}
