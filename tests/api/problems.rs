//! Error responses, and the reasons that handlers without a session get.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    Error, PresentedTokens, Session, SessionCookies, auth::SessionRejection, error::Problem,
    event::SessionEventKind as Event, testing::TestClock,
};

use crate::support::*;

on_every_store!(oversized_user_ids_are_refused,);

#[tokio::test]
async fn errors_are_rendered_by_application() {
    let render = |problem: &Problem, _: Option<&Parts>| -> Response {
        // Status and headers are not for the application to get wrong.
        ([("x-code", problem.code()), ("cache-control", "public")], problem.title()).into_response()
    };
    let world = World::with(Backend::Memory, |builder| builder.render_errors(render)).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let anonymous = world.browser();
    let evil = [("sec-fetch-site", "cross-site")];
    let unknown = "DELETE /auth/sessions/AAECAwQFBgcICQoLDA0ODw";
    world.users.delete("bob");
    let mut responses = vec![
        (401, "missing_credentials", anonymous.send_only("GET /me", &[]).await),
        (401, "missing_credentials", anonymous.send_only("GET /auth/sessions", &[]).await),
        (401, "missing_credentials", anonymous.send_only("POST /auth/refresh", &[]).await),
        (401, "invalid_token", send(&world.app, "GET /me", &[("cookie", &format!("{ACCESS}=x"))]).await),
        (403, "cross_site_request", browser.send_only("POST /auth/logout", &evil).await),
        (403, "cross_site_request", browser.send_only("POST /login/alice", &evil).await),
        (403, "user_not_found", browser.send_only("POST /login/bob", &[]).await),
        (404, "session_not_found", browser.send_only(unknown, &[]).await),
    ];
    world.store.set_down(true);
    responses.push((503, "store_unavailable", browser.send_only("POST /auth/refresh", &[]).await));
    for (status, code, response) in responses {
        response.is(status);
        assert_eq!(response.header("x-code"), code);
        assert!(response.body.ends_with('.') && !response.body.contains('{'), "{}", response.body);
        assert_eq!(response.header("cache-control"), "no-store");
        assert_eq!(response.header("www-authenticate").is_empty(), status != 401, "{code}");
        assert_eq!(response.header("www-authenticate").contains("error="), code == "invalid_token", "{code}");
        assert_eq!(response.header("retry-after").is_empty(), status != 503, "{code}");
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct OtherClaims {
    level: u8,
}

#[tokio::test]
async fn missing_layer_is_500_that_names_help() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;

    let why: Arc<Mutex<String>> = Arc::default();
    let told = Arc::clone(&why);
    let explain = async move |session: Result<Session<OtherClaims>, SessionRejection>| {
        *told.lock().unwrap_or_else(PoisonError::into_inner) =
            session.map_or_else(|no| no.to_string(), |_| String::new());
    };
    let bare = Router::new()
        .route("/must", get(async |_: Session<OtherClaims>| "in"))
        .route("/may", get(async |_: Option<Session<OtherClaims>>| "in"))
        .route("/why", get(explain));
    let layered = bare.clone().layer(world.sessions.layer());
    for (app, cookies, named) in [
        (&bare, "", "layer(sessions.layer())"),
        (&bare, &*browser.cookies(), "layer(sessions.layer())"),
        (&layered, "", "layer(sessions.layer())"),
        (&layered, &*browser.cookies(), "support::world::Claims"),
    ] {
        let headers = [("cookie", cookies)];
        send(app, "GET /must", &headers).await.is_problem(500, "internal_error");
        send(app, "GET /may", &headers).await.is_problem(500, "internal_error");
        send(app, "GET /why", &headers).await.is(200);
        let why = why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(why.contains("OtherClaims") && why.contains(named), "{why}");
    }
}

/// Otherwise a logout would report success and end no session. The companion routes need no layer.
#[tokio::test]
async fn presented_tokens_need_layer() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let proof = async |presented: PresentedTokens<Claims>| {
        format!("{} {}", presented.session().is_some(), presented.has_refresh_token())
    };
    let sessions = world.sessions.clone();
    let login = async move |presented: PresentedTokens<Claims>| -> Result<SessionCookies, Error> {
        sessions.login("alice").replacing(presented).await
    };
    let sessions = world.sessions.clone();
    let logout = async move |presented: PresentedTokens<Claims>| -> Result<SessionCookies, Error> {
        sessions.logout(&presented).await
    };
    let bare = Router::new().route("/proof", get(proof)).route("/login", post(login)).route("/logout", post(logout));
    let layered = bare.clone().layer(world.sessions.layer());
    let headers = [("cookie", browser.cookies())];
    for route in ["GET /proof", "POST /login", "POST /logout"] {
        send(&bare, route, &headers).await.is_problem(500, "internal_error");
        send(&bare, route, &[("accept", "*/*")]).await.is_problem(500, "internal_error");
    }
    assert_eq!(world.count("alice").await, 1);
    assert_eq!(send(&layered, "GET /proof", &headers).await.body, "true true");
    send(&layered, "POST /login", &headers).await.is(200);
    assert_eq!(world.count("alice").await, 1, "the presented session was replaced");
}

