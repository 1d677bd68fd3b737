//! The commonest mistakes in an application: what is returned or logged, and that it names the cure.

use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    Claims, ConfigError, KeyRing, MemoryStore, Session, SessionManager, cookie::CookieConfig,
    manager::SessionManagerBuilder, redis::RedisStore,
};
use tracing::level_filters::LevelFilter;

use crate::support::{Backend, World, log::Log, send};

#[derive(Serialize, Deserialize)]
struct Role {
    role: String,
}

/// A builder with everything that is required.
fn complete<C: Claims>() -> SessionManagerBuilder<C> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("long enough"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("long enough"))
        .issuer("https://app.test")
        .store(MemoryStore::new())
}

#[track_caller]
fn refused<T>(result: Result<T, ConfigError>, text: &str) {
    let Err(error) = result else { panic!("accepted, but expected: {text}") };
    assert_eq!(error.to_string(), text);
}

/// Asserts that this request logs one line, which contains this text.
async fn logs(app: &Router, request: (&str, &[(&str, &str)]), status: u16, text: &str) {
    Log::capture(LevelFilter::WARN);
    let response = send(app, request.0, request.1).await;
    let log = Log::captured();
    response.is(status);
    assert!(log.lines().count() == 1 && log.contains(text), "{log}");
    assert!(!response.body.contains("layer"), "the client learns of it: {}", response.body);
}

async fn user(session: Session<Role>) -> String {
    format!("{}: {}", session.user_id(), session.claims().role)
}

async fn user_without_claims(session: Session) -> String {
    session.user_id().to_string()
}

#[tokio::test]
async fn route_without_layer() {
    let app = Router::new().route("/", get(user_without_claims));
    let help = "no session layer for Session<()>: add .layer(sessions.layer()) to the router, after its routes";
    logs(&app, ("GET /", &[]), 500, help).await;
}

#[tokio::test]
async fn layer_before_the_route() {
    let sessions = complete::<()>().build().expect("a valid configuration");
    let app = Router::new().layer(sessions.layer()).route("/", get(user_without_claims));
    let help = "no session layer for Session<()>: add .layer(sessions.layer()) to the router, after its routes";
    logs(&app, ("GET /", &[]), 500, help).await;
}

#[tokio::test]
async fn claims_that_are_not_those_of_the_layer() {
    let sessions = complete::<()>().build().expect("a valid configuration");
    let app = Router::new().route("/", get(user)).layer(sessions.layer());
    let help = "Role>, only one for Session<()>: ask for the claims of the layer";
    logs(&app, ("GET /", &[("cookie", "__Host-access=a.b.c")]), 500, help).await;
}

#[tokio::test]
async fn pages_on_plain_http_in_the_local_network() {
    let world = World::new(Backend::Memory).await;
    let from_phone = [("origin", "http://192.168.1.20:3000"), ("host", "192.168.1.20:3000")];
    let help = "browsers drop Secure session cookies on plain http";
    logs(&world.app, ("POST /login/alice", &from_phone), 200, help).await;
}

#[test]
fn short_secret() {
    let help = "secret too short: 6 bytes, need at least 32 for HS256: make one with `openssl rand -base64 32`";
    refused(KeyRing::hs256("secret"), help);
}

#[tokio::test]
async fn one_secret_for_both_kinds_of_tokens() {
    let ring = || KeyRing::hs256([1; 32]).expect("long enough");
    let help = "access_keys and refresh_keys share a key: give each ring secrets of its own, for example from JWT_SECRET \
                and REFRESH_SECRET";
    refused(complete::<()>().access_keys(ring()).refresh_keys(ring()).build(), help);
}

#[tokio::test]
async fn typing_mistakes_in_the_url_of_redis() {
    let help = "unsupported Redis URL scheme \"reddis\": write redis:// or rediss://";
    refused(RedisStore::connect("reddis://localhost").await, help);
    let help = "invalid Redis URL (it has no scheme): write redis://[user:password@]host[:port][/database]";
    refused(RedisStore::connect("localhost").await, help);
}

#[test]
fn no_runtime() {
    let help = "no tokio runtime for background tasks: connect the store and call build() within one, for example \
                under #[tokio::main]";
    refused(complete::<()>().build(), help);
}

#[tokio::test]
async fn names_of_cookies_that_collide() {
    let help = "both cookies have the same name: give each its own";
    refused(complete::<()>().cookies(CookieConfig::new().names("session", "session")).build(), help);
    let customers = complete::<()>().build().expect("a valid configuration");
    let help = "both managers of this origin have a cookie __Host-access, so that a login with one is a logout of the \
                other: give this one names of its own, such as CookieConfig::new().names(\"staff-access\", \
                \"staff-refresh\")";
    refused(complete::<()>().audience("https://admin.test").shares_origin_with(&customers).build(), help);
}

#[tokio::test]
async fn claims_without_a_source() {
    refused(complete::<Role>().build(), "claims_source was not called: it has no default");
}
