//! Login and access to pages.

use std::time::{Duration, Instant};

use http::header;
use serde_json::json;

use crate::{
    browser::{ACCESS, REFRESH},
    process::Demo,
};

#[test]
fn login_sets_both_cookies() {
    let demo = Demo::start();
    let mut browser = demo.browser();
    let response = browser.log_in("alice", "wonderland");
    response.expect_json(&json!({ "success": true, "expires_in": 3600 }));
    assert_eq!(response.header(header::CACHE_CONTROL), "no-store");

    let cookies = response.set_cookies();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    for (line, name, max_age) in [(cookies[0], ACCESS, 3600), (cookies[1], REFRESH, 604_800)] {
        assert!(line.starts_with(&format!("{name}=")), "{line}");
        let mut attributes: Vec<&str> = line.split("; ").skip(1).collect();
        attributes.sort_unstable();
        assert_eq!(
            attributes,
            ["HttpOnly", &format!("Max-Age={max_age}"), "Path=/", "SameSite=Strict", "Secure"],
            "{line}"
        );
    }
    assert!(!response.text.contains(browser.cookie(ACCESS)), "a body contains a token");
}

#[test]
fn wrong_password_and_unknown_user_get_same_response() {
    let demo = Demo::start();
    let mut browser = demo.browser();
    let wrong = browser.log_in("alice", "builder");
    wrong.expect_problem(401, "wrong_credentials");
    let unknown = browser.log_in("mallory", "builder");
    unknown.expect_problem(401, "wrong_credentials");
    assert_eq!(wrong.text, unknown.text);
    // The text whose hash is used for users who do not exist.
    browser.log_in("mallory", "not the password").expect_problem(401, "wrong_credentials");
    browser.log_in("", "").expect_problem(401, "wrong_credentials");
    assert!(!browser.has_cookies());

    // Without the hash, the second response would take a hundredth of the time.
    let mut quickest = |username: &str| -> Duration {
        let times = (0..3).map(|_| {
            let begun = Instant::now();
            browser.log_in(username, "builder");
            begun.elapsed()
        });
        times.min().unwrap_or_default()
    };
    let (wrong, unknown) = (quickest("alice"), quickest("mallory"));
    assert!(unknown > wrong / 10, "{unknown:?} for an unknown user, {wrong:?} for a wrong password");
}

#[test]
fn malformed_login_is_refused() {
    let demo = Demo::start();
    let mut browser = demo.browser();
    let mut post = |content_type, body: &str| browser.request("POST", "/login", content_type, body);
    let json = Some("application/json");
    post(json, r#"{"username":"#).expect_problem(400, "invalid_body");
    post(json, r#"{"username":"alice"}"#).expect_problem(422, "invalid_body");
    post(json, r#"{"username":"alice","password":1}"#).expect_problem(422, "invalid_body");
    post(None, r#"{"username":"alice","password":"wonderland"}"#).expect_problem(415, "invalid_body");
    post(json, &"x".repeat(17 * 1024)).expect_problem(413, "invalid_body");
}

#[test]
fn login_from_other_site_is_refused() {
    let demo = Demo::start();
    let mut site = demo.browser().page_of_another_site();
    site.log_in("alice", "wonderland").expect_problem(403, "cross_site_request");
}

#[test]
fn private_page_without_session_is_refused() {
    let demo = Demo::start();
    let mut anonymous = demo.browser();
    anonymous.get("/me").expect_problem(401, "missing_credentials");
    anonymous.get("/notes").expect_problem(401, "missing_credentials");
    anonymous.get("/admin").expect_problem(401, "missing_credentials");

    let mut alice = demo.alice();
    let me = alice.get("/me");
    me.expect_status(200);
    assert_eq!(me.header(header::CACHE_CONTROL), "no-store");
    let me = me.json();
    assert_eq!((&me["user_id"], &me["role"]), (&json!("alice"), &json!("admin")));
    assert_eq!(me["session_id"], alice.access_claims()["sid"]);
    assert_eq!(me["bound"], false, "not over plain http");
    assert!(me["expires_in"].as_u64().is_some_and(|seconds| (3500..=3600).contains(&seconds)), "{me}");

    // What a browser has left when the access cookie expired.
    alice.forget(ACCESS);
    alice.get("/me").expect_problem(401, "invalid_token");
    alice.post("/auth/refresh").expect_json(&json!({ "success": true, "expires_in": 3600 }));
    alice.get("/me").expect_status(200);
}

#[test]
fn public_page_names_logged_in_user() {
    let demo = Demo::start();
    demo.browser().get("/hello").expect_json(&json!({ "hello": "stranger" }));
    let mut alice = demo.alice();
    alice.get("/hello").expect_json(&json!({ "hello": "alice" }));
    alice.forget(ACCESS);
    alice.get("/hello").expect_json(&json!({ "hello": "stranger" }));
}

#[test]
fn admin_page_requires_admin_role() {
    let demo = Demo::start();
    demo.alice().get("/admin").expect_status(200);
    demo.bob().get("/admin").expect_problem(403, "admins_only");
}

#[test]
fn page_loads_nothing_from_other_origins() {
    let demo = Demo::start();
    let mut browser = demo.browser();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/devices.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
    ] {
        let response = browser.get(path);
        response.expect_status(200);
        assert_eq!(response.header(header::CONTENT_TYPE), content_type);
        assert!(response.header(header::CONTENT_SECURITY_POLICY).contains("default-src 'none'"), "{path}");
        assert!(!response.text.contains("://"), "{path} names another host");
    }
}

#[test]
fn unknown_route_returns_problem_document() {
    let demo = Demo::start();
    let mut browser = demo.browser();
    browser.get("/nowhere").expect_problem(404, "not_found");
    browser.get("/auth/nowhere").expect_problem(404, "not_found");
    let response = browser.get("/login");
    response.expect_problem(405, "method_not_allowed");
    assert_eq!(response.header(header::ALLOW), "POST");
    browser.get("/auth/logout").expect_problem(405, "method_not_allowed");
}
