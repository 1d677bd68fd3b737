//! Changes of users by administrators, and when they take effect.

use serde_json::json;

use crate::process::Demo;

#[test]
fn role_change_applies_to_next_request() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    let mut bob = demo.bob();
    let response = alice.send("PUT", "/admin/users/bob/role", &json!({ "role": "admin" }));
    response.expect_json(&json!({ "user_id": "bob", "role": "admin" }));

    // The old token is refused, and the refresh that clients then send brings the new role.
    bob.get("/me").expect_problem(401, "invalid_token");
    bob.post("/auth/refresh").expect_status(200);
    assert_eq!(bob.get("/me").json()["role"], "admin");
    bob.get("/admin").expect_status(200);
    alice.get("/me").expect_status(200);

    alice.send("PUT", "/admin/users/bob/role", &json!({ "role": "user" })).expect_status(200);
    bob.get("/admin").expect_problem(401, "invalid_token");
    bob.post("/auth/refresh").expect_status(200);
    bob.get("/admin").expect_problem(403, "admins_only");
}

#[test]
fn deleting_user_ends_sessions_at_once() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    let (mut laptop, mut phone) = (demo.bob(), demo.bob());
    alice.delete("/admin/users/bob").expect_json(&json!({ "success": true, "ended": 2 }));
    laptop.get("/me").expect_problem(401, "invalid_token");
    phone.post("/auth/refresh").expect_problem(401, "invalid_refresh_token");
    demo.browser().log_in("bob", "builder").expect_problem(401, "wrong_credentials");
    alice.delete("/admin/users/bob").expect_problem(404, "no_such_user");
    alice.get("/me").expect_status(200);
}

#[test]
fn administrator_can_delete_own_account() {
    let demo = Demo::start();
    let mut alice = demo.alice();
    alice.delete("/admin/users/alice").expect_json(&json!({ "success": true, "ended": 1 }));
    alice.get("/me").expect_problem(401, "invalid_token");
}

#[test]
fn invalid_and_unauthorized_admin_requests_are_refused() {
    let demo = Demo::start();
    let (mut alice, mut bob) = (demo.alice(), demo.bob());
    let role = json!({ "role": "user" });
    alice.send("PUT", "/admin/users/mallory/role", &role).expect_problem(404, "no_such_user");
    alice.delete("/admin/users/mallory").expect_problem(404, "no_such_user");
    alice.delete(&format!("/admin/users/{}", "m".repeat(300))).expect_problem(404, "no_such_user");
    alice.send("PUT", "/admin/users/bob/role", &json!({ "role": "king" })).expect_problem(422, "invalid_body");
    alice.request("PUT", "/admin/users/bob/role", Some("application/json"), "{").expect_problem(400, "invalid_body");
    alice.send("PUT", "/admin/users/%ff/role", &role).expect_problem(400, "invalid_path");

    bob.send("PUT", "/admin/users/bob/role", &json!({ "role": "admin" })).expect_problem(403, "admins_only");
    bob.delete("/admin/users/alice").expect_problem(403, "admins_only");
    demo.browser().delete("/admin/users/alice").expect_problem(401, "missing_credentials");

    let mut site = alice.page_of_another_site();
    site.delete("/admin/users/bob").expect_problem(403, "cross_site_request");
    site.send("PUT", "/admin/users/bob/role", &role).expect_problem(403, "cross_site_request");
    bob.get("/me").expect_status(200);
}
