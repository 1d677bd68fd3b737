//! A session from login through use and refresh to logout.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    SessionManager,
    event::{EndReason, RefreshKind, SessionEventKind},
    testing::TestClock,
};

use crate::support::*;

on_every_store!(session_with_claims_lives_from_login_to_logout, session_without_claims_lives_from_login_to_logout,);

async fn session_with_claims_lives_from_login_to_logout(backend: Backend) {
    let world = World::new(backend).await;
    world.users.set_role("alice", "admin");
    login_to_logout(&world.sessions, &world.clock, json!({ "role": "admin" })).await;
}

async fn session_without_claims_lives_from_login_to_logout(backend: Backend) {
    let clock = TestClock::new();
    let store = TestStore::open(backend, &clock).await;
    let sessions = build(builder::<()>(&store, &clock)).await;
    login_to_logout(&sessions, &clock, Value::Null).await;
}

async fn login_to_logout<C>(sessions: &SessionManager<C>, clock: &TestClock, claims: Value)
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let mut browser = Browser::new(&app(sessions), clock);
    browser.get("/me").await.is_problem(401, "missing_credentials");
    assert_eq!(browser.get("/greet").await.body, "hello, anonymous");

    browser.login("alice").await;
    let me = browser.get("/me").await.is(200).json();
    assert_eq!((&me["user"], &me["claims"], &me["expires_in"]), (&json!("alice"), &claims, &json!(3600)));
    assert_eq!(browser.get("/greet").await.body, "hello, alice");

    clock.advance(hours(1));
    assert_eq!(browser.cookie(ACCESS), None, "the browser drops the expired cookie");
    browser.get("/me").await.is_problem(401, "invalid_token");
    let refreshed = browser.refresh().await;
    assert_eq!(refreshed.is(200).json(), json!({ "success": true, "expires_in": 3600 }));
    let again = browser.get("/me").await.is(200).json();
    assert_eq!((&again["id"], &again["claims"]), (&me["id"], &claims), "the same session");

    let stolen = browser.clone();
    assert_eq!(browser.post("/auth/logout").await.is(200).json(), json!({ "success": true }));
    assert_eq!(browser.cookies(), "");
    browser.get("/me").await.is_problem(401, "missing_credentials");

    // The same cookies again: the access token would be valid for most of an hour, and is refused.
    stolen.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
    assert_eq!(stolen.send_only("GET /why", &[]).await.body, "Revoked");
    stolen.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
}

#[tokio::test]
async fn events_report_login_refresh_and_logout() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.refresh().await.is(200);
    let old = browser.clone();
    browser.post("/auth/logout").await.is(200);
    old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    let events = world.whole_events();
    assert!(events.iter().all(|event| event.user_id == "alice" && event.session_id == events[0].session_id));
    assert_eq!(
        events.iter().map(|event| event.kind).collect::<Vec<_>>(),
        [
            SessionEventKind::Created,
            SessionEventKind::Refreshed(RefreshKind::Rotated),
            SessionEventKind::Ended(EndReason::LoggedOut),
            SessionEventKind::UsedAfterEnd,
        ]
    );
}
