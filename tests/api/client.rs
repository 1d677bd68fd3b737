//! The routes of the browser module: the script, the session of a request, and the stream of events.

use std::{
    future::pending,
    io::Write as _,
    process::{Command, Stdio},
};

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt as _;
use tower_jwt_sessions::SessionManager;

use crate::support::*;

on_every_store!(stream_tells_of_changes_and_ends_with_the_session, session_is_told_without_the_store);

/// The application with the routes of the module. Streams end with the sender.
fn app_with_client(sessions: &SessionManager<Claims>, shutdown: &watch::Receiver<()>) -> Router {
    let shutdown = shutdown.clone();
    let stopping = move || {
        let mut shutdown = shutdown.clone();
        async move { while shutdown.changed().await.is_ok() {} }
    };
    Router::new().nest("/auth", sessions.client_router(stopping)).fallback_service(app(sessions))
}

struct Stream(http::Response<Body>);

impl Stream {
    async fn open(app: &Router, access: &str) -> Self {
        let request = Request::get("/auth/events").header("cookie", format!("{ACCESS}={access}"));
        let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self(response)
    }

    /// Returns name and data of the next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        let frame = self.0.body_mut().frame().await?.expect("the stream does not fail");
        let text = String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text");
        let event = text.strip_suffix("\n\n").and_then(|event| event.strip_prefix("event: "));
        let (name, data) = event.and_then(|event| event.split_once("\ndata: ")).unwrap_or_else(|| panic!("{text:?}"));
        Some((name.to_owned(), serde_json::from_str(data).expect("JSON")))
    }

    async fn expect(&mut self, name: &str) -> Value {
        let (found, data) = self.next().await.expect("an event");
        assert_eq!(found, name, "{data}");
        data
    }
}

