//! The companion router, route by route.

use axum::{Router, routing::get};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    SessionId,
    event::{EndReason, SessionEventKind as Event},
};

use crate::support::*;

on_every_store!(
    repeated_logout_succeeds,
    logout_with_expired_access_token_ends_session,
    logout_with_superseded_refresh_token_ends_session,
    logout_all_ends_all_sessions_of_user,
    logout_all_with_ended_session_is_refused,
    session_list_has_documented_fields,
    session_is_ended_by_id,
    session_of_another_user_cannot_be_ended,
);

const ROUTES: [(&str, &str); 6] = [
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/logout-all"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions/AAECAwQFBgcICQoLDA0ODw"),
    ("POST", "/auth/sessions/AAECAwQFBgcICQoLDA0ODw/end"),
];

#[tokio::test]
async fn routes_refuse_other_methods() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    for (own, path) in ROUTES {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
            if method != own {
                let response = browser.send(&format!("{method} {path}"), &[]).await;
                response.is(405);
                assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{method} {path}");
                assert!(response.header("allow").contains(own), "{method} {path}: {}", response.header("allow"));
            }
        }
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
        let response = browser.send(&format!("{method} /auth/jwks.json"), &[]).await;
        assert_eq!(response.is(405).header("allow"), "GET,HEAD", "{method}");
    }
    assert_eq!(world.events(), [Event::Created], "no request changed a session");
    browser.get("/me").await.is(200);
}

#[tokio::test]
async fn responses_are_not_cached() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    for (method, path) in ROUTES {
        for method in [method, "PUT"] {
            let what = format!("{method} {path}");
            let response = browser.send_only(&what, &[]).await;
            assert_eq!(response.header("cache-control"), "no-store", "{what}");
            let anonymous = send(&world.app, &what, &[("cookie", "a=b")]).await;
            assert_eq!(anonymous.header("cache-control"), "no-store", "{what}");
        }
    }
}

#[tokio::test]
async fn refresh_without_refresh_token_is_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.refresh().await.is_problem(401, "missing_credentials");
    browser.login("alice").await;
    let only_access = format!("{ACCESS}={}", browser.access());
    let response = send(&world.app, "POST /auth/refresh", &[("cookie", &only_access)]).await;
    response.is_problem(401, "missing_credentials");
    let only_refresh = format!("{REFRESH}={}", browser.refresh_token());
    let response = send(&world.app, "POST /auth/refresh", &[("cookie", &only_refresh)]).await;
    assert_eq!(response.is(200).json(), json!({ "success": true, "expires_in": 3600 }));
    assert_eq!(response.set_cookies().len(), 2);
}

async fn repeated_logout_succeeds(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let before = browser.clone();
    world.events();
    for _ in 0..2 {
        let response = before.send_only("POST /auth/logout", &[]).await;
        assert_eq!(response.is(200).json(), json!({ "success": true }));
        assert_eq!((response.cookie(ACCESS).as_deref(), response.cookie(REFRESH).as_deref()), (Some(""), Some("")));
    }
    assert_eq!(world.events(), [Event::Ended(EndReason::LoggedOut)], "the session ended once");
}

#[tokio::test]
async fn logout_without_session_succeeds() {
    let world = World::new(Backend::Memory).await;
    let garbage = format!("{ACCESS}=x; {REFRESH}=y");
    for cookies in ["", "a=b", &garbage] {
        let response = send(&world.app, "POST /auth/logout", &[("cookie", cookies)]).await;
        assert_eq!(response.is(200).json(), json!({ "success": true }));
        assert_eq!(response.set_cookies().len(), 2, "the response removes {cookies:?}");
    }
    assert_eq!(world.events(), []);
}

async fn logout_with_expired_access_token_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.clock.advance(hours(2));
    browser.post("/auth/logout").await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

async fn logout_with_superseded_refresh_token_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let old = format!("{REFRESH}={}", browser.refresh_token());
    for _ in 0..3 {
        browser.refresh().await.is(200);
        world.clock.advance(seconds(30));
    }
    world.events();
    send(&world.app, "POST /auth/logout", &[("cookie", &old)]).await.is(200);
    assert_eq!(world.events(), [Event::Ended(EndReason::LoggedOut)], "a logout is not reported as reuse");
    browser.get("/me").await.is_problem(401, "invalid_token");
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
}

