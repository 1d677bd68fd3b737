//! Outages of the store and of the table of users: no session ends, and no token is used up.

use std::convert::Infallible;

use tower_jwt_sessions::{
    event::{EndReason, RefreshKind, SessionEventKind as Event},
    policy::ReplayWindow,
};

use crate::{support::*, unfinished::soon};

on_every_store!(
    failed_refresh_keeps_refresh_token,
    failed_login_keeps_presented_session,
    failed_claims_source_keeps_refresh_token,
    refresh_of_deleted_user_ends_session,
    refresh_of_deleted_user_during_outage_returns_503,
);

#[tokio::test]
async fn verified_requests_are_served_during_outage() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.store.set_down(true);
    browser.get("/me").await.is(200);
    browser.get("/greet").await.is(200);
    world.browser().get("/me").await.is_problem(401, "missing_credentials");
}

#[tokio::test]
async fn store_operations_return_503_with_retry_after_during_outage() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let id = claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned();
    world.store.set_down(true);
    for what in ["POST /login/bob", "POST /login/alice", "POST /auth/refresh", "GET /auth/sessions"] {
        browser.send(what, &[]).await.is_problem(503, "store_unavailable");
    }
    browser.send(&format!("DELETE /auth/sessions/{id}"), &[]).await.is_problem(503, "store_unavailable");
    browser.post("/auth/logout").await.is_problem(503, "store_unavailable");
    browser.post("/auth/logout-all").await.is_problem(503, "store_unavailable");
}

async fn failed_refresh_keeps_refresh_token(backend: Backend) {
    for window in [ReplayWindow::Fixed(seconds(10)), ReplayWindow::UntilConfirmed(seconds(10))] {
        let world = World::with(backend, |builder| builder.replay_window(window)).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        let cookies = browser.cookies();
        world.store.set_down(true);
        for _ in 0..3 {
            browser.refresh().await.is_problem(503, "store_unavailable");
            world.clock.advance(seconds(60));
        }
        assert_eq!(browser.cookies(), cookies);
        world.store.set_down(false);
        browser.refresh().await.is(200);
        assert_eq!(claims_of(&browser.refresh_token())["gen"], 2);
        assert_eq!(world.events(), [Event::Created, Event::Refreshed(RefreshKind::Rotated)]);
    }
}

async fn failed_login_keeps_presented_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let cookies = browser.cookies();
    world.store.set_down(true);
    for user in ["alice", "bob"] {
        browser.post(&format!("/login/{user}")).await.is_problem(503, "store_unavailable");
        browser.get("/me").await.is(200);
    }
    world.store.set_down(false);
    assert_eq!(browser.cookies(), cookies);
    browser.get("/me").await.is(200);
    browser.refresh().await.is(200);
    assert_eq!(world.count("alice").await, 1);
}

async fn failed_claims_source_keeps_refresh_token(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let cookies = browser.cookies();
    world.events();
    world.users.set_down(true);
    browser.refresh().await.is_problem(503, "claims_unavailable");
    browser.post("/login/alice").await.is_problem(503, "claims_unavailable");
    browser.post("/login/bob").await.is_problem(503, "claims_unavailable");
    browser.get("/me").await.is(200);
    assert_eq!((world.events(), browser.cookies()), (Vec::new(), cookies));
    world.users.set_down(false);
    world.clock.advance(hours(1));
    browser.refresh().await.is(200);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 2);

    // A logout loads no claims.
    world.users.set_down(true);
    browser.post("/auth/logout").await.is(200);
}

async fn refresh_of_deleted_user_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let (mut phone, mut laptop) = (world.browser(), world.browser());
    phone.login("alice").await;
    laptop.login("alice").await;
    world.events();
    world.users.delete("alice");
    laptop.get("/me").await.is(200);
    phone.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::Ended(EndReason::UserGone); 2]);
    for browser in [&mut phone, &mut laptop] {
        browser.get("/me").await.is_problem(401, "invalid_token");
        browser.refresh().await.is_problem(401, "invalid_refresh_token");
    }
    assert_eq!(world.count("alice").await, 0);
}

async fn refresh_of_deleted_user_during_outage_returns_503(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.users.delete("alice");
    world.store.set_down(true);
    browser.refresh().await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.count("alice").await, 0, "the second attempt completes the end");
    browser.get("/me").await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn login_of_unknown_user_is_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    world.users.delete("bob");
    browser.post("/login/bob").await.is_problem(403, "user_not_found");
    assert_eq!(world.events(), []);
    browser.get("/me").await.is(200);
}

#[tokio::test]
async fn new_claims_are_loaded_by_next_refresh() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.users.set_role("alice", "admin");
    assert_eq!(browser.get("/me").await.json()["claims"]["role"], "member");
    browser.refresh().await.is(200);
    assert_eq!(browser.get("/me").await.json()["claims"]["role"], "admin");
    // Also when the refresh token itself stays.
    world.users.set_role("alice", "guest");
    assert_eq!(browser.refresh().await.is(200).cookie(REFRESH), None);
    assert_eq!(browser.get("/me").await.json()["claims"]["role"], "guest");
}

#[tokio::test]
async fn node_that_never_read_log_serves_no_session() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.store.set_down(true);
    let sessions = builder::<Claims>(&world.store, &world.clock)
        .claims_with((), async |(), _| Ok::<_, Infallible>(Some(Claims { role: "member".to_owned() })))
        .build()
        .expect("a valid configuration");
    let node = app(&sessions);
    let cookies = browser.cookies();
    for what in ["GET /me", "GET /greet", "GET /auth/sessions", "DELETE /auth/sessions/AAECAwQFBgcICQoLDA0ODw"] {
        send(&node, what, &[("cookie", &cookies)]).await.is_problem(503, "revocations_unknown");
    }
    assert_eq!(send(&node, "GET /why", &[("cookie", &cookies)]).await.body, "RevocationsUnknown");
    // Anonymous requests are still refused with 401.
    send(&node, "GET /me", &[("cookie", "a=b")]).await.is_problem(401, "missing_credentials");
    assert_eq!(send(&node, "GET /greet", &[("cookie", "a=b")]).await.is(200).body, "hello, anonymous");
    send(&node, "GET /me", &[("cookie", &format!("{ACCESS}=x"))]).await.is_problem(401, "invalid_token");
    world.store.set_down(false);
    sessions.revocation_feed().caught_up().await;
    send(&node, "GET /me", &[("cookie", &cookies)]).await.is(200);
    send(&node, "POST /auth/logout", &[("cookie", &cookies)]).await.is(200);
    assert_eq!(send(&node, "GET /why", &[("cookie", &cookies)]).await.body, "Revoked");
}

/// Ending a session does not depend on other revocations.
#[tokio::test]
async fn node_that_never_read_log_ends_sessions() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.store.set_down(true);
    let sessions = builder::<Claims>(&world.store, &world.clock)
        .claims_with((), async |(), _| Ok::<_, Infallible>(Some(Claims { role: "member".to_owned() })))
        .build()
        .expect("a valid configuration");
    let cookies = browser.cookies();
    let response = send(&app(&sessions), "POST /auth/logout", &[("cookie", &cookies)]).await;
    response.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    soon("it is ended", async || world.count("alice").await == 0).await;
}
