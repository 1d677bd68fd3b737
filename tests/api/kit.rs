//! The test kit, as the test suite of a site uses it.

use std::time::{Duration, SystemTime};

use axum::{
    Json, Router,
    extract::Extension,
    http::HeaderMap,
    response::Redirect,
    routing::{get, post},
};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    KeyRing, MemoryStore, Session, SessionId, SessionManager,
    auth::SessionRejection,
    clock::Clock as _,
    testing::{Fault, FaultyStore, StoreStep, TestClient, TestClock, TestSession},
};

use crate::support::{ACCESS, ACCESS_SECRET, REFRESH, REFRESH_SECRET, hours, seconds};

fn manager(store: FaultyStore<MemoryStore>, clock: &TestClock) -> SessionManager {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(ACCESS_SECRET).expect("long enough"))
        .refresh_keys(KeyRing::hs256(REFRESH_SECRET).expect("long enough"))
        .issuer("https://app.test")
        .store(store)
        .clock(clock.clone())
        .build()
        .expect("a valid configuration")
}

struct Scene {
    clock: TestClock,
    store: FaultyStore<MemoryStore>,
    sessions: SessionManager,
    app: Router,
}

fn scene() -> Scene {
    let clock = TestClock::new();
    let store = FaultyStore::new(MemoryStore::with_clock(clock.clone()));
    let sessions = manager(store.clone(), &clock);
    let app = Router::new()
        .route("/me", get(async |session: Session| session.user_id().to_string()))
        .route("/echo", get(echo).post(echo).put(echo))
        .route("/old", get(Redirect::permanent("/a/../echo?from=old")).post(Redirect::temporary("/echo")))
        .route("/done", post(async || Redirect::to("echo")))
        .route("/token", get(async || [("x-token", "eyJ0eXAi")]))
        .route("/loop", get(Redirect::to("/loop")))
        .route("/away", get(Redirect::to("https://elsewhere.test/")))
        .nest("/auth", sessions.router())
        .layer(sessions.cross_site_guard())
        .layer(sessions.layer());
    Scene { clock, store, sessions, app }
}

async fn echo(method: axum::http::Method, headers: HeaderMap, body: String) -> Json<Value> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let site = format!("{} {} {}", header("sec-fetch-site"), header("sec-fetch-mode"), header("sec-fetch-dest"));
    Json(json!({
        "method": method.as_str(), "body": body, "type": header("content-type"), "host": header("host"),
        "origin": header("origin"), "site": site, "accept": header("accept"), "cookie": header("cookie"),
    }))
}

