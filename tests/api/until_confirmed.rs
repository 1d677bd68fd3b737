//! The rotation table with a window that stays open until the successor is used.

use tower_jwt_sessions::{
    event::{
        EndReason,
        RefreshKind::{AccessOnly, Repeated, Rotated},
        SessionEventKind as Event,
    },
    policy::ReplayWindow,
};

use crate::support::*;

on_every_store!(
    lost_response_is_repeated_hours_later,
    repeat_soon_after_rotation_returns_same_bytes,
    first_use_of_successor_closes_window,
    current_token_stays_while_predecessor_is_accepted,
    second_holder_to_refresh_ends_session,
    alternating_thief_is_detected_in_second_round,
    adopting_newer_token_refuses_older_ones,
);

async fn world(backend: Backend) -> World {
    World::with(backend, |builder| builder.replay_window(ReplayWindow::UntilConfirmed(seconds(10)))).await
}

async fn lost_response_is_repeated_hours_later(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.send_only("POST /auth/refresh", &[]).await.is(200);
    world.clock.advance(hours(24));
    world.events();
    browser.refresh().await.is(200);
    assert_eq!(world.events(), [Event::Refreshed(Rotated)]);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 3);
    browser.get("/me").await.is(200);
}

async fn repeat_soon_after_rotation_returns_same_bytes(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let successor = browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH);
    world.events();
    for wait in [millis(0), millis(9_999)] {
        world.clock.advance(wait);
        assert_eq!(browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH), successor);
        assert_eq!(world.events(), [Event::Refreshed(Repeated)]);
    }
    // The last of those responses may still arrive, so the token stays unchanged for another window.
    for wait in [millis(1), millis(9_999)] {
        world.clock.advance(wait);
        let response = browser.send_only("POST /auth/refresh", &[]).await;
        assert_eq!(response.is(200).cookie(REFRESH), None);
        assert_eq!(claims_of(&response.cookie(ACCESS).expect("an access cookie"))["gen"], 1);
        assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
    }
    // After the window the successor counts as lost: a new one is issued.
    world.clock.advance(millis(1));
    let later = browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH);
    assert_ne!(later, successor);
    assert_eq!(world.events(), [Event::Refreshed(Rotated)]);
    // The new one can be repeated as well.
    assert_eq!(browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH), later);
}

async fn first_use_of_successor_closes_window(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let late = browser.clone();
    browser.refresh().await.is(200);
    world.clock.advance(hours(1));
    world.events();
    assert_eq!(browser.refresh().await.is(200).cookie(REFRESH), None);
    assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
    world.clock.advance(millis(9_999));
    let repeated = late.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH);
    assert_eq!(repeated.as_deref(), Some(&*browser.refresh_token()), "in flight when the successor was used");
    world.clock.advance(millis(1));
    world.events();
    late.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    browser.get("/me").await.is_problem(401, "invalid_token");
}

async fn current_token_stays_while_predecessor_is_accepted(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.refresh().await.is(200);
    world.clock.advance(hours(1));
    // The first use opens the last ten seconds for its predecessor; until they are over it is not superseded.
    for (wait, sets_refresh) in [(millis(0), false), (millis(9_999), false), (millis(1), true), (millis(0), false)] {
        world.clock.advance(wait);
        assert_eq!(browser.refresh().await.is(200).cookie(REFRESH).is_some(), sets_refresh, "after {wait:?}");
    }
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 3);
}

async fn second_holder_to_refresh_ends_session(backend: Backend) {
    let world = world(backend).await;
    let mut victim = world.browser();
    victim.login("alice").await;
    let mut thief = victim.clone();
    thief.refresh().await.is(200);
    world.clock.advance(hours(1));
    victim.refresh().await.is(200);
    world.events();
    thief.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    victim.get("/me").await.is_problem(401, "invalid_token");
    thief.get("/me").await.is_problem(401, "invalid_token");
}

/// A client that waits for the other to refresh, and then repeats the older token, is detected in the second round.
async fn alternating_thief_is_detected_in_second_round(backend: Backend) {
    let world = world(backend).await;
    let mut victim = world.browser();
    victim.login("alice").await;
    let mut thief = victim.clone();
    let mut rounds = 0;
    while rounds < 4 {
        rounds += 1;
        world.clock.advance(hours(1));
        if victim.refresh().await.status == 401 {
            break;
        }
        world.clock.advance(hours(1));
        if thief.refresh().await.status == 401 {
            break;
        }
    }
    assert!(rounds <= 2, "{rounds} rounds");
    assert_eq!(world.count("alice").await, 0);
}

/// The store fell back to a rotation whose successor is unused, so that its predecessor could still be repeated.
async fn adopting_newer_token_refuses_older_ones(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let first = browser.clone();
    for _ in 0..4 {
        browser.refresh().await.is(200);
        world.clock.advance(seconds(20));
    }
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 3);
    let id = world.sessions.list("alice").await.expect("a list")[0].id;
    world.store.lose_all_but_login("alice", id).await;
    first.send_only("POST /auth/refresh", &[]).await.is(200);

    world.clock.advance(seconds(30));
    world.events();
    browser.refresh().await.is(200);
    assert_eq!(world.events(), [Event::StoreRolledBack, Event::Refreshed(Rotated)]);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 4);
    first.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
}
