//! The store loses an `expire_access` in a failover that nodes have read; users can still refresh and log in.

use tower_jwt_sessions::event::{RefreshKind::Rotated, SessionEventKind as Event};

use crate::support::*;

on_every_store!(
    refresh_after_a_lost_expire_access_is_accepted_by_every_node,
    claims_loaded_before_a_lost_expire_access_are_not_signed,
    session_that_is_known_to_have_ended_is_not_refreshed,
);

/// Waits until the revocation has reached this node.
async fn is_refused_soon(node: &World, cookie: &str) {
    for _ in 0..4_000 {
        if send(&node.app, "GET /me", &[("cookie", cookie)]).await.status == 401 {
            return;
        }
        tokio::time::sleep(millis(5)).await;
    }
    panic!("still accepted");
}

/// A browser that was logged in when access was expired, and a store that has the login only.
async fn rolled_back(here: &World, there: &World) -> Browser {
    let mut browser = here.browser();
    browser.login("alice").await;
    let id = here.sessions.list("alice").await.expect("a list")[0].id;
    here.sessions.expire_access("alice").await.expect("a store");
    let cookie = format!("{ACCESS}={}", browser.access());
    is_refused_soon(there, &cookie).await;
    here.store.lose_all_but_login("alice", id).await;
    browser
}

async fn refresh_after_a_lost_expire_access_is_accepted_by_every_node(backend: Backend) {
    let here = World::new(backend).await;
    let there = here.node(|builder| builder).await;
    let mut browser = rolled_back(&here, &there).await;
    here.events();
    browser.refresh().await.is(200);
    assert_eq!(here.events(), [Event::StoreRolledBack, Event::Refreshed(Rotated)]);
    assert_eq!(claims_of(&browser.access())["epoch"], 1);
    for node in [&here, &there] {
        let cookie = format!("{ACCESS}={}", browser.access());
        send(&node.app, "GET /me", &[("cookie", &cookie)]).await.is(200);
    }
    // The store has the epoch again, so a node that never read it issues the same.
    let late = here.node(|builder| builder).await;
    here.clock.advance(seconds(20));
    let cookie = format!("{REFRESH}={}", browser.refresh_token());
    let response = send(&late.app, "POST /auth/refresh", &[("cookie", &cookie)]).await;
    let access = response.is(200).cookie(ACCESS).expect("an access cookie");
    assert_eq!(claims_of(&access)["epoch"], 1);
    let cookie = format!("{ACCESS}={access}");
    send(&here.app, "GET /me", &[("cookie", &cookie)]).await.is(200);
}

/// Another node's refresh is in progress with earlier claims. The first node's step makes it load them again.
async fn claims_loaded_before_a_lost_expire_access_are_not_signed(backend: Backend) {
    let here = World::new(backend).await;
    let there = here.node(|builder| builder).await;
    let mut browser = rolled_back(&here, &there).await;
    let other = browser.clone();
    browser.refresh().await.is(200);
    let asked = here.users.asked();
    other.send_only("POST /auth/refresh", &[]).await.is(200);
    assert_eq!(here.users.asked(), asked + 2, "claims loaded within a second of the change are loaded again");
}

async fn session_that_is_known_to_have_ended_is_not_refreshed(backend: Backend) {
    let here = World::new(backend).await;
    let there = here.node(|builder| builder).await;
    let browser = rolled_back(&here, &there).await;
    let id = here.sessions.list("alice").await.expect("a list")[0].id;
    here.sessions.end_all("alice").await.expect("a store");
    here.store.lose_all_but_login("alice", id).await;
    here.events();
    let asked = here.users.asked();
    browser.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(here.events(), [Event::UsedAfterEnd]);
    assert_eq!(here.users.asked(), asked);
    assert_eq!(here.count("alice").await, 1, "the store was not called");
}
