//! Refresh, logout, the list of sessions, and the note of a session.

use http::header;
use serde_json::json;

use crate::{
    browser::{ACCESS, REFRESH},
    process::Demo,
};

#[test]
fn refresh_sets_new_cookies_and_can_be_repeated() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    let mut late_tab = alice.clone();
    let session = alice.access_claims()["sid"].clone();

    alice.post("/auth/refresh").expect_json(&json!({ "success": true, "expires_in": 3600 }));
    assert_ne!(alice.cookie(REFRESH), late_tab.cookie(REFRESH));
    assert_eq!(alice.access_claims()["gen"], 2);
    assert_eq!(alice.access_claims()["sid"], session);

    // A tab that did not get the response sends the old token, and gets the same new one.
    late_tab.post("/auth/refresh").expect_status(200);
    assert_eq!(late_tab.cookie(REFRESH), alice.cookie(REFRESH));
    late_tab.get("/me").expect_status(200);
}

#[test]
fn drill_of_a_theft_raises_the_alarm() {
    let demo = Demo::start_with(&[("REPLAY_WINDOW", "0")]);
    let mut alice = demo.alice();
    alice.post("/theft/use").expect_problem(409, "no_copy");
    let copied = alice.post("/theft/copy");
    copied.expect_status(200);
    assert!(copied.set_cookies()[0].contains("; HttpOnly; SameSite=Strict"), "{copied:?}");
    assert_eq!(copied.json(), json!({ "copied": true }), "no token in the body");
    // The copy is still the newest token: using it would make the user the thief.
    assert_eq!(alice.post("/theft/use").json(), json!({ "outcome": "too_early" }));
    alice.get("/me").expect_status(200);
    alice.post("/auth/refresh").expect_status(200);
    assert_eq!(alice.post("/theft/use").json(), json!({ "outcome": "refused" }));
    alice.get("/me").expect_problem(401, "invalid_token");
    alice.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
}

#[test]
fn copy_of_a_session_that_is_not_bound_is_accepted() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    let tried = alice.post("/theft/elsewhere");
    let answer = json!({ "success": true, "expires_in": 3600 });
    let tried = (tried.expect_status(200).json(), tried.set_cookies().len());
    let told = &tried.0;
    assert_eq!((&told["status"], &told["bound"], &told["answer"]), (&json!(200), &json!(false), &answer));
    assert!(told["access_for"].as_u64().is_some_and(|seconds| seconds <= 3600), "{told}");
    assert_eq!(tried.1, 0, "the tokens stay where they are");
    // The drill costs nothing.
    alice.post("/auth/refresh").expect_status(200);
    alice.get("/me").expect_status(200);
    demo.browser().post("/theft/elsewhere").expect_problem(401, "missing_credentials");
}

#[test]
fn reused_refresh_token_ends_session() {
    let demo = Demo::start_with(&[("REPLAY_WINDOW", "0")]);
    let mut alice = demo.alice();
    let mut thief = alice.clone();
    alice.post("/auth/refresh").expect_status(200);
    thief.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    alice.get("/me").expect_problem(401, "invalid_token");
    alice.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
}

#[test]
fn refresh_without_refresh_token_is_refused() {
    let demo = Demo::start();
    demo.browser().post("/auth/refresh").expect_problem(401, "missing_credentials");
    demo.alice().page_of_another_site().post("/auth/refresh").expect_problem(403, "cross_site_request");
}

#[test]
fn logout_takes_effect_at_once_for_copied_cookies() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    let mut copy = alice.clone();
    let response = alice.post("/auth/logout");
    response.expect_json(&json!({ "success": true }));
    assert_eq!(response.set_cookies().len(), 2);
    assert!(!alice.has_cookies());
    alice.get("/me").expect_problem(401, "missing_credentials");

    copy.get("/me").expect_problem(401, "invalid_token");
    copy.get("/hello").expect_json(&json!({ "hello": "stranger" }));
    copy.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    // A logout without a session succeeds, too.
    alice.post("/auth/logout").expect_json(&json!({ "success": true }));
}

#[test]
fn user_lists_and_ends_sessions() {
    let demo = Demo::start();
    let mut laptop = demo.alice();
    let mut phone = demo.alice();
    let mut bob = demo.bob();

    let response = laptop.get("/auth/sessions");
    response.expect_status(200);
    let listed = response.json();
    let rows = listed["sessions"].as_array().expect("a list");
    assert_eq!(rows.len(), 2, "{listed}");
    for row in rows {
        assert_eq!(row["user_agent"], "test-browser/1.0");
        assert!(row["ip"] == "127.0.0.1" || row["ip"] == "::1", "{row}");
        assert_eq!(row["current"], row["id"] == laptop.access_claims()["sid"]);
    }

    let of_phone = format!("/auth/sessions/{}", phone.access_claims()["sid"].as_str().expect("an id"));
    bob.delete(&of_phone).expect_problem(404, "session_not_found");
    phone.get("/me").expect_status(200);
    laptop.page_of_another_site().delete(&of_phone).expect_problem(403, "cross_site_request");
    laptop.delete(&of_phone).expect_json(&json!({ "success": true }));
    phone.get("/me").expect_problem(401, "invalid_token");
    laptop.get("/me").expect_status(200);

    let mut tablet = demo.alice();
    laptop.post("/auth/logout-all").expect_json(&json!({ "success": true }));
    assert!(!laptop.has_cookies());
    tablet.get("/me").expect_problem(401, "invalid_token");
    bob.get("/me").expect_status(200);
}

#[test]
fn login_ends_presented_session() {
    let demo = Demo::start();
    let mut browser = demo.alice();
    let mut before = browser.clone();
    browser.log_in("bob", "builder").expect_status(200);
    before.get("/me").expect_problem(401, "invalid_token");
    before.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    assert_eq!(browser.get("/me").json()["user_id"], "bob");
}

#[test]
fn login_over_limit_ends_oldest_session() {
    let demo = Demo::start_with(&[("MAX_SESSIONS", "1")]);
    let mut first = demo.alice();
    let mut second = demo.alice();
    first.get("/me").expect_problem(401, "invalid_token");
    second.get("/me").expect_status(200);
}

#[test]
fn note_belongs_to_its_session() {
    let demo = Demo::start();
    let mut laptop = demo.alice();
    let mut phone = demo.alice();
    laptop.get("/notes").expect_json(&json!({ "text": "" }));
    laptop.send("PUT", "/notes", &json!({ "text": "buy milk" })).expect_json(&json!({ "text": "buy milk" }));
    laptop.post("/auth/refresh").expect_status(200);
    let read = laptop.get("/notes");
    read.expect_json(&json!({ "text": "buy milk" }));
    assert_eq!(read.header(header::CACHE_CONTROL), "no-store");
    phone.get("/notes").expect_json(&json!({ "text": "" }));

    let other = json!({ "text": "from another site" });
    laptop.page_of_another_site().send("PUT", "/notes", &other).expect_problem(403, "cross_site_request");
    laptop.request("PUT", "/notes", Some("application/json"), "{").expect_problem(400, "invalid_body");
    laptop.get("/notes").expect_json(&json!({ "text": "buy milk" }));

    laptop.forget(ACCESS);
    laptop.send("PUT", "/notes", &other).expect_problem(401, "invalid_token");
}
