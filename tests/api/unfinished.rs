//! Ends of sessions that the store did not carry out: reported as failed, and completed as soon as possible.

use std::time::{Duration, Instant};

use tower_jwt_sessions::{
    SessionId,
    clock::Clock as _,
    event::{EndReason, SessionEventKind as Event},
    testing::StoreStep,
};

use crate::support::*;

on_every_store!(
    failed_logout_is_completed_without_a_request,
    failed_logout_stays_a_failure_while_the_store_is_down,
    failed_logout_is_completed_by_a_refresh,
    failed_logout_is_completed_by_repeat,
    every_kind_of_failed_end_is_completed,
    login_after_a_failed_end_of_all_survives_it,
    login_after_a_failed_end_of_all_refreshes_at_once,
    retried_end_of_all_with_clock_behind_spares_no_session,
    failed_end_of_another_users_session_changes_nothing,
    open_connections_close_when_failed_end_is_completed,
);

/// Waits until a condition holds.
pub(crate) async fn soon(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "timed out waiting: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn logged_in(backend: Backend) -> (World, Browser) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    (world, browser)
}

async fn failed_logout_is_completed_without_a_request(backend: Backend) {
    for path in ["/auth/logout", "/auth/logout-all"] {
        let (world, mut browser) = logged_in(backend).await;
        let cookies = browser.cookies();
        world.store.set_down(true);
        browser.post(path).await.is_problem(503, "store_unavailable");
        assert_eq!(browser.cookies(), cookies, "the next attempt needs the cookies");
        assert_eq!(world.events(), [], "no event yet");

        world.store.set_down(false);
        soon("the session ends", async || world.count("alice").await == 0).await;
        soon("this node knows it", async || browser.send_only("GET /why", &[]).await.body == "Revoked").await;
        browser.get("/me").await.is_problem(401, "invalid_token");
        browser.refresh().await.is_problem(401, "invalid_refresh_token");
        // The node may learn of the end from the log before the attempt that ended it completes.
        let mut events = Vec::new();
        soon("the end is reported", async || {
            events.extend(world.events());
            events.contains(&Event::Ended(EndReason::LoggedOut))
        })
        .await;
        assert!(events.contains(&Event::UsedAfterEnd) && events.len() == 2, "{events:?}");
    }
}

async fn failed_logout_stays_a_failure_while_the_store_is_down(backend: Backend) {
    for path in ["/auth/logout", "/auth/logout-all"] {
        let (world, mut browser) = logged_in(backend).await;
        world.store.set_down(true);
        browser.post(path).await.is_problem(503, "store_unavailable");
        let cookies = browser.cookies();
        // A login page would say that the logout has happened.
        browser.get("/me").await.is_problem(503, "store_unavailable");
        browser.get("/auth/sessions").await.is_problem(503, "store_unavailable");
        browser.refresh().await.is_problem(503, "store_unavailable");
        assert_eq!(browser.get("/why").await.body, "EndUnfinished");
        assert_eq!(browser.get("/greet").await.is(200).body, "hello, anonymous");

        // Its access token has expired, and no list of revocations has it any more.
        world.clock.advance(hours(2));
        for _ in 0..3 {
            browser.refresh().await.is_problem(503, "store_unavailable");
        }
        assert_eq!(browser.cookie(REFRESH).is_some(), cookies.contains(REFRESH));
        assert_eq!(world.events(), []);
        world.store.set_down(false);
        browser.refresh().await.is_problem(401, "invalid_refresh_token");
        assert_eq!(world.count("alice").await, 0);
    }
}

/// Before the node's own retry.
async fn failed_logout_is_completed_by_a_refresh(backend: Backend) {
    for path in ["/auth/logout", "/auth/logout-all"] {
        let (world, mut browser) = logged_in(backend).await;
        world.store.set_down(true);
        browser.post(path).await.is_problem(503, "store_unavailable");
        world.clock.advance(hours(2));
        world.store.set_down(false);
        browser.refresh().await.is_problem(401, "invalid_refresh_token");
        assert_eq!(world.count("alice").await, 0);
        assert!(world.events().contains(&Event::Ended(EndReason::LoggedOut)));
    }
}

/// Also where the refresh cookie does not reach the route: then this node refuses what the retry presents.
async fn failed_logout_is_completed_by_repeat(backend: Backend) {
    for has_refresh_token in [true, false] {
        let (world, mut browser) = logged_in(backend).await;
        if !has_refresh_token {
            browser.forget(REFRESH);
        }
        let outage = world.store.fail_at(StoreStep::End);
        for _ in 0..3 {
            browser.post("/auth/logout").await.is_problem(503, "store_unavailable");
        }
        outage.lift();
        browser.post("/auth/logout").await.is(200);
        assert_eq!((world.count("alice").await, browser.cookies()), (0, String::new()));
        browser.login("alice").await;
        browser.get("/me").await.is(200);
        browser.refresh().await.is(200);
    }
}

