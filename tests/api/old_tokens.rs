//! Old tokens: what a copy can still cause, on every store.

use std::time::Duration;

use tower_jwt_sessions::{
    error::ErrorKind,
    event::SessionEventKind as Event,
    store::{LogPosition, SessionStore as _},
};

use crate::support::*;

on_every_store!(
    expired_refresh_token_is_refused_without_store_and_claims,
    refresh_token_within_clock_skew_is_decided_by_store,
    logout_all_with_expired_access_token_is_refused,
    logout_all_with_expired_refresh_token_is_refused,
    logout_all_with_access_token_of_older_epoch_is_refused,
    logout_with_expired_tokens_ends_their_session_alone,
    logout_after_the_absolute_limit_publishes_nothing,
);

const DAYS: u64 = 24;

async fn expired_refresh_token_is_refused_without_store_and_claims(backend: Backend) {
    let world = World::for_natives(backend).await;
    let (mut browser, native) = (world.browser(), world.native("alice").await);
    browser.login("alice").await;
    let cookies = browser.cookies();
    world.users.delete("alice");
    for wait in [hours(7 * DAYS) + seconds(60), hours(3 * 365 * DAYS)] {
        world.clock.advance(wait);
        world.events();
        let asked = world.users.asked();
        world.store.set_down(true);
        let response = send(&world.app, "POST /auth/refresh", &[("cookie", &cookies)]).await;
        response.is_problem(401, "invalid_refresh_token");
        native.ask().await.is_oauth_error("invalid_grant");
        let error = world.sessions.refresh_with_token(&native.refresh).await.expect_err("an expired token");
        assert_eq!(error.kind(), ErrorKind::InvalidRefreshToken);
        world.store.set_down(false);
        assert_eq!(
            (world.users.asked(), world.events()),
            (asked, vec![]),
            "no claims source, store or hook was called"
        );
    }
}

/// The store's clock decides the expiry of refresh tokens, and the node's clock may be ahead of it.
async fn refresh_token_within_clock_skew_is_decided_by_store(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let cookies = browser.cookies();
    world.clock.advance(hours(7 * DAYS) + millis(59_999));
    world.events();
    let asked = world.users.asked();
    let response = send(&world.app, "POST /auth/refresh", &[("cookie", &cookies)]).await;
    response.is_problem(401, "invalid_refresh_token");
    assert_eq!((world.users.asked(), world.events()), (asked + 1, vec![Event::UsedAfterEnd]));
}

/// An access token alone, as a client with Bearer tokens or a thief has it.
async fn logout_all_with_expired_access_token_is_refused(backend: Backend) {
    let world = World::for_natives(backend).await;
    let kept = world.native("alice").await;
    let mut owner = kept.clone();
    for _ in 0..5 {
        world.clock.advance(hours(5 * DAYS));
        owner.refresh().await;
        let other = world.native("alice").await;
        kept.send("POST /auth/logout-all").await.is_problem(401, "invalid_token");
        let cookie = format!("{ACCESS}={}", kept.access);
        send(&world.app, "POST /auth/logout-all", &[("cookie", &cookie)]).await.is_problem(401, "invalid_token");
        other.send("GET /me").await.is(200);
    }
    // With a valid token it succeeds.
    owner.send("POST /auth/logout-all").await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

async fn logout_all_with_expired_refresh_token_is_refused(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let kept = format!("{REFRESH}={}", browser.refresh_token());
    world.clock.advance(hours(6 * DAYS));
    browser.refresh().await.is(200);
    let newer = format!("{REFRESH}={}", browser.refresh_token());
    world.clock.advance(hours(DAYS) + seconds(60));
    // The session continues, and this token of it has expired.
    send(&world.app, "POST /auth/logout-all", &[("cookie", &kept)]).await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 1);
    send(&world.app, "POST /auth/logout-all", &[("cookie", &newer)]).await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

async fn logout_all_with_access_token_of_older_epoch_is_refused(backend: Backend) {
    let world = World::for_natives(backend).await;
    let mut native = world.native("alice").await;
    world.sessions.expire_access("alice").await.expect("access expires");
    native.send("POST /auth/logout-all").await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 1);
    native.refresh().await;
    native.send("POST /auth/logout-all").await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

/// A logout ends only the session of its token, so an expired token is accepted.
async fn logout_with_expired_tokens_ends_their_session_alone(backend: Backend) {
    for path in ["/auth/logout", "/oauth/revoke"] {
        let world = World::for_natives(backend).await;
        let mut owner = world.native("alice").await;
        let kept = owner.clone();
        for _ in 0..5 {
            world.clock.advance(hours(5 * DAYS));
            owner.refresh().await;
        }
        let other = world.native("alice").await;
        match path {
            "/oauth/revoke" => kept.revoke(&kept.access).await.is(200),
            _ => kept.send("POST /auth/logout").await.is(200),
        };
        owner.send("GET /me").await.is_problem(401, "invalid_token");
        other.send("GET /me").await.is(200);
    }
}

/// No access token is left that another node has to refuse.
async fn logout_after_the_absolute_limit_publishes_nothing(backend: Backend) {
    let world = World::for_natives(backend).await;
    let native = world.native("alice").await;
    let published = async || {
        let page = world.store.read_log(LogPosition::START, Duration::ZERO).await;
        page.expect("the log").entries.len()
    };
    // The limit is the time that a revocation is kept: an access lifetime and twice the skew.
    world.clock.advance(hours(30 * DAYS) + hours(1) + seconds(119));
    native.revoke(&of_lost_session(&native.refresh, REFRESH_SECRET)).await.is(200);
    let before = published().await;
    if let Backend::Redis = backend {
        assert_eq!(before, 1, "an access token may still be valid");
    }
    world.clock.advance(seconds(1));
    let (access, refresh) =
        (of_lost_session(&native.access, ACCESS_SECRET), of_lost_session(&native.refresh, REFRESH_SECRET));
    for token in [&access, &refresh] {
        native.revoke(token).await.is(200);
    }
    let cookies = format!("{ACCESS}={access}; {REFRESH}={refresh}");
    for path in ["/auth/logout", "/login/bob"] {
        send(&world.app, &format!("POST {path}"), &[("cookie", &cookies)]).await.is(200);
    }
    assert_eq!(published().await, before);
}