#[derive(Clone, Serialize, Deserialize)]
struct Note {
    note: String,
}

/// The longest note that a token takes, found by trying.
#[tokio::test]
async fn oversized_claims_are_refused() {
    let clock = TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    let note: Arc<Mutex<usize>> = Arc::default();
    let length = Arc::clone(&note);
    let sessions = build(builder::<Note>(&store, &clock).claims_with(length, async |length, _| {
        let length = *length.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, std::convert::Infallible>(Some(Note { note: "n".repeat(length) }))
    }))
    .await;
    let set = |length: usize| *note.lock().unwrap_or_else(PoisonError::into_inner) = length;
    let app = app(&sessions);
    let count = async || sessions.list("alice").await.expect("a list").len();

    let (mut fits, mut too_long) = (0, 4096);
    while too_long - fits > 1 {
        let middle = usize::midpoint(fits, too_long);
        set(middle);
        let before = count().await;
        let response = Browser::new(&app, &clock).post("/login/alice").await;
        match response.status {
            200 => fits = middle,
            _ => {
                response.is_problem(500, "internal_error");
                assert_eq!(count().await, before, "no session was created");
                too_long = middle;
            }
        }
    }
    set(fits);
    let mut browser = Browser::new(&app, &clock);
    browser.login("alice").await;
    browser.get("/me").await.is(200);
    let length = ACCESS.len() + browser.access().len();
    // A generation and an epoch of ten digits would fit too.
    assert!((4000..=4096).contains(&length), "{length}");

    set(too_long);
    let (sessions_before, cookies) = (count().await, browser.cookies());
    browser.refresh().await.is_problem(500, "internal_error");
    browser.post("/login/alice").await.is_problem(500, "internal_error");
    assert_eq!((count().await, browser.cookies()), (sessions_before, cookies));
    browser.get("/me").await.is(200);
    set(0);
    browser.refresh().await.is(200);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 2, "the failed refresh did not use up the token");
}

#[tokio::test]
async fn claims_with_reserved_names_are_refused() {
    let clock = TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    for claims in [
        r#"{"exp":1}"#,
        r#"{"sub":"root"}"#,
        r#"{"sid":""}"#,
        r#"{"gen":9}"#,
        r#"{"client_id":"x"}"#,
        "[1]",
        "7",
        "\"text\"",
    ] {
        let claims: serde_json::Value = serde_json::from_str(claims).expect("JSON");
        let sessions = build(
            builder::<serde_json::Value>(&store, &clock)
                .claims_with(claims.clone(), async |claims, _| Ok::<_, std::convert::Infallible>(Some(claims))),
        )
        .await;
        let response = Browser::new(&app(&sessions), &clock).post("/login/alice").await;
        response.is_problem(500, "internal_error");
        assert_eq!(sessions.list("alice").await.expect("a list").len(), 0, "{claims}");
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Skipped {
    /// Without a default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

/// They would log in, be refused by every request, refresh, and be refused again.
#[tokio::test]
async fn claims_that_do_not_round_trip_are_refused() {
    let clock = TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    let roles: Arc<Mutex<Vec<String>>> = Arc::default();
    let sessions = build(builder::<Skipped>(&store, &clock).claims_with(Arc::clone(&roles), async |roles, _| {
        let roles = roles.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok::<_, std::convert::Infallible>(Some(Skipped { roles }))
    }))
    .await;
    let app = app(&sessions);
    Browser::new(&app, &clock).post("/login/alice").await.is_problem(500, "internal_error");
    assert_eq!(sessions.list("alice").await.expect("a list").len(), 0);
    let error = sessions.login("alice").await.expect_err("nothing to read back").to_string();
    assert!(error.contains("claims"), "{error}");

    roles.lock().unwrap_or_else(PoisonError::into_inner).push("admin".to_owned());
    let mut browser = Browser::new(&app, &clock);
    browser.login("alice").await;
    roles.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let cookies = browser.cookies();
    browser.refresh().await.is_problem(500, "internal_error");
    assert_eq!(browser.cookies(), cookies, "sessions of the old keys continue");
}

async fn oversized_user_ids_are_refused(backend: Backend) {
    let world = World::new(backend).await;
    world.browser().post(&format!("/login/{}", "u".repeat(256))).await.is_problem(500, "internal_error");
    for user in
        ["u".repeat(255), "%22%5C%00%0A%1b".to_owned(), "%C3%BC%F0%9F%A6%80".to_owned(), "a%3Ab%7B%7D%20*".to_owned()]
    {
        let mut browser = world.browser();
        browser.login(&user).await;
        let seen = browser.get("/me").await.is(200).json()["user"].clone();
        assert_eq!(seen, claims_of(&browser.access())["sub"]);
        browser.refresh().await.is(200);
        assert_eq!(browser.get("/auth/sessions").await.json()["sessions"].as_array().map(Vec::len), Some(1));
        browser.post("/auth/logout-all").await.is(200);
        assert_eq!(world.count(seen.as_str().expect("text")).await, 0);
    }
    assert!(!world.events().contains(&Event::UsedAfterEnd));
}
