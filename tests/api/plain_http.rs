//! Cookies that the browser drops, since its page is on plain http, are logged.

use axum::{Router, extract::State, response::IntoResponse, routing::any};
use http::StatusCode;
use tower_jwt_sessions::{Error, SessionManager, cookie::CookieConfig};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

type Headers = &'static [(&'static str, &'static str)];

/// Returns what was logged about plain http during these requests.
async fn warnings(app: &Router, requests: &[(&str, Headers)]) -> usize {
    Log::capture(LevelFilter::WARN);
    for (what, headers) in requests {
        send(app, what, headers).await;
    }
    let text = Log::captured();
    text.lines().filter(|line| line.contains("browsers drop Secure session cookies on plain http")).count()
}

async fn app(cookies: CookieConfig) -> Router {
    World::with(Backend::Memory, |builder| builder.cookies(cookies)).await.app
}

const LAN: Headers = &[("origin", "http://192.168.1.20:3000"), ("host", "192.168.1.20:3000")];

#[tokio::test]
async fn secure_cookies_on_plain_http_are_logged_once() {
    let login = ("POST /login/alice", LAN);
    assert_eq!(warnings(&app(CookieConfig::new()).await, &[login, login, login]).await, 1);
    // Once for each manager, and not for what sets no cookies.
    let app = app(CookieConfig::new()).await;
    let logout = ("POST /auth/logout", LAN);
    assert_eq!(warnings(&app, &[("GET /greet", LAN), ("POST /me", LAN), ("POST /auth/refresh", LAN), logout]).await, 0);
    assert_eq!(warnings(&app, &[login, login]).await, 1);
    assert_eq!(warnings(&app, &[login]).await, 0);
}

#[tokio::test]
async fn refresh_on_plain_http_is_logged() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    Log::capture(LevelFilter::WARN);
    browser.send("POST /auth/refresh", LAN).await.is(200);
    assert!(Log::captured().contains("browsers drop Secure session cookies"));
}

#[tokio::test]
async fn only_remote_plain_http_pages_are_logged() {
    for (origin, expected) in [
        ("http://app.test", 1),
        ("http://192.168.1.20", 1),
        ("http://10.0.0.7:8080", 1),
        ("http://[fe80::1]", 1),
        ("http://localhost.app.test", 1),
        ("http://notlocalhost", 1),
        ("http://127.0.0.1.app.test", 1),
        ("http://128.0.0.1", 1),
        ("http://localhost", 0),
        ("http://localhost:5173", 0),
        ("http://app.localhost:3000", 0),
        ("http://127.0.0.1:3000", 0),
        ("http://127.8.9.1", 0),
        ("http://[::1]", 0),
        ("http://[::1]:3000", 0),
        ("https://app.test", 0),
        ("capacitor://localhost", 0),
        ("null", 0),
        ("", 0),
    ] {
        // A guard that refuses none of them.
        let world = World::with(Backend::Memory, |builder| builder.report_cross_site_requests_only()).await;
        let login = async |State(sessions): State<SessionManager<Claims>>| sessions.login("alice").await;
        let login = any(login).layer(world.sessions.cross_site_guard());
        let routes = Router::new().route("/login", login).layer(world.sessions.layer());
        let app = routes.with_state(world.sessions.clone());
        let logged = async |what: &str, more: &[(&str, &str)]| {
            Log::capture(LevelFilter::WARN);
            send(&app, what, &[&[("origin", origin)], more].concat()).await.is(200);
            Log::captured().matches("browsers drop Secure session cookies").count()
        };
        // Browsers send Sec-Fetch-Site to https only: the page is on http, and the service is not.
        assert_eq!(logged("POST /login", &[("sec-fetch-site", "cross-site")]).await, 0, "{origin}");
        assert_eq!(logged("POST /login", &[]).await, expected, "{origin}");
    }
}

#[tokio::test]
async fn plain_http_without_secure_cookies_is_not_logged() {
    let login: (&str, Headers) = ("POST /login/alice", LAN);
    let app = app(CookieConfig::new().insecure_http_for_development()).await;
    assert_eq!(warnings(&app, &[login, ("POST /auth/refresh", LAN)]).await, 0);

    // A login that fails sets none.
    async fn failing() -> Result<impl IntoResponse, Error> {
        Ok(StatusCode::UNAUTHORIZED)
    }
    let world = World::new(Backend::Memory).await;
    let failing = any(failing).layer(world.sessions.cross_site_guard());
    let app = Router::new().route("/login/alice", failing).layer(world.sessions.layer());
    assert_eq!(warnings(&app, &[login]).await, 0);
}
