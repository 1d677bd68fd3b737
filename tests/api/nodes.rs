//! Several nodes on one store give the same results.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, header};
use tower_jwt_sessions::{
    KeyRing, SessionManager,
    event::{
        EndReason,
        RefreshKind::{AccessOnly, Repeated, Rotated},
        SessionEventKind as Event,
    },
    keys::{SigningKey, VerificationKey},
    policy::SessionLimit,
    testing::TestClock,
};

use crate::support::*;

on_every_store!(
    any_node_continues_session_of_another,
    reuse_on_another_node_ends_session,
    ended_session_is_refused_by_every_node,
    every_kind_of_end_reaches_every_node,
    expired_access_loads_new_claims,
    claims_changed_while_loaded_are_loaded_again,
);

/// Returns the same browser at another node.
fn at(node: &World, browser: &Browser) -> Browser {
    let mut there = node.browser();
    for name in [ACCESS, REFRESH] {
        if let Some(value) = browser.cookie(name) {
            there.plant(name, &value);
        }
    }
    there
}

async fn any_node_continues_session_of_another(backend: Backend) {
    let one = World::new(backend).await;
    let two = one.node(|builder| builder).await;
    let mut browser = one.browser();
    browser.login("alice").await;
    let mut there = at(&two, &browser);
    there.get("/me").await.is(200);
    let successor = there.refresh().await.is(200).cookie(REFRESH);
    assert_eq!((one.events(), two.events()), (vec![Event::Created], vec![Event::Refreshed(Rotated)]));
    // The first node repeats what the second issued, byte for byte.
    assert_eq!(browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(REFRESH), successor);
    assert_eq!(one.events(), [Event::Refreshed(Repeated)]);
    at(&one, &there).refresh().await.is(200);
    assert_eq!(one.events(), [Event::Refreshed(AccessOnly)]);
    assert_eq!(one.sessions.list("alice").await.ok(), two.sessions.list("alice").await.ok());
}

