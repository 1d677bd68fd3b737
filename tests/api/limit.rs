//! The limit of sessions per user.

use std::num::NonZeroU32;

use tower_jwt_sessions::{
    event::{EndReason, SessionEventKind as Event},
    policy::SessionLimit,
};

use crate::support::*;

on_every_store!(
    login_over_limit_ends_least_recently_refreshed_session,
    login_over_limit_is_refused,
    replaced_session_does_not_count_towards_limit,
    expired_session_does_not_count_towards_limit,
    concurrent_logins_keep_limit_by_eviction,
    concurrent_logins_over_limit_are_refused,
);

fn limit(max: u32) -> NonZeroU32 {
    NonZeroU32::new(max).expect("not zero")
}

async fn evicting(backend: Backend, max: u32) -> World {
    World::with(backend, |builder| builder.session_limit(SessionLimit::evict(limit(max)))).await
}

async fn refusing(backend: Backend, max: u32) -> World {
    World::with(backend, |builder| builder.session_limit(SessionLimit::refuse(limit(max)))).await
}

async fn login_over_limit_ends_least_recently_refreshed_session(backend: Backend) {
    let world = evicting(backend, 2).await;
    let (mut first, mut second, mut third) = (world.browser(), world.browser(), world.browser());
    first.login("alice").await;
    world.clock.advance(seconds(1));
    second.login("alice").await;
    world.clock.advance(seconds(1));
    first.refresh().await.is(200);
    world.browser().login("bob").await;
    world.events();
    third.login("alice").await;
    assert_eq!(world.events(), [Event::Ended(EndReason::Evicted), Event::Created]);
    second.get("/me").await.is_problem(401, "invalid_token");
    second.refresh().await.is_problem(401, "invalid_refresh_token");
    first.get("/me").await.is(200);
    third.get("/me").await.is(200);
    assert_eq!((world.count("alice").await, world.count("bob").await), (2, 1));
}

async fn login_over_limit_is_refused(backend: Backend) {
    let world = refusing(backend, 2).await;
    let (mut first, mut second, mut third) = (world.browser(), world.browser(), world.browser());
    first.login("alice").await;
    second.login("alice").await;
    world.events();
    third.post("/login/alice").await.is_problem(409, "session_limit_reached");
    assert_eq!((world.events(), third.cookies()), (Vec::new(), String::new()));
    first.get("/me").await.is(200);
    second.get("/me").await.is(200);
    first.post("/auth/logout").await.is(200);
    third.login("alice").await;
    assert_eq!(world.count("alice").await, 2);
}

async fn replaced_session_does_not_count_towards_limit(backend: Backend) {
    for world in [refusing(backend, 1).await, evicting(backend, 1).await] {
        let mut browser = world.browser();
        for _ in 0..3 {
            world.events();
            browser.login("alice").await;
            assert_eq!(world.count("alice").await, 1);
        }
        assert_eq!(world.events(), [Event::Ended(EndReason::Replaced), Event::Created]);
    }
}

async fn expired_session_does_not_count_towards_limit(backend: Backend) {
    let world = refusing(backend, 1).await;
    world.browser().login("alice").await;
    world.clock.advance(hours(7 * 24) - millis(1));
    world.browser().post("/login/alice").await.is_problem(409, "session_limit_reached");
    world.clock.advance(millis(1));
    world.browser().login("alice").await;
    assert_eq!(world.count("alice").await, 1);
}

/// Logs in a hundred times concurrently, and returns the browsers whose login succeeded.
async fn concurrent_logins(world: &World) -> Vec<Browser> {
    let logins: Vec<_> = (0..100)
        .map(|_| {
            let mut browser = world.browser();
            tokio::spawn(async move {
                let response = browser.post("/login/alice").await;
                match response.status {
                    200 => Some(browser),
                    _ => response.is_problem(409, "session_limit_reached").cookie(ACCESS).map(|_| browser),
                }
            })
        })
        .collect();
    let mut browsers = Vec::new();
    for login in logins {
        browsers.extend(login.await.expect("a response"));
    }
    browsers
}

async fn concurrent_logins_keep_limit_by_eviction(backend: Backend) {
    let world = evicting(backend, 5).await;
    let browsers = concurrent_logins(&world).await;
    assert_eq!(browsers.len(), 100);
    let events = world.events();
    assert_eq!(events.iter().filter(|event| **event == Event::Created).count(), 100);
    assert_eq!(events.iter().filter(|event| **event == Event::Ended(EndReason::Evicted)).count(), 95);
    let mut in_use = 0;
    for browser in browsers {
        in_use += usize::from(browser.send_only("GET /me", &[]).await.status == 200);
    }
    assert_eq!((in_use, world.count("alice").await), (5, 5));
}

async fn concurrent_logins_over_limit_are_refused(backend: Backend) {
    let world = refusing(backend, 5).await;
    let browsers = concurrent_logins(&world).await;
    assert_eq!((browsers.len(), world.count("alice").await), (5, 5));
    for mut browser in browsers {
        browser.get("/me").await.is(200);
        browser.refresh().await.is(200);
    }
}

#[tokio::test]
async fn sessions_are_unlimited_without_limit() {
    let world = World::with(Backend::Memory, |builder| builder.session_limit(None)).await;
    for _ in 0..101 {
        world.browser().login("alice").await;
    }
    assert_eq!(world.count("alice").await, 101);
}

#[tokio::test]
async fn limit_is_one_hundred_by_default() {
    let world = World::new(Backend::Memory).await;
    for _ in 0..101 {
        world.browser().login("alice").await;
    }
    assert_eq!(world.count("alice").await, 100);
}
