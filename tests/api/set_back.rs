//! The store's clock is set back, so that earlier times lie ahead of it.

use tower_jwt_sessions::{
    clock::Clock as _,
    event::{EndReason, RefreshKind::Repeated, SessionEventKind as Event},
    policy::ReplayWindow,
};

use crate::support::*;

on_every_store!(
    superseded_token_stays_superseded_when_the_clock_is_set_back,
    window_stays_open_when_clock_is_set_back_within_skew,
    current_token_refreshes_when_the_clock_is_set_back,
    claims_are_loaded_once_more_when_access_was_expired_ahead,
);

const WINDOWS: [ReplayWindow; 2] = [ReplayWindow::Fixed(seconds(10)), ReplayWindow::UntilConfirmed(seconds(10))];

/// A world that has run for longer than its clock is set back.
async fn world(backend: Backend, window: ReplayWindow) -> World {
    let world = World::with(backend, |builder| builder.replay_window(window)).await;
    world.clock.advance(hours(2));
    world
}

fn set_back(world: &World, time: std::time::Duration) {
    world.clock.set(world.clock.now().saturating_sub(time));
}

async fn superseded_token_stays_superseded_when_the_clock_is_set_back(backend: Backend) {
    for window in WINDOWS {
        let world = self::world(backend, window).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        let old = browser.clone();
        browser.refresh().await.is(200);
        world.clock.advance(seconds(20));
        // The first use of the new token, with either window.
        browser.refresh().await.is(200);
        world.clock.advance(seconds(30 * 60));
        set_back(&world, hours(1));
        world.events();
        old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
        assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    }
}

async fn window_stays_open_when_clock_is_set_back_within_skew(backend: Backend) {
    for window in WINDOWS {
        let world = self::world(backend, window).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        let old = browser.clone();
        browser.refresh().await.is(200);
        set_back(&world, seconds(60));
        world.events();
        old.send_only("POST /auth/refresh", &[]).await.is(200);
        assert_eq!(world.events(), [Event::Refreshed(Repeated)]);
        browser.refresh().await.is(200);
    }
}

async fn current_token_refreshes_when_the_clock_is_set_back(backend: Backend) {
    for window in WINDOWS {
        let world = self::world(backend, window).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        browser.refresh().await.is(200);
        set_back(&world, hours(1));
        for _ in 0..3 {
            browser.refresh().await.is(200);
            browser.get("/me").await.is(200);
            world.clock.advance(seconds(20));
        }
    }
}

/// They may be older than that, so this is the side to err on. It costs a load at each refresh until the hour is over.
async fn claims_are_loaded_once_more_when_access_was_expired_ahead(backend: Backend) {
    let world = world(backend, WINDOWS[0]).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.sessions.expire_access("alice").await.expect("a store");
    set_back(&world, hours(1));
    let asked = world.users.asked();
    browser.refresh().await.is(200);
    assert_eq!(world.users.asked(), asked + 2);
    browser.get("/me").await.is(200);
}
