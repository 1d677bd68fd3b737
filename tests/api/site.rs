//! The tests of a site, word for word as in the documentation of `testing`.

use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager, testing::*};

#[tokio::test]
async fn user_is_logged_in_until_the_logout() {
    let clock = TestClock::new();
    let store = FaultyStore::new(MemoryStore::with_clock(clock.clone()));
    let sessions = SessionManager::builder()
        .access_keys(KeyRing::hs256("only for tests, and long enough for it").unwrap())
        .refresh_keys(KeyRing::hs256("another one, which is long enough too").unwrap())
        .issuer("https://app.example")
        .store(store.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let app = app(sessions.clone());

    let laptop = TestClient::new(app.clone()).clock(clock.clone());
    laptop.get("/me").await.assert_status(401);
    laptop.post_form("/login", [("user", "alice")]).await.assert_status(200);
    assert_eq!(laptop.get("/me").await.text(), "alice");
    let phone = TestClient::new(app).log_in(&sessions, "alice").await; // without a form

    clock.advance(std::time::Duration::from_secs(2 * 60 * 60)); // two hours later
    laptop.get("/me").await.assert_status(401);
    laptop.post("/auth/refresh").await.assert_status(200);
    laptop.get("/me").await.assert_status(200);

    store.fail(); // an outage is no logout
    laptop.get("/me").await.assert_status(200);
    phone.post("/auth/refresh").await.assert_status(503);
    store.recover();
    phone.post("/auth/refresh").await.assert_status(200);

    laptop.post("/auth/logout-all").await.assert_status(200); // also on the phone
    phone.get("/me").await.assert_status(401);
}

/// The site.
fn app(sessions: SessionManager) -> axum::Router {
    use std::collections::HashMap;

    use axum::{
        Form, Router,
        extract::State,
        routing::{get, post},
    };
    use tower_jwt_sessions::{Error, Session, SessionCookies};

    async fn login(
        State(sessions): State<SessionManager>,
        Form(form): Form<HashMap<String, String>>,
    ) -> Result<SessionCookies, Error> {
        sessions.login(&form["user"]).await
    }

    Router::new()
        .route("/login", post(login))
        .route("/me", get(async |session: Session| session.user_id().to_string()))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions)
}

#[test]
fn documentation_shows_these_tests_in_under_40_lines() {
    let docs = include_str!("../../src/testing/mod.rs");
    let lines = docs.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    // Without the fences, and without what is hidden.
    let program = lines.skip_while(|line| *line != "```").skip(1).take_while(|line| *line != "```");
    let is_hidden = |line: &str| line == "#" || line.starts_with("# ");
    let shown: Vec<&str> = program.filter(|line| !is_hidden(line)).collect();
    assert!((20..40).contains(&shown.len()), "{}", shown.len());
    assert!(include_str!("site.rs").contains(&shown.join("\n")), "{shown:#?}");
}
