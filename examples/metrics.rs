//! The metrics of the crate for Prometheus, at `/metrics`.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) \
//!     cargo run --example metrics --features metrics
//!
//! curl -c jar -b jar -X POST localhost:3000/login
//! curl localhost:9000/metrics
//! # tower_jwt_sessions_events_total{event="session_created"} 1
//! ```
//!
//! The operations page of the documentation has all of them, and what to alert on.

use std::{env, error::Error};

use axum::{
    Router,
    extract::State,
    response::Result,
    routing::{get, post},
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tower_jwt_sessions::{ConfigError, KeyRing, MemoryStore, PresentedTokens, SessionCookies, SessionManager};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    // Before the manager is built, which records the state of the revocation log.
    let recorder = exporter()?.install_recorder()?;
    let app = app(sessions(&secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?);
    // On another port, which only Prometheus can reach: clients must not learn how many users log in.
    let internal = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
    let public = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let served = tokio::join!(axum::serve(internal, metrics(recorder)), axum::serve(public, app));
    served.0.and(served.1)?;
    Ok(())
}

/// With buckets for histograms: without them each node renders quantiles of its own, which cannot be combined.
pub(crate) fn exporter() -> Result<PrometheusBuilder, BuildError> {
    let buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets)
}

pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .build()
}

/// What Prometheus reads: `render` writes its text format.
pub(crate) fn metrics(recorder: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(async move || recorder.render()))
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/login", post(login).layer(sessions.cross_site_guard()))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions)
}

/// Checks no password: see the example `minimal`.
async fn login(State(sessions): State<SessionManager>, presented: PresentedTokens) -> Result<SessionCookies> {
    Ok(sessions.login("alice").replacing(presented).await?)
}
