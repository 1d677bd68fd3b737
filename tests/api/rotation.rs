//! The rotation table with a fixed window of ten seconds, row by row, and the limits of a session.

use tower_jwt_sessions::{
    clock::Clock as _,
    event::{
        EndReason,
        RefreshKind::{AccessOnly, Repeated, Rotated},
        SessionEventKind as Event,
    },
};

use crate::support::*;

on_every_store!(
    refresh_right_after_login_rotates,
    current_refresh_token_stays_for_two_windows,
    repeat_inside_window_returns_same_bytes,
    repeat_at_end_of_window_ends_session,
    repeat_of_older_generation_ends_session,
    expired_superseded_token_is_refused_without_reuse_event,
    reuse_by_victim_after_thief_ends_session,
    reuse_by_thief_after_victim_ends_session,
    token_newer_than_stored_generation_is_adopted,
    concurrent_refreshes_have_one_successor,
    refresh_racing_logout_does_not_revive_session,
    idle_session_expires,
    refresh_keeps_absolute_limit,
    access_token_expires_to_the_millisecond,
);

async fn refresh_right_after_login_rotates(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let first = browser.refresh_token();
    browser.refresh().await.is(200);
    assert_ne!(browser.refresh_token(), first, "a refresh right after the login rotates");
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 2);
    assert_eq!(claims_of(&browser.access())["gen"], 2);
    assert_eq!(world.events(), [Event::Created, Event::Refreshed(Rotated)]);
}

async fn current_refresh_token_stays_for_two_windows(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.refresh().await.is(200);
    let (access, refresh) = (browser.access(), browser.refresh_token());
    world.events();
    for wait in [millis(0), millis(10_000), millis(9_999)] {
        world.clock.advance(wait);
        let response = browser.refresh().await;
        response.is(200);
        assert_eq!(response.cookie(REFRESH), None, "the refresh cookie is unchanged");
        assert!(response.cookie(ACCESS).is_some());
        assert_eq!(response.json()["expires_in"], 3600);
        assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
    }
    assert_ne!(browser.access(), access);
    world.clock.advance(millis(1));
    browser.refresh().await.is(200);
    assert_ne!(browser.refresh_token(), refresh);
    assert_eq!(world.events(), [Event::Refreshed(Rotated)]);
}

async fn repeat_inside_window_returns_same_bytes(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let successor = browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH);
    let mut other_tab = browser.clone();
    world.events();
    // Also after the successor was used, and not sliding with every use.
    other_tab.plant(REFRESH, successor.as_deref().unwrap_or_default());
    for wait in [millis(0), millis(5_000), millis(4_999)] {
        world.clock.advance(wait);
        let response = browser.send_only("POST /auth/refresh", &[]).await;
        assert_eq!(response.is(200).cookie(REFRESH), successor);
        assert!(response.cookie(ACCESS).is_some());
        assert_eq!(world.events(), [Event::Refreshed(Repeated)]);
        assert_eq!(other_tab.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH), None);
        assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
    }
    let lives_on = other_tab.get("/me").await;
    lives_on.is(200);
}

async fn repeat_at_end_of_window_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let old = browser.clone();
    browser.refresh().await.is(200);
    world.clock.advance(seconds(10));
    world.events();
    old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    // The newest access token and the newest refresh token are gone with it.
    browser.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::UsedAfterEnd]);
    assert_eq!(world.count("alice").await, 0);
}

async fn repeat_of_older_generation_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let old = browser.clone();
    for _ in 0..2 {
        browser.refresh().await.is(200);
        world.clock.advance(seconds(20));
    }
    browser.refresh().await.is(200);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 4);
    old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    browser.get("/me").await.is_problem(401, "invalid_token");
}

async fn expired_superseded_token_is_refused_without_reuse_event(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let old = browser.clone();
    let expired = browser.refresh_token();
    world.clock.advance(hours(6 * 24));
    browser.refresh().await.is(200);
    world.clock.advance(hours(24));
    world.events();
    // Sent by hand exactly at its `exp`, since no browser keeps it.
    let cookie = format!("{REFRESH}={expired}");
    send(&world.app, "POST /auth/refresh", &[("cookie", &cookie)]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::UsedAfterEnd]);
    assert_eq!(old.cookies(), "");
    browser.refresh().await.is(200);
    browser.get("/me").await.is(200);
}

async fn reuse_by_victim_after_thief_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut victim = world.browser();
    victim.login("alice").await;
    let mut thief = victim.clone();
    thief.refresh().await.is(200);
    world.clock.advance(hours(1));
    thief.refresh().await.is(200);
    thief.get("/me").await.is(200);
    victim.refresh().await.is_problem(401, "invalid_refresh_token");
    thief.get("/me").await.is_problem(401, "invalid_token");
    thief.refresh().await.is_problem(401, "invalid_refresh_token");
}

async fn reuse_by_thief_after_victim_ends_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut victim = world.browser();
    victim.login("alice").await;
    let mut thief = victim.clone();
    victim.refresh().await.is(200);
    world.clock.advance(hours(1));
    victim.refresh().await.is(200);
    thief.refresh().await.is_problem(401, "invalid_refresh_token");
    thief.get("/me").await.is_problem(401, "invalid_token");
    victim.get("/me").await.is_problem(401, "invalid_token");
    // A new login is not affected.
    victim.login("alice").await;
    victim.get("/me").await.is(200);
}

