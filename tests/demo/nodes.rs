//! Two demos on one Redis are two nodes of one application.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    browser::{ACCESS, Browser, REFRESH, claims},
    process::Demo,
    redis_server::RedisServer,
};

pub(crate) fn two_nodes(redis: &RedisServer) -> (Demo, Demo) {
    let url = redis.url();
    let start = || Demo::start_with(&[("REDIS_URL", &url)]);
    (start(), start())
}

#[test]
fn session_is_accepted_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let alice = one.alice();
    let mut there = alice.at_node(two.url());
    let me = there.get("/me").json();
    assert_eq!((&me["user_id"], &me["role"]), (&json!("alice"), &json!("admin")));
    there.post("/auth/refresh").expect_status(200);
    there.send("PUT", "/notes", &json!({ "text": "shared" })).expect_status(200);

    let mut back = there.at_node(one.url());
    back.get("/me").expect_status(200);
    back.get("/notes").expect_json(&json!({ "text": "shared" }));
    back.post("/auth/logout").expect_status(200);
    there.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    is_soon_refused(&mut there);
}

#[test]
fn deleting_user_ends_sessions_on_every_node() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let mut bob = two.bob();
    bob.get("/me").expect_status(200);
    one.alice().delete("/admin/users/bob").expect_status(200);
    is_soon_refused(&mut bob);

    // A node that starts later reads the earlier ends.
    let three = Demo::start_with(&[("REDIS_URL", &redis.url())]);
    bob.at_node(three.url()).get("/me").expect_problem(401, "invalid_token");
}

/// Waits until the other node has read the revocation, which is not visible from outside.
fn is_soon_refused(browser: &mut Browser) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let response = browser.get("/me");
        if response.status != 200 {
            return response.expect_problem(401, "invalid_token");
        }
        assert!(Instant::now() < deadline, "the session is still accepted");
    }
}

#[test]
fn concurrent_refreshes_on_two_nodes_rotate_once() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let alice = one.alice();
    let tabs: Vec<_> = (0..20)
        .map(|tab| alice.at_node(if tab % 2 == 0 { one.url() } else { two.url() }))
        .map(|mut tab| {
            thread::spawn(move || {
                tab.post("/auth/refresh").expect_status(200);
                tab.get("/me").expect_status(200);
                tab
            })
        })
        .collect();
    for tab in tabs {
        let tab = tab.join().expect("every tab keeps the session");
        assert_eq!(tab.access_claims()["gen"], 2);
        assert_eq!(claims(tab.cookie(REFRESH))["gen"], 2);
    }
}

#[test]
fn users_are_shared_by_nodes() {
    let redis = RedisServer::start();
    let (one, two) = two_nodes(&redis);
    let mut alice = one.alice();
    let mut bob = two.bob();
    alice.send("PUT", "/admin/users/bob/role", &json!({ "role": "admin" })).expect_status(200);
    is_soon_refused(&mut bob);
    bob.post("/auth/refresh").expect_status(200);
    bob.get("/admin").expect_status(200);

    // A node that starts later reads the current users.
    let three = Demo::start_with(&[("REDIS_URL", &redis.url())]);
    three.bob().get("/admin").expect_status(200);

    alice.delete("/admin/users/bob").expect_status(200);
    bob.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    two.browser().log_in("bob", "builder").expect_problem(401, "wrong_credentials");
}

/// Asserts that requests that need Redis fail within a second and keep the cookies. Access tokens are accepted.
fn degrades(demo: &Demo, alice: &mut Browser) {
    let (access, refresh) = (alice.cookie(ACCESS).to_owned(), alice.cookie(REFRESH).to_owned());
    alice.get("/me").expect_status(200);
    alice.get("/admin").expect_status(200);
    let role = json!({ "role": "user" });
    // The user table is read first where claims are needed.
    for (what, code) in [
        ("GET /notes", "store_unavailable"),
        ("POST /auth/refresh", "claims_unavailable"),
        ("GET /auth/sessions", "store_unavailable"),
        ("PUT /admin/users/bob/role", "users_unavailable"),
    ] {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let asked = Instant::now();
        let response = alice.send(method, path, &role);
        assert!(asked.elapsed() < Duration::from_secs(1), "{what} took {:?}", asked.elapsed());
        response.expect_problem(503, code);
        assert!(response.set_cookies().is_empty(), "{what} changed the cookies");
    }
    let asked = Instant::now();
    demo.browser().log_in("alice", "wonderland").expect_problem(503, "users_unavailable");
    assert!(asked.elapsed() < Duration::from_secs(1), "a login took {:?}", asked.elapsed());
    alice.get("/me").expect_status(200);
    assert_eq!((alice.cookie(ACCESS), alice.cookie(REFRESH)), (&*access, &*refresh));
}

/// Asserts that a logout without Redis fails and keeps the cookies for a retry. Until it is completed, requests of the
/// session get 503: it is neither accepted nor reported as ended.
fn cannot_log_out(bob: &mut Browser) {
    let asked = Instant::now();
    let response = bob.post("/auth/logout");
    assert!(asked.elapsed() < Duration::from_secs(1), "a logout took {:?}", asked.elapsed());
    response.expect_problem(503, "store_unavailable");
    assert!(response.set_cookies().is_empty());
    bob.get("/me").expect_problem(503, "store_unavailable");
}

/// Retries until Redis is used again; fred reconnects within a second or two.
fn recovers(mut attempt: impl FnMut() -> u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match attempt() {
            200 => return,
            status => {
                assert!(Instant::now() < deadline, "Redis is available, but the demo still responds with {status}");
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn frozen_redis_is_outage_without_logout() {
    let redis = RedisServer::start();
    let demo = Demo::start_with(&[("REDIS_URL", &redis.url())]);
    let (mut alice, mut bob) = (demo.alice(), demo.bob());
    redis.freeze();
    degrades(&demo, &mut alice);
    cannot_log_out(&mut bob);
    redis.thaw();
    recovers(|| alice.post("/auth/refresh").status);
    recovers(|| bob.post("/auth/logout").status);
    assert!(!bob.has_cookies());
    alice.get("/me").expect_status(200);
}

#[test]
fn killed_redis_is_outage_and_restarted_one_works() {
    let mut redis = RedisServer::start();
    let demo = Demo::start_with(&[("REDIS_URL", &redis.url())]);
    let (mut alice, mut bob) = (demo.alice(), demo.bob());
    redis.kill();
    degrades(&demo, &mut alice);
    cannot_log_out(&mut bob);

    // Redis restarts empty: the users are written again, the sessions stay lost.
    redis.restart();
    recovers(|| demo.browser().log_in("alice", "wonderland").status);
    recovers(|| bob.post("/auth/logout").status);
    alice.get("/me").expect_status(200);
    alice.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    demo.alice().post("/auth/refresh").expect_status(200);
}