async fn every_kind_of_failed_end_is_completed(backend: Backend) {
    let (world, mut phone) = logged_in(backend).await;
    let mut laptop = world.browser();
    laptop.login("alice").await;
    let sessions = &world.sessions;
    let session = |browser: &Browser| {
        let mut headers = http::HeaderMap::new();
        headers.insert("cookie", browser.cookies().parse().expect("a header"));
        sessions.verifier().verify(&headers).expect("a session")
    };

    let (kept, gone) = (session(&laptop), session(&phone).id());
    for end in ["end", "end_others", "end_all", "user_gone"] {
        world.events();
        world.store.set_down(true);
        let (left, reason) = match end {
            "end" => {
                sessions.end("alice", gone).await.expect_err("the store is down");
                (1, EndReason::Requested)
            }
            "end_others" => {
                sessions.end_others(&kept).await.expect_err("the store is down");
                (1, EndReason::Requested)
            }
            "end_all" => {
                sessions.end_all("alice").await.expect_err("the store is down");
                (0, EndReason::Requested)
            }
            _ => {
                world.users.delete("alice");
                phone.refresh().await.is_problem(503, "store_unavailable");
                (0, EndReason::UserGone)
            }
        };
        world.store.set_down(false);
        soon(end, async || world.count("alice").await == left).await;
        let mut ended = Vec::new();
        soon("the revocation arrives", async || {
            ended.extend(world.events());
            !ended.is_empty()
        })
        .await;
        assert_eq!(ended[0], Event::Ended(reason), "{end}");
        // For the next one.
        world.users.restore("alice");
        phone = world.browser();
        world.clock.advance(seconds(1));
        phone.login("alice").await;
    }
}

async fn login_after_a_failed_end_of_all_survives_it(backend: Backend) {
    let (world, mut old) = logged_in(backend).await;
    world.store.set_down(true);
    world.sessions.end_all("alice").await.expect_err("the store is down");
    world.clock.advance(seconds(120));
    world.store.set_down(false);
    let mut new = world.browser();
    new.login("alice").await;
    let sees_old = async |world: &World| {
        let listed = world.sessions.list("alice").await.expect("a list");
        listed.len() == 2
    };
    soon("the old one ends", async || !sees_old(&world).await).await;
    new.get("/me").await.is(200);
    new.refresh().await.is(200);
    old.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.count("alice").await, 1);
}

async fn login_after_a_failed_end_of_all_refreshes_at_once(backend: Backend) {
    let (world, mut old) = logged_in(backend).await;
    world.store.set_down(true);
    world.sessions.end_all("alice").await.expect_err("the store is down");
    world.clock.advance(seconds(120));
    world.store.set_down(false);
    let mut new = world.browser();
    new.login("alice").await;
    new.refresh().await.is(200);
    old.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.count("alice").await, 1);
}

/// After a failover, for example. Otherwise the session that the end was meant for could pass for a later one.
async fn retried_end_of_all_with_clock_behind_spares_no_session(backend: Backend) {
    let world = World::new(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.clock.advance(seconds(1));
    world.store.set_down(true);
    world.sessions.end_all("alice").await.expect_err("the store is down");
    world.clock.advance(seconds(300));
    world.clock.set(world.clock.now().saturating_sub(seconds(50)));
    world.store.set_down(false);
    soon("the session ends", async || world.count("alice").await == 0).await;
    browser.refresh().await.is_problem(401, "invalid_refresh_token");
}

/// Only the store knows the user of a session id.
async fn failed_end_of_another_users_session_changes_nothing(backend: Backend) {
    let (world, mut victim) = logged_in(backend).await;
    let id: SessionId = claims_of(&victim.access())["sid"].as_str().expect("an id").parse().expect("an id");
    let mut attacker = world.browser();
    attacker.login("mallory").await;
    world.events();
    world.store.set_down(true);
    attacker.send(&format!("DELETE /auth/sessions/{id}"), &[]).await.is_problem(503, "store_unavailable");
    victim.get("/me").await.is(200);
    world.store.set_down(false);
    // Comes after it.
    world.store.set_down(true);
    attacker.post("/auth/logout").await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    soon("both are tried again", async || world.count("mallory").await == 0).await;
    victim.get("/me").await.is(200);
    victim.refresh().await.is(200);
}

async fn open_connections_close_when_failed_end_is_completed(backend: Backend) {
    let (world, mut browser) = logged_in(backend).await;
    let mut headers = http::HeaderMap::new();
    headers.insert("cookie", browser.cookies().parse().expect("a header"));
    let mut ended = world.sessions.verifier().verify(&headers).expect("a session").ended();
    world.store.set_down(true);
    browser.post("/auth/logout").await.is_problem(503, "store_unavailable");
    assert!(futures_util::poll!(&mut ended).is_pending(), "an outage ends no session");
    world.store.set_down(false);
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the session ends");
}