async fn token_newer_than_stored_generation_is_adopted(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let mut tokens = vec![browser.refresh_token()];
    for _ in 0..3 {
        browser.refresh().await.is(200);
        world.clock.advance(seconds(20));
        tokens.push(browser.refresh_token());
    }
    let id = world.sessions.list("alice").await.expect("a list")[0].id;
    world.store.lose_all_but_login("alice", id).await;
    world.events();

    let before = browser.clone();
    browser.refresh().await.is(200);
    assert_eq!(world.events(), [Event::StoreRolledBack, Event::Refreshed(Rotated)]);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 5);
    browser.get("/me").await.is(200);
    let repeated = before.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH);
    assert_eq!(repeated.as_deref(), Some(&*browser.refresh_token()));
    // After adopting, a token that was superseded before still counts as reuse.
    let cookie = format!("{REFRESH}={}", tokens[2]);
    send(&world.app, "POST /auth/refresh", &[("cookie", &cookie)]).await.is_problem(401, "invalid_refresh_token");
    browser.get("/me").await.is_problem(401, "invalid_token");
}

async fn concurrent_refreshes_have_one_successor(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let tabs: Vec<_> = (0..100)
        .map(|_| {
            let tab = browser.clone();
            tokio::spawn(async move { tab.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH) })
        })
        .collect();
    let mut successors = Vec::new();
    for tab in tabs {
        successors.push(tab.await.expect("a response").expect("a refresh cookie"));
    }
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(claims_of(&successors[0])["gen"], 2);
    let events = world.events();
    assert_eq!(events.len(), 100);
    assert_eq!(events.iter().filter(|event| **event == Event::Refreshed(Rotated)).count(), 1);
    assert_eq!(events.iter().filter(|event| **event == Event::Refreshed(Repeated)).count(), 99);
}

async fn refresh_racing_logout_does_not_revive_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let tabs: Vec<_> = (0..40)
        .map(|n| {
            let mut tab = browser.clone();
            let path = if n == 20 { "/auth/logout" } else { "/auth/refresh" };
            tokio::spawn(async move {
                let response = tab.post(path).await;
                assert!(response.status == 200 || response.status == 401, "{}", response.body);
                tab
            })
        })
        .collect();
    let mut responded = Vec::new();
    for tab in tabs {
        responded.push(tab.await.expect("a response"));
    }
    for mut tab in responded {
        if tab.cookie(ACCESS).is_some() {
            tab.get("/me").await.is_problem(401, "invalid_token");
            tab.refresh().await.is_problem(401, "invalid_refresh_token");
        }
    }
    assert_eq!(world.count("alice").await, 0);
}

async fn idle_session_expires(backend: Backend) {
    let world = World::new(backend).await;
    let mut early = world.browser();
    early.login("alice").await;
    let (mut late, access) = (early.clone(), early.access());
    world.events();
    world.clock.advance(hours(7 * 24) - millis(1));
    early.refresh().await.is(200);
    early.refresh().await.is(200);
    late.plant(ACCESS, &access);
    late.get("/me").await.is_problem(401, "invalid_token");

    world.events();
    let token = early.refresh_token();
    world.clock.advance(hours(7 * 24));
    early.plant(REFRESH, &token);
    early.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.events(), [Event::UsedAfterEnd]);
    assert_eq!(world.count("alice").await, 0);
}

async fn refresh_keeps_absolute_limit(backend: Backend) {
    let world = World::new(backend).await;
    let login = world.clock.now();
    let end = login.saturating_add(hours(30 * 24));
    let mut browser = world.browser();
    browser.login("alice").await;
    let auth_time = claims_of(&browser.access())["auth_time"].clone();
    assert_eq!(auth_time, login.as_secs());
    for _ in 0..4 {
        world.clock.advance(hours(6 * 24));
        browser.refresh().await.is(200);
    }
    assert_eq!(claims_of(&browser.refresh_token())["exp"], end.as_secs());
    world.clock.set(end.saturating_sub(seconds(10)));
    let response = browser.refresh().await;
    assert_eq!(response.is(200).json()["expires_in"], 10);
    for line in response.set_cookies() {
        assert!(line.contains("; Max-Age=10"), "{line}");
    }
    assert_eq!(response.set_cookies().len(), 2);
    assert_eq!(claims_of(&browser.access())["auth_time"], auth_time);
    let last = [browser.access(), browser.refresh_token()];
    world.clock.set(end.saturating_sub(millis(1)));
    browser.get("/me").await.is(200);
    world.clock.set(end);
    for token in &last {
        assert_eq!(claims_of(token)["exp"], end.as_secs());
    }
    browser.plant(ACCESS, &last[0]);
    browser.plant(REFRESH, &last[1]);
    browser.get("/me").await.is_problem(401, "invalid_token");
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
}

async fn access_token_expires_to_the_millisecond(backend: Backend) {
    let world = World::new(backend).await;
    let begin = world.clock.now();
    for fraction in [millis(0), millis(500), millis(999)] {
        world.clock.set(begin.saturating_add(fraction));
        let mut browser = world.browser();
        browser.login("alice").await;
        let cookie = format!("{ACCESS}={}", browser.access());
        for (time, status) in [(hours(1) - millis(1), 200), (hours(1), 401), (hours(1) + millis(1), 401)] {
            world.clock.set(begin.saturating_add(time));
            send(&world.app, "GET /me", &[("cookie", &cookie)]).await.is(status);
        }
        assert_eq!(send(&world.app, "GET /why", &[("cookie", &cookie)]).await.body, "Expired");
    }
}
