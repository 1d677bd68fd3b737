//! A login always starts a new session, and ends the presented one.

use tower_jwt_sessions::event::{EndReason, RefreshKind, SessionEventKind as Event};

use crate::support::*;

on_every_store!(
    login_replaces_presented_session,
    login_as_another_user_ends_presented_session,
    login_over_planted_session_starts_another,
    login_over_invalid_cookies_starts_another,
    login_keeps_sessions_of_other_browsers,
    login_with_tokens_of_two_sessions_ends_both,
    refresh_with_tokens_of_two_sessions_is_refused,
    expired_access_token_of_another_session_does_not_block_refresh,
    logout_with_tokens_of_two_sessions_ends_both,
);

fn id(browser: &Browser) -> String {
    claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned()
}

/// The access token of one browser and the refresh token of another.
fn mixed(access: &Browser, refresh: &Browser) -> Browser {
    let mut mixed = access.clone();
    mixed.plant(REFRESH, &refresh.refresh_token());
    mixed
}

async fn login_replaces_presented_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let old = browser.clone();
    world.events();
    browser.login("alice").await;
    assert_ne!(id(&browser), id(&old));
    assert_eq!(world.events(), [Event::Ended(EndReason::Replaced), Event::Created]);
    old.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
    old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    browser.get("/me").await.is(200);
    assert_eq!(world.count("alice").await, 1);

    // A refresh token without its expired access token names the session as well.
    world.clock.advance(hours(2));
    browser.login("alice").await;
    assert_eq!(world.count("alice").await, 1);
}

async fn login_as_another_user_ends_presented_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let alice = browser.clone();
    browser.login("bob").await;
    assert_eq!(browser.get("/me").await.json()["user"], "bob");
    alice.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
    alice.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!((world.count("alice").await, world.count("bob").await), (0, 1));
}

async fn login_over_planted_session_starts_another(backend: Backend) {
    let world = World::new(backend).await;
    let (mut mallory, mut alice) = (world.browser(), world.browser());
    mallory.login("mallory").await;
    alice.plant(ACCESS, &mallory.access());
    alice.plant(REFRESH, &mallory.refresh_token());
    alice.login("alice").await;
    assert_ne!(id(&alice), id(&mallory));
    assert_eq!(mallory.get("/greet").await.body, "hello, anonymous", "the planted session has ended");
    mallory.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(alice.get("/me").await.is(200).json()["user"], "alice");
}

async fn login_over_invalid_cookies_starts_another(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    for planted in ["", "x", "AAECAwQFBgcICQoLDA0ODw", "eyJhbGciOiJub25lIn0.e30."] {
        browser.plant(ACCESS, planted);
        browser.plant(REFRESH, planted);
        world.events();
        browser.login("alice").await;
        assert_eq!(world.events(), [Event::Created]);
        browser.get("/me").await.is(200);
    }
    assert_eq!(world.count("alice").await, 4);
}

async fn login_keeps_sessions_of_other_browsers(backend: Backend) {
    let world = World::new(backend).await;
    let (mut phone, mut laptop) = (world.browser(), world.browser());
    phone.login("alice").await;
    laptop.login("alice").await;
    laptop.login("alice").await;
    phone.get("/me").await.is(200);
    phone.refresh().await.is(200);
    assert_eq!(world.count("alice").await, 2);
}

async fn login_with_tokens_of_two_sessions_ends_both(backend: Backend) {
    let world = World::new(backend).await;
    for (first, second) in [("alice", "alice"), ("alice", "bob"), ("bob", "mallory")] {
        let (mut one, mut two) = (world.browser(), world.browser());
        one.login(first).await;
        two.login(second).await;
        mixed(&one, &two).login("alice").await;
        for browser in [&mut one, &mut two] {
            browser.get("/me").await.is_problem(401, "invalid_token");
            browser.refresh().await.is_problem(401, "invalid_refresh_token");
        }
    }
    assert_eq!(world.count("alice").await, 3);
}

async fn refresh_with_tokens_of_two_sessions_is_refused(backend: Backend) {
    let world = World::new(backend).await;
    for second in ["alice", "bob"] {
        let (mut one, mut two) = (world.browser(), world.browser());
        one.login("alice").await;
        two.login(second).await;
        world.events();
        mixed(&one, &two).refresh().await.is_problem(401, "invalid_refresh_token");
        assert_eq!(world.events(), [], "no record is rotated, no session ends");
        for browser in [&mut one, &mut two] {
            browser.refresh().await.is(200);
            assert_eq!(claims_of(&browser.refresh_token())["gen"], 2);
        }
    }
}

async fn expired_access_token_of_another_session_does_not_block_refresh(backend: Backend) {
    let world = World::new(backend).await;
    let (mut one, mut two) = (world.browser(), world.browser());
    one.login("alice").await;
    let stale = one.access();
    world.clock.advance(hours(1));
    two.login("bob").await;
    for cookie in [&*stale, "garbage"] {
        two.plant(ACCESS, cookie);
        two.send_only("POST /auth/refresh", &[]).await.is(200);
    }
    assert_eq!(world.events().last(), Some(&Event::Refreshed(RefreshKind::Repeated)));
}

async fn logout_with_tokens_of_two_sessions_ends_both(backend: Backend) {
    let world = World::new(backend).await;
    for (second, path) in [("alice", "/auth/logout"), ("bob", "/auth/logout"), ("bob", "/auth/logout-all")] {
        let (mut one, mut two) = (world.browser(), world.browser());
        one.login("alice").await;
        two.login(second).await;
        mixed(&one, &two).post(path).await.is(200);
        one.get("/me").await.is_problem(401, "invalid_token");
        two.get("/me").await.is_problem(401, "invalid_token");
        assert_eq!((world.count("alice").await, world.count("bob").await), (0, 0));
    }
}