async fn reuse_on_another_node_ends_session(backend: Backend) {
    let one = World::new(backend).await;
    let two = one.node(|builder| builder).await;
    let mut victim = one.browser();
    victim.login("alice").await;
    let mut thief = at(&two, &victim);
    thief.refresh().await.is(200);
    one.clock.advance(hours(1));
    victim.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(one.events()[1..], [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    thief.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(two.events().last(), Some(&Event::UsedAfterEnd));
}

async fn ended_session_is_refused_by_every_node(backend: Backend) {
    let one = World::new(backend).await;
    let two = one.node(|builder| builder).await;
    for path in ["/auth/logout", "/auth/logout-all"] {
        let mut browser = one.browser();
        browser.login("alice").await;
        let mut there = at(&two, &browser);
        browser.post(path).await.is(200);
        there.refresh().await.is_problem(401, "invalid_refresh_token");
        there.post("/auth/logout").await.is(200);
        assert_eq!(two.events(), [Event::UsedAfterEnd]);
    }
}

/// Waits until a page is refused: nodes read revocations within milliseconds, and no event reports it.
async fn is_refused_soon(browser: &Browser) {
    for _ in 0..1000 {
        let response = browser.send_only("GET /me", &[]).await;
        if response.status == 401 {
            response.is_problem(401, "invalid_token");
            return;
        }
        tokio::time::sleep(millis(5)).await;
    }
    panic!("still accepted");
}

async fn every_kind_of_end_reaches_every_node(backend: Backend) {
    let limit = SessionLimit::evict(NonZeroU32::new(2).expect("not zero"));
    let one = World::with(backend, |builder| builder.session_limit(limit)).await;
    let two = one.node(|builder| builder).await;
    for (what, ends_both) in [
        ("logout", false),
        ("logout-all", true),
        ("delete", false),
        ("end others", false),
        ("reuse", false),
        ("login", false),
        ("login elsewhere", false),
        ("user gone", true),
        ("expired access", true),
    ] {
        let user = what.replace(' ', "-");
        let (mut browser, mut other) = (one.browser(), one.browser());
        browser.login(&user).await;
        one.clock.advance(seconds(1));
        other.login(&user).await;
        let (here, mut there, other_there) = (at(&one, &browser), at(&two, &browser), at(&two, &other));
        there.get("/me").await.is(200);
        match what {
            "logout" | "logout-all" => drop(browser.post(&format!("/auth/{what}")).await.is(200)),
            "delete" => {
                let id = claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned();
                browser.send(&format!("DELETE /auth/sessions/{id}"), &[]).await.is(200);
            }
            "end others" => {
                let cookies = other.cookies().parse().expect("a header");
                let kept = one.sessions.verifier().verify(&HeaderMap::from_iter([(header::COOKIE, cookies)]));
                assert_eq!(one.sessions.end_others(&kept.expect("a session")).await.ok(), Some(1));
            }
            "reuse" => {
                let old = browser.clone();
                browser.refresh().await.is(200);
                one.clock.advance(seconds(10));
                old.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
            }
            "login" => drop(browser.login("mallory").await),
            "login elsewhere" => drop(one.browser().login(&user).await),
            "user gone" => {
                one.users.delete(&user);
                browser.refresh().await.is_problem(401, "invalid_refresh_token");
            }
            _ => assert_eq!(one.sessions.expire_access(&*user).await.ok(), Some(2)),
        }
        // The node that ends a session refuses it before it responds.
        here.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
        is_refused_soon(&there).await;
        match ends_both {
            true => is_refused_soon(&other_there).await,
            false => drop(other_there.send_only("GET /me", &[]).await.is(200)),
        }
        if what == "expired access" {
            there.refresh().await.is(200);
            for node in [&one, &two] {
                at(node, &there).get("/me").await.is(200);
            }
        }
    }
}

async fn expired_access_loads_new_claims(backend: Backend) {
    let world = World::new(backend).await;
    world.users.set_role("alice", "admin");
    let (mut phone, mut laptop, mut bob) = (world.browser(), world.browser(), world.browser());
    phone.login("alice").await;
    laptop.login("alice").await;
    bob.login("bob").await;
    for (round, role) in [(1, "member"), (2, "guest")] {
        world.clock.advance(seconds(60));
        world.users.set_role("alice", role);
        world.events();
        assert_eq!(world.sessions.expire_access("alice").await.ok(), Some(2));
        assert_eq!(world.events(), [Event::AccessExpired; 2]);
        for browser in [&mut phone, &mut laptop] {
            browser.get("/me").await.is_problem(401, "invalid_token");
            browser.refresh().await.is(200);
            assert_eq!(browser.get("/me").await.is(200).json()["claims"]["role"], role);
            assert_eq!(claims_of(&browser.access())["epoch"], round);
        }
    }
    bob.get("/me").await.is(200);
    assert_eq!(world.count("alice").await, 2, "no session was ended");
    // Without an `expire_access` claims are loaded once.
    world.clock.advance(seconds(60));
    let asked = world.users.asked();
    phone.refresh().await.is(200);
    assert_eq!(world.users.asked(), asked + 1);
    assert_eq!(world.sessions.expire_access("carol").await.ok(), Some(0));
}

/// The role is removed after a refresh has read it and before its step: the response must not contain it.
async fn claims_changed_while_loaded_are_loaded_again(backend: Backend) {
    let clock = TestClock::new();
    let store = TestStore::open(backend, &clock).await;
    let racing: Arc<AtomicBool> = Arc::default();
    let manager: Arc<OnceLock<SessionManager<Claims>>> = Arc::default();
    let source = (Arc::clone(&racing), Arc::clone(&manager));
    let sessions = build(builder::<Claims>(&store, &clock).claims_with(source, async |(racing, manager), user| {
        if racing.swap(false, Ordering::SeqCst) {
            let sessions = manager.get().expect("a manager");
            sessions.expire_access(user).await.expect("access expires");
            return Ok::<_, Infallible>(Some(Claims { role: "admin".to_owned() }));
        }
        Ok(Some(Claims { role: "member".to_owned() }))
    }))
    .await;
    let app = app(&sessions);
    manager.set(sessions.clone()).expect("no earlier value");
    let mut browser = Browser::new(&app, &clock);
    browser.login("alice").await;
    for _ in 0..2 {
        racing.store(true, Ordering::SeqCst);
        browser.refresh().await.is(200);
        assert_eq!(browser.get("/me").await.is(200).json()["claims"]["role"], "member");
    }
}

#[tokio::test]
async fn keys_are_replaced_node_by_node_without_logout() {
    const NEW: [&str; 2] = ["a new access secret, for the new node", "a new refresh secret, for the new node"];
    let old = [ACCESS_SECRET, REFRESH_SECRET];
    let ring = |signs: &str, verifies: &str| {
        let key = VerificationKey::hs256(verifies).expect("long enough");
        KeyRing::new(SigningKey::hs256(signs).expect("long enough")).with_verification_key(key).expect("another key")
    };
    let before = World::with(Backend::Memory, |builder| {
        builder.access_keys(ring(old[0], NEW[0])).refresh_keys(ring(old[1], NEW[1]))
    })
    .await;
    let after =
        before.node(|builder| builder.access_keys(ring(NEW[0], old[0])).refresh_keys(ring(NEW[1], old[1]))).await;
    let only_new = before
        .node(|builder| {
            let ring = |secret: &str| KeyRing::hs256(secret).expect("long enough");
            builder.access_keys(ring(NEW[0])).refresh_keys(ring(NEW[1]))
        })
        .await;
    let mut browser = before.browser();
    browser.login("alice").await;
    at(&only_new, &browser).refresh().await.is_problem(401, "invalid_refresh_token");

    let mut there = at(&after, &browser);
    there.get("/me").await.is(200);
    there.refresh().await.is(200);
    // Repeated by a node that signs with the other key: other bytes, the same generation, and both are accepted.
    browser.refresh().await.is(200);
    assert_ne!(browser.refresh_token(), there.refresh_token());
    assert_eq!(claims_of(&browser.refresh_token()), claims_of(&there.refresh_token()));
    for (node, browser) in [(&after, &browser), (&before, &there), (&only_new, &there)] {
        at(node, browser).get("/me").await.is(200);
    }
    before.clock.advance(seconds(30));
    at(&only_new, &there).refresh().await.is(200);
    assert_eq!(only_new.events(), [Event::Refreshed(Rotated)]);
}

#[tokio::test]
async fn nodes_need_the_same_keys_issuer_and_audience() {
    let one = World::new(Backend::Memory).await;
    let mut browser = one.browser();
    browser.login("alice").await;
    let node_with = async |access: &str, issuer: &str, audience: &str| {
        let ring = KeyRing::hs256(access).expect("long enough");
        one.node(|builder| builder.access_keys(ring).issuer(issuer).audience(audience)).await
    };
    let secret = "the access secret of another deployment";
    for (node, refreshes) in [
        (node_with(secret, ISSUER, ISSUER).await, true),
        (node_with(ACCESS_SECRET, ISSUER, "https://api.test").await, false),
        (node_with(ACCESS_SECRET, "https://other.test", ISSUER).await, false),
    ] {
        let there = at(&node, &browser);
        there.send_only("GET /me", &[]).await.is_problem(401, "invalid_token");
        let response = there.send_only("POST /auth/refresh", &[]).await;
        match refreshes {
            true => drop(response.is(200)),
            false => drop(response.is_problem(401, "invalid_refresh_token")),
        }
    }
}
