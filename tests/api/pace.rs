//! Limits for a thief that keeps pace with the victim, where the window stays open until the successor is used.

use serde_json::Value;
use tower_jwt_sessions::{
    SessionId,
    clock::{Clock as _, Timestamp},
    event::{
        EndReason,
        RefreshKind::{AccessOnly, Rotated},
        SessionEventKind as Event,
    },
    policy::ReplayWindow,
    store::SessionRecord,
};

use crate::support::*;

on_every_store!(
    access_token_of_superseded_generation_is_short_lived,
    session_ends_after_too_many_lost_responses,
    list_shows_refreshes_by_the_minute,
    list_hides_refresh_of_another_holder,
);

async fn world(backend: Backend) -> World {
    World::with(backend, |builder| builder.replay_window(ReplayWindow::UntilConfirmed(seconds(10)))).await
}

/// Its use confirms no successor, so it must not be valid for an hour.
async fn access_token_of_superseded_generation_is_short_lived(backend: Backend) {
    let world = world(backend).await;
    let mut thief = world.browser();
    thief.login("alice").await;
    thief.send_only("POST /auth/refresh", &[]).await.is(200);
    for wait in [millis(10_000), millis(9_999)] {
        world.clock.advance(wait);
        world.events();
        let response = thief.refresh().await;
        assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
        assert_eq!(response.is(200).json()["expires_in"], 60);
        assert_eq!(claims_of(&thief.access())["gen"], 1);
    }
    thief.get("/me").await.is(200);
    world.clock.advance(seconds(60));
    thief.get("/me").await.is_problem(401, "invalid_token");
}

async fn session_ends_after_too_many_lost_responses(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let lost = SessionRecord::MAX_LOST_ANSWERS;
    for _ in 0..lost {
        browser.send_only("POST /auth/refresh", &[]).await.is(200);
        world.clock.advance(seconds(20));
    }
    // The next response arrives, and the session continues.
    world.events();
    browser.refresh().await.is(200);
    assert_eq!(world.events(), [Event::Refreshed(Rotated)]);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], lost + 2);
    browser.get("/me").await.is(200);

    // One more lost response exceeds the limit.
    let mut thief = world.browser();
    thief.login("bob").await;
    for _ in 0..=lost {
        thief.send_only("POST /auth/refresh", &[]).await.is(200);
        world.clock.advance(seconds(20));
    }
    world.events();
    thief.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    assert_eq!(world.count("bob").await, 0);
}

fn now(world: &World) -> u64 {
    world.clock.now().as_secs()
}

fn id(value: &Value) -> SessionId {
    value.as_str().and_then(|id| id.parse().ok()).expect("an identifier")
}

fn rows(response: &TestResponse) -> Vec<Value> {
    response.is(200).json()["sessions"].as_array().expect("a list").clone()
}

async fn list_shows_refreshes_by_the_minute(backend: Backend) {
    let world = world(backend).await;
    let mut browsers = [world.browser(), world.browser(), world.browser()];
    for browser in &mut browsers {
        world.clock.advance(millis(1_234));
        browser.login("alice").await;
    }
    world.clock.advance(hours(1));
    // In the last seconds of a minute, against the order of their identifiers.
    browsers.sort_by_key(|browser| id(&claims_of(&browser.refresh_token())["sid"]));
    world.clock.advance(seconds(30));
    let minute = now(&world) / 60 * 60;
    for browser in browsers.iter_mut().rev() {
        browser.refresh().await.is(200);
        world.clock.advance(seconds(7));
    }
    assert_eq!(now(&world) / 60 * 60, minute, "all within one minute");

    let [mut reader, ..] = browsers.clone();
    let rows = self::rows(&reader.get("/auth/sessions").await);
    for row in &rows {
        assert_eq!(row["refreshed_at"], minute);
        assert_eq!(row["expires_at"], minute + 7 * 86_400);
    }
    assert!(rows.is_sorted_by_key(|row| id(&row["id"])), "the order does not reveal times within the minute");
    for info in world.sessions.list("alice").await.expect("a list") {
        assert_eq!(Timestamp::from(info.refreshed_at).as_secs(), minute);
    }
}

/// Even to the minute, a changing time would reveal when to present the stolen token.
async fn list_hides_refresh_of_another_holder(backend: Backend) {
    let world = world(backend).await;
    let mut victim = world.browser();
    victim.login("alice").await;
    let mut thief = victim.clone();
    world.clock.advance(seconds(50 * 60));
    let before = rows(&thief.get("/auth/sessions").await);
    victim.refresh().await.is(200);
    assert_eq!(rows(&thief.get("/auth/sessions").await), before);
    let own = rows(&victim.get("/auth/sessions").await);
    assert_eq!(own[0]["refreshed_at"], now(&world) / 60 * 60, "the holder's own refresh is shown");
}