async fn logout_all_ends_all_sessions_of_user(backend: Backend) {
    let world = World::new(backend).await;
    let mut browsers = [world.browser(), world.browser(), world.browser()];
    for browser in &mut browsers {
        browser.login("alice").await;
    }
    let mut bob = world.browser();
    bob.login("bob").await;
    world.events();
    let response = browsers[1].post("/auth/logout-all").await;
    assert_eq!(response.is(200).json(), json!({ "success": true }));
    assert_eq!(browsers[1].cookies(), "");
    assert_eq!(world.events(), [Event::Ended(EndReason::LoggedOut); 3]);
    for n in [0, 2] {
        browsers[n].get("/me").await.is_problem(401, "invalid_token");
        browsers[n].refresh().await.is_problem(401, "invalid_refresh_token");
    }
    bob.get("/me").await.is(200);
    bob.refresh().await.is(200);
}

#[tokio::test]
async fn logout_all_without_valid_token_is_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    send(&world.app, "POST /auth/logout-all", &[("cookie", "a=b")]).await.is_problem(401, "missing_credentials");
    for garbage in [format!("{ACCESS}=x"), format!("{REFRESH}=x")] {
        let response = send(&world.app, "POST /auth/logout-all", &[("cookie", &garbage)]).await;
        response.is_problem(401, "invalid_token");
    }
    assert_eq!(world.count("alice").await, 1);
    // A refresh token is enough, so that an expired tab can do it.
    let cookie = format!("{REFRESH}={}", browser.refresh_token());
    send(&world.app, "POST /auth/logout-all", &[("cookie", &cookie)]).await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

/// Otherwise a copy of an old token could log its user out at any time.
async fn logout_all_with_ended_session_is_refused(backend: Backend) {
    let world = World::new(backend).await;
    let (mut old, mut new) = (world.browser(), world.browser());
    old.login("alice").await;
    let kept = old.cookies();
    old.post("/auth/logout").await.is(200);
    new.login("alice").await;
    send(&world.app, "POST /auth/logout-all", &[("cookie", &kept)]).await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 1);
    new.get("/me").await.is(200);
}

async fn session_list_has_documented_fields(backend: Backend) {
    let world = World::new(backend).await;
    world.browser().get("/auth/sessions").await.is_problem(401, "missing_credentials");
    let (mut phone, mut laptop, mut bob) = (world.browser(), world.browser(), world.browser());
    let headers = [("user-agent", "Phone/1 \"<script>\""), ("x-client", "2001:db8::7")];
    phone.send("POST /login/alice", &headers).await.is(200);
    world.clock.advance(seconds(60));
    laptop.send("POST /login/alice", &[("user-agent", &"ü".repeat(200)), ("x-client", "192.0.2.1")]).await.is(200);
    bob.login("bob").await;
    world.clock.advance(seconds(60));
    phone.refresh().await.is(200);

    let list = |response: TestResponse| -> Vec<Value> {
        let body = response.is(200).json();
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1));
        body["sessions"].as_array().expect("a list").clone()
    };
    let begin = 1_767_225_600;
    let seen = list(phone.get("/auth/sessions").await);
    assert_eq!(seen.len(), 2, "alice's only");
    assert_eq!(
        seen[0],
        json!({
            "id": claims_of(&phone.access())["sid"],
            "current": true,
            "created_at": begin,
            "refreshed_at": begin + 120,
            "expires_at": begin + 120 + 7 * 86_400,
            "user_agent": headers[0].1,
            "ip": "2001:db8::7",
            "actor": null,
            "bound": false,
        }),
        "the one refreshed last is first"
    );
    assert_eq!((&seen[1]["current"], &seen[1]["ip"]), (&json!(false), &json!("192.0.2.1")));
    assert_eq!(seen[1]["user_agent"], "ü".repeat(127), "cut to whole characters in 255 bytes");
    let current: Vec<bool> = list(laptop.get("/auth/sessions").await)
        .iter()
        .map(|row| row["current"].as_bool().expect("a truth value"))
        .collect();
    assert_eq!(current, [false, true]);

    // The identifiers are not credentials.
    let id = seen[0]["id"].as_str().expect("an id");
    let cookie = format!("{ACCESS}={id}; {REFRESH}={id}");
    send(&world.app, "GET /me", &[("cookie", &cookie)]).await.is_problem(401, "invalid_token");
}