#[tokio::test]
async fn client_sends_what_browsers_send() {
    let browser = TestClient::new(scene().app).origin("https://App.test:8443");
    let fetched: Value = browser.get("/echo").await.json();
    assert_eq!(fetched["site"], "same-origin cors empty");
    assert_eq!((&fetched["host"], &fetched["origin"]), (&json!("app.test:8443"), &json!("")));
    let form: Value = browser.post_form("/echo", [("a b", "ü&"), ("c", "")]).await.json();
    assert_eq!((&form["method"], &form["body"]), (&json!("POST"), &json!("a+b=%C3%BC%26&c=")));
    assert_eq!(form["type"], "application/x-www-form-urlencoded");
    assert_eq!(
        (&form["site"], &form["origin"]),
        (&json!("same-origin navigate document"), &json!("https://app.test:8443"))
    );
    assert!(form["accept"].as_str().is_some_and(|accept| accept.starts_with("text/html")));
    let sent: Value = browser.post_json("/echo", &json!({ "a": 1 })).await.json();
    assert_eq!((&sent["body"], &sent["type"]), (&json!(r#"{"a":1}"#), &json!("application/json")));
    let other: Value = browser.request("PUT", "/echo").header("accept", "text/css").body("x").await.json();
    assert_eq!((&other["method"], &other["accept"], &other["body"]), (&json!("PUT"), &json!("text/css"), &json!("x")));
    let plain: Value = browser.get("/echo").plain().await.json();
    assert_eq!((&plain["site"], &plain["accept"]), (&json!("  "), &json!("")));
    // Insecure sites are sent no fetch metadata.
    let insecure: Value = browser.clone().origin("http://app.test").post("/echo").await.json();
    assert_eq!((&insecure["site"], &insecure["origin"]), (&json!("  "), &json!("http://app.test")));
}

#[tokio::test]
async fn client_passes_the_guard_and_a_page_of_another_site_does_not() {
    let Scene { sessions, app, .. } = scene();
    let browser = TestClient::new(app).log_in(&sessions, "alice").await;
    browser.post("/echo").await.assert_status(200);
    browser.post_form("/echo", [("a", "b")]).cross_site("https://evil.test").await.assert_status(403);
    // Its cookies are SameSite=Strict.
    let link: Value = browser.navigate("/echo").cross_site("https://evil.test").await.json();
    assert_eq!((&link["cookie"], &link["site"]), (&json!(""), &json!("cross-site navigate document")));
    browser.get("/me").await.assert_status(200);
}

#[tokio::test]
async fn client_follows_redirects_only_if_asked() {
    let Scene { app, .. } = scene();
    let browser = TestClient::new(app.clone());
    assert_eq!(browser.get("/old").await.assert_status(308).header("location"), Some("/a/../echo?from=old"));
    let browser = browser.follow_redirects();
    let followed = browser.get("/old").await;
    assert_eq!(followed.assert_status(200).target(), "/echo?from=old");
    // A form is submitted again after 307, and not after 303.
    let again: Value = browser.post_form("/old", [("a", "b")]).await.json();
    assert_eq!((&again["method"], &again["body"]), (&json!("POST"), &json!("a=b")));
    let done: Value = browser.post_form("/done", [("a", "b")]).await.json();
    assert_eq!((&done["method"], &done["body"], &done["type"]), (&json!("GET"), &json!(""), &json!("")));
    browser.get("/away").await.assert_status(303);
    let looped = tokio::spawn(async move { browser.get("/loop").await }).await;
    assert!(looped.is_err_and(|error| error.is_panic()));
}

#[tokio::test]
async fn cookies_expire_by_the_clock_of_the_manager_and_with_the_browser() {
    let Scene { clock, sessions, app, .. } = scene();
    let browser = TestClient::new(app).log_in(&sessions, "alice").await;
    let thief = browser.clone();
    thief.get("/me").await.assert_status(200);
    browser.restart();
    assert!(browser.cookie(ACCESS).is_some());
    clock.advance(hours(7 * 24) - seconds(1));
    assert!(browser.cookie(REFRESH).is_some());
    clock.advance(seconds(1));
    assert_eq!((browser.cookie(REFRESH), browser.cookie_header("/")), (None, String::new()));
    browser.keep_cookies(sessions.login("alice").persistent(false).await.expect("a login"));
    browser.get("/me").await.assert_status(200);
    thief.get("/me").await.assert_status(401);
    browser.restart();
    browser.get("/me").await.assert_status(401);
}

#[tokio::test]
async fn second_login_of_a_client_replaces_the_first() {
    let Scene { sessions, app, .. } = scene();
    let browser = TestClient::new(app).log_in(&sessions, "alice").await.log_in(&sessions, "alice").await;
    assert_eq!(browser.get("/me").await.text(), "alice");
    assert_eq!(sessions.list("alice").await.expect("a list").len(), 1);
}

#[tokio::test]
#[should_panic = "a browser at http://app.test ignores the cookie __Host-access: it is Secure, and the page is not"]
async fn ignored_cookie_fails_the_login_and_says_why() {
    let Scene { sessions, app, .. } = scene();
    let _ = TestClient::new(app).origin("http://app.test").log_in(&sessions, "alice").await;
}

#[tokio::test]
async fn printed_clients_contain_no_token() {
    let Scene { sessions, app, .. } = scene();
    let browser = TestClient::new(app).log_in(&sessions, "alice").await;
    let response = browser.get("/token").await;
    assert_eq!(response.header("x-token"), Some("eyJ0eXAi"));
    let printed =
        format!("{browser:?} {response:?} {:?}", browser.get("/me").header("authorization", "Bearer eyJ0eXAi"));
    assert!(printed.contains("__Host-refresh") && !printed.contains("eyJ0eXAi"), "{printed}");
}

#[tokio::test]
async fn lost_response_leaves_the_cookies() {
    let Scene { clock, sessions, app, .. } = scene();
    let browser = TestClient::new(app).log_in(&sessions, "alice").await;
    clock.advance(hours(2));
    let before = browser.cookie_header("/");
    let lost = browser.post("/auth/refresh").lose_response().await;
    assert_eq!((lost.set_cookies().len(), browser.cookie_header("/")), (2, before));
    browser.post("/auth/refresh").await.assert_status(200);
    browser.get("/me").await.assert_status(200);
}

#[tokio::test]
async fn store_fails_where_and_as_often_as_it_should() {
    let Scene { store, sessions, .. } = scene();
    store.fail_next(2);
    assert!(sessions.login("alice").await.is_err());
    assert!(sessions.list("alice").await.is_err());
    assert_eq!(sessions.list("alice").await.expect("the third works").len(), 0);

    let fault = store.inject(Fault::fails().at(StoreStep::End).at(StoreStep::List));
    let _tokens = sessions.login("alice").tokens().await.expect("logins work");
    assert!(sessions.list("alice").await.is_err());
    assert_eq!(fault.happened(), 1);
    fault.lift();
    assert_eq!(sessions.list("alice").await.expect("a list").len(), 1);

    // The login happened, and its answer was lost.
    store.inject(Fault::loses_answer().at(StoreStep::Create).times(1));
    assert!(sessions.login("alice").await.is_err());
    assert_eq!(sessions.list("alice").await.expect("a list").len(), 2);
    assert_eq!((store.count(StoreStep::Create), store.count(StoreStep::List)), (3, 5));
}

#[tokio::test]
async fn store_delays_until_released() {
    let Scene { store, sessions, .. } = scene();
    for (user, fault, count) in [("alice", Fault::delays(), 0), ("bob", Fault::delays_answer(), 1)] {
        let slow = store.inject(fault.at(StoreStep::Create));
        let login = tokio::spawn({
            let sessions = sessions.clone();
            async move { sessions.login(user).tokens().await }
        });
        slow.reached().await;
        assert_eq!(slow.happened(), 1);
        tokio::task::yield_now().await;
        assert!(!login.is_finished());
        assert_eq!(sessions.list(user).await.expect("a list").len(), count);
        // Either ends the delay.
        if user == "alice" {
            slow.lift();
        } else {
            store.recover();
        }
        let _tokens = login.await.expect("no panic").expect("a login");
        assert_eq!(sessions.list(user).await.expect("a list").len(), 1);
    }
}

/// A node notices at once, although it waits for the log.
#[tokio::test]
async fn outage_interrupts_a_reader_of_the_log() {
    let Scene { store, sessions, .. } = scene();
    let feed = sessions.revocation_feed();
    feed.caught_up().await;
    while store.count(StoreStep::ReadLog) < 2 {
        tokio::task::yield_now().await;
    }
    let begun = store.count(StoreStep::ReadLog);
    let outage = store.fail();
    outage.reached().await;
    assert_eq!(store.count(StoreStep::ReadLog), begun, "the read that waited failed, not the next one");
    store.recover();
    feed.caught_up().await;
}

#[tokio::test]
async fn session_of_a_test_has_all_that_it_was_given() {
    let clock = TestClock::new();
    let id = SessionId::from_bytes([7; 16]);
    let session = TestSession::new(42, "claims")
        .clock(&clock)
        .id(id)
        .acting("support")
        .session_claims(&json!({ "organization": 7 }))
        .logged_in_ago(hours(1))
        .expires_in(seconds(5))
        .renewed()
        .build();
    assert_eq!((session.user_id().as_str(), session.id(), *session.claims()), ("42", id, "claims"));
    assert_eq!(session.actor().map(|actor| actor.as_str()), Some("support"));
    let claims: Option<Value> = session.session_claims().expect("JSON");
    assert_eq!(claims, Some(json!({ "organization": 7 })));
    assert_eq!(session.auth_time(), SystemTime::from(clock.now().saturating_sub(hours(1))));
    assert_eq!((session.expires_in(), session.is_renewed()), (seconds(5), true));
    let own = TestSession::new("alice", ()).clock(&clock).logged_in_at(clock.now().into());
    assert!(own.build().require_recent_login(Duration::ZERO).is_ok(), "by the clock of the test");
    assert!(
        TestSession::new("alice", ())
            .clock(&clock)
            .logged_in_ago(seconds(2))
            .build()
            .require_recent_login(seconds(1))
            .is_err()
    );
}

/// A handler without the layer, and the session in the extensions of the request.
#[tokio::test]
async fn client_passes_sessions_of_tests_to_handlers() {
    async fn name(Extension(session): Extension<Session>) -> Result<String, SessionRejection> {
        session.require(|session| session.actor().is_none())?;
        Ok(session.user_id().to_string())
    }
    let browser = TestClient::new(Router::new().route("/", get(name)));
    let alice = TestSession::new("alice", ()).build();
    assert_eq!(browser.get("/").extension(alice).await.text(), "alice");
    browser.get("/").extension(TestSession::new("alice", ()).acting("bob").build()).await.assert_status(403);
}