async fn stream_tells_of_changes_and_ends_with_the_session(backend: Backend) {
    let world = World::new(backend).await;
    let other = world.node(|builder| builder).await;
    let (_running, shutdown) = watch::channel(());
    let app = app_with_client(&world.sessions, &shutdown);
    let mut browser = world.browser();
    browser.login("alice").await;
    let id = browser.get("/me").await.json()["id"].clone();
    let mut stream = Stream::open(&app, &browser.access()).await;
    let headers = stream.0.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");

    let first = stream.expect("session").await;
    assert_eq!((&first["session_id"], &first["expires_in"]), (&id, &json!(3600)));
    for _ in 0..2 {
        other.sessions.expire_access("alice").await.unwrap();
        assert_eq!(stream.expect("changed").await, json!({}));
    }
    other.sessions.end_all("bob").await.unwrap();
    other.sessions.end_all("alice").await.unwrap();
    assert_eq!(stream.expect("ended").await, json!({}));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn stream_ends_without_event_when_server_stops() {
    let world = World::new(Backend::Memory).await;
    let (running, shutdown) = watch::channel(());
    let app = app_with_client(&world.sessions, &shutdown);
    let mut browser = world.browser();
    browser.login("alice").await;
    let mut stream = Stream::open(&app, &browser.access()).await;
    stream.expect("session").await;
    drop(running);
    assert_eq!(stream.next().await, None, "a client that saw `ended` would show a login");
}

#[tokio::test(start_paused = true)]
async fn stream_is_never_silent_for_long() {
    let world = World::new(Backend::Memory).await;
    let app = Router::new().nest("/auth", world.sessions.client_router(pending::<()>));
    let mut browser = world.browser();
    browser.login("alice").await;
    let mut stream = Stream::open(&app, &browser.access()).await;
    stream.expect("session").await;
    let begun = tokio::time::Instant::now();
    for _ in 0..2 {
        stream.expect("alive").await;
    }
    assert_eq!(begun.elapsed().as_secs(), 30);
}

async fn session_is_told_without_the_store(backend: Backend) {
    let world = World::new(backend).await;
    let (_running, shutdown) = watch::channel(());
    let app = app_with_client(&world.sessions, &shutdown);
    let mut browser = world.browser();
    browser.visit(&app);
    browser.login("alice").await;
    let id = browser.get("/me").await.json()["id"].clone();
    world.clock.advance(seconds(60));
    world.store.set_down(true);
    let told = browser.get("/auth/session").await;
    assert_eq!(told.is(200).header("cache-control"), "no-store");
    let mut document = told.json();
    assert!(document["auth_time"].as_u64().is_some_and(|time| time > 1_000_000_000), "{document}");
    document["auth_time"] = json!(null);
    let (user, actor) = ("alice", json!(null));
    let expected = json!({ "user_id": user, "session_id": id, "auth_time": null, "actor": actor, "bound": false, "expires_in": 3540 });
    assert_eq!(document, expected);
}

#[tokio::test]
async fn module_is_told_whether_to_refresh() {
    let world = World::new(Backend::Memory).await;
    let (_running, shutdown) = watch::channel(());
    let app = app_with_client(&world.sessions, &shutdown);
    let mut browser = world.browser();
    browser.visit(&app);
    for path in ["/auth/session", "/auth/events"] {
        browser.get(path).await.is_problem(401, "missing_credentials");
    }
    browser.login("alice").await;
    world.clock.advance(hours(2));
    for path in ["/auth/session", "/auth/events"] {
        let refused = browser.get(path).await;
        refused.is_problem(401, "invalid_token");
        assert_eq!(refused.header("cache-control"), "no-store");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#));
    }
    browser.post("/auth/refresh").await.is(200);
    browser.get("/auth/session").await.is(200);
}

#[tokio::test]
async fn script_is_cached_by_version_and_tag() {
    let world = World::new(Backend::Memory).await;
    let (_running, shutdown) = watch::channel(());
    let app = app_with_client(&world.sessions, &shutdown);
    let get = async |query: &str, known: &str| {
        send(&app, &format!("GET /auth/client.js{query}"), &[("if-none-match", known)]).await
    };
    let first = get("", "").await;
    assert_eq!(first.is(200).header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(first.header("x-content-type-options"), "nosniff");
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with(concat!("\"", env!("CARGO_PKG_VERSION"), "-")), "{tag}");

    let own = concat!("?v=", env!("CARGO_PKG_VERSION"));
    for (query, kept) in [("", false), ("?v=0.0.9", false), (own, true)] {
        let expected = if kept { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        for known in ["", &tag, &format!("\"a\", W/{tag}"), "\"0.0.9-00\""] {
            let response = get(query, known).await;
            assert_eq!(response.header("cache-control"), expected, "{query}");
            assert_eq!(response.header("etag"), tag);
            let is_known = known.contains(&tag);
            assert_eq!(response.is(if is_known { 304 } else { 200 }).body.is_empty(), is_known, "{known}");
        }
    }
}

/// The size of a text after `gzip -9`.
fn gzipped(text: &str) -> usize {
    let mut gzip =
        Command::new("gzip").args(["-9", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    gzip.wait_with_output().unwrap().stdout.len()
}

#[tokio::test]
async fn script_is_small_and_without_comments() {
    let world = World::new(Backend::Memory).await;
    let (_running, shutdown) = watch::channel(());
    let script = send::<&str>(&app_with_client(&world.sessions, &shutdown), "GET /auth/client.js", &[]).await.body;
    assert!(script.contains("\nexport function createSession("));
    let unwanted = |line: &&str| line.is_empty() || ["//", "/*", "*", " "].iter().any(|begin| line.starts_with(begin));
    assert_eq!(script.lines().find(unwanted), None);
    // Without names of one letter, as a bundler writes them: then it is below 3,072.
    assert!(gzipped(&script) < 4_096, "{}", gzipped(&script));
    // A line that continues a product would be taken for a comment.
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/client/index.js")).unwrap();
    let mut comment = false;
    for line in source.lines().map(str::trim) {
        assert!(!line.starts_with('*') || comment, "{line}");
        comment = (comment || line.starts_with("/*")) && !line.ends_with("*/");
        assert!(!line.starts_with("/*") || comment || line.ends_with("*/"), "{line}");
    }
}

#[tokio::test]
async fn version_of_the_package_is_that_of_the_crate() {
    let package = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/client/package.json")).unwrap();
    let package: Value = serde_json::from_str(&package).unwrap();
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
}