async fn session_is_ended_by_id(backend: Backend) {
    let world = World::new(backend).await;
    let (mut here, mut there) = (world.browser(), world.browser());
    here.login("alice").await;
    there.login("alice").await;
    world.events();
    let id = claims_of(&there.access())["sid"].as_str().expect("an id").to_owned();
    let delete = format!("DELETE /auth/sessions/{id}");
    send(&world.app, &delete, &[("cookie", "a=b")]).await.is_problem(401, "missing_credentials");

    let response = here.send(&delete, &[]).await;
    assert_eq!(response.is(200).json(), json!({ "success": true }));
    assert_eq!(response.set_cookies(), Vec::<&str>::new());
    assert_eq!(world.events(), [Event::Ended(EndReason::Requested)]);
    there.get("/me").await.is_problem(401, "invalid_token");
    there.refresh().await.is_problem(401, "invalid_refresh_token");
    here.send(&delete, &[]).await.is_problem(404, "session_not_found");

    // The own session can be ended as well, and its cookies stay: only a logout clears them.
    let own = format!("DELETE /auth/sessions/{}", claims_of(&here.access())["sid"].as_str().expect("an id"));
    assert_eq!(here.send(&own, &[]).await.is(200).set_cookies(), Vec::<&str>::new());
    here.get("/me").await.is_problem(401, "invalid_token");
}

async fn session_of_another_user_cannot_be_ended(backend: Backend) {
    let world = World::new(backend).await;
    let (mut alice, mut bob) = (world.browser(), world.browser());
    alice.login("alice").await;
    bob.login("bob").await;
    world.events();
    let id = claims_of(&bob.access())["sid"].as_str().expect("an id").to_owned();
    let unknown = SessionId::from_bytes([7; 16]).to_string();
    let long = "A".repeat(5000);
    for id in [&*id, &unknown, "x", "..", "%2e%2e", "%00", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA%3D", &long]
    {
        let response = alice.send(&format!("DELETE /auth/sessions/{id}"), &[]).await;
        response.is_problem(404, "session_not_found");
    }
    assert_eq!(world.events(), []);
    bob.get("/me").await.is(200);
    bob.refresh().await.is(200);

    // No revocation was published that another node would apply.
    use tower_jwt_sessions::store::{LogPosition, SessionStore as _};
    let log = world.store.read_log(LogPosition::START, millis(0)).await.expect("the log");
    let bobs: SessionId = id.parse().expect("an id");
    let revoked = |entry: &tower_jwt_sessions::store::LogEntry| entry.revocations.iter().any(|r| r.session == bobs);
    assert!(!log.entries.iter().any(revoked), "alice must not revoke bob's session on other nodes");
}

#[tokio::test]
async fn router_works_at_any_mount_point() {
    #[derive(Clone)]
    struct AppState;

    let world = World::new(Backend::Memory).await;
    let sessions = &world.sessions;
    let bare: Router = sessions.router();
    let outside = Router::new().merge(world.app.clone()).nest("/outside", sessions.router());
    let twice = Router::new().nest("/a", sessions.router()).nest("/b/c", sessions.router()).layer(sessions.layer());
    let stateful = Router::<AppState>::new()
        .nest("/auth", sessions.router())
        .route("/health", get(async || "ok"))
        .layer(sessions.layer())
        .layer(sessions.layer())
        .with_state(AppState);
    for (app, prefixes) in
        [(bare, &[""][..]), (outside, &["/outside"]), (twice, &["/a", "/b/c"]), (stateful, &["/auth"])]
    {
        for prefix in prefixes {
            let mut browser = world.browser();
            browser.login("alice").await;
            let mut elsewhere = Browser::new(&app, &world.clock);
            elsewhere.plant(ACCESS, &browser.access());
            elsewhere.plant(REFRESH, &browser.refresh_token());
            let response = elsewhere.post(&format!("{prefix}/refresh")).await;
            assert_eq!(response.is(200).set_cookies().len(), 2, "{prefix}");
            let response = elsewhere.get(&format!("{prefix}/sessions")).await;
            assert_eq!(response.is(200).json()["sessions"].as_array().map(Vec::len), Some(1));
            elsewhere.post(&format!("{prefix}/logout-all")).await.is(200);
            assert_eq!(world.count("alice").await, 0);
            elsewhere.get(&format!("{prefix}/sessions")).await.is_problem(401, "missing_credentials");
            browser.get("/me").await.is_problem(401, "invalid_token");
        }
    }
}

#[tokio::test]
async fn router_works_below_path_parameter() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let id = claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned();
    browser.visit(&Router::new().nest("/{tenant}/auth", world.sessions.router()));
    browser.send(&format!("DELETE /acme/auth/sessions/{id}"), &[]).await.is(200);
    assert_eq!(world.count("alice").await, 0);
}
