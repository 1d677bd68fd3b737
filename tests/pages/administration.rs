//! Administrators: a recent login, and acting as a user.

use tower_jwt_sessions::pages::NextPath;

use crate::{
    site::Site,
    support::{ACCESS, Backend, REFRESH, hours, on_every_store, seconds},
};

on_every_store!(
    impersonation_and_its_end,
    impersonation_ends_after_an_hour,
    impersonation_ends_with_the_logout_of_the_administrator,
    only_administrators_act_as_users,
    acting_administrator_cannot_change_the_account,
    end_of_acting_changes_nothing_for_others,
    administration_asks_for_a_recent_login,
    user_is_not_asked_for_a_recent_login,
);

async fn impersonation_and_its_end(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut alice, mut bob) = (site.logged_in("alice", true).await, site.logged_in("bob", true).await);
    alice.navigate("/admin").await.shows(r#"action="/admin/users/bob/act""#);
    let mut before = alice.clone();
    let acting = alice.submit("/admin/users/bob/act", &[]).await;
    assert!(acting.leads_to("/dashboard").set_cookies().iter().all(|line| !line.contains("Max-Age")));
    // Also after a renewal.
    for wait in [0, 3300] {
        site.clock.advance(seconds(wait));
        let page = alice.navigate("/dashboard").await;
        page.shows("Welcome, bob.").shows("<strong>alice</strong> is acting as <strong>bob</strong>.");
        assert!(!page.body.contains(r#"href="/admin""#), "{}", page.body);
        bob.navigate("/devices").await.shows("alice acting as you");
    }
    before.clone().navigate("/dashboard").await.shows("Welcome, alice.");

    alice.submit("/act/end", &[]).await.leads_to("/admin");
    before.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    assert_eq!((alice.cookie(ACCESS), alice.cookie(REFRESH)), (None, None));
    assert!(!bob.navigate("/devices").await.body.contains("acting"), "the session has ended");
    bob.navigate("/dashboard").await.shows("Welcome, bob.");
    alice.navigate("/admin").await.leads_to("/login?next=%2Fadmin");
    let fields = [("username", "alice"), ("password", "wonderland"), ("next", "/admin")];
    alice.submit("/login", &fields).await.leads_to("/admin");
    let page = alice.navigate("/admin").await;
    assert!(!page.shows("Make bob").body.contains("is acting as"));
}

async fn impersonation_ends_after_an_hour(backend: Backend) {
    let site = Site::new(backend).await;
    let mut alice = site.logged_in("alice", true).await;
    alice.submit("/admin/users/bob/act", &[]).await.leads_to("/dashboard");
    site.clock.advance(hours(1) - seconds(1));
    alice.navigate("/dashboard").await.shows("Welcome, bob.");
    site.clock.advance(seconds(1));
    alice.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
}

async fn impersonation_ends_with_the_logout_of_the_administrator(backend: Backend) {
    let site = Site::new(backend).await;
    let mut alice = site.logged_in("alice", true).await;
    alice.submit("/admin/users/bob/act", &[]).await.leads_to("/dashboard");
    let mut elsewhere = site.logged_in("alice", true).await;
    elsewhere.submit("/logout-all", &[]).await.leads_to("/login");
    alice.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
}

async fn only_administrators_act_as_users(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut alice, mut bob) = (site.logged_in("alice", true).await, site.logged_in("bob", true).await);
    bob.submit("/admin/users/alice/act", &[]).await.is(403);
    bob.navigate("/dashboard").await.shows("Welcome, bob.");
    alice.submit("/admin/users/eve/act", &[]).await.is(403).is_page("The user does not exist.");
    alice.navigate("/dashboard").await.shows("Welcome, alice.");
    site.browser().submit("/admin/users/bob/act", &[]).await.leads_to("/login");
    // Not by way of another administrator either.
    alice.submit("/admin/users/bob/role", &[("role", "admin")]).await.leads_to("/admin");
    alice.submit("/admin/users/bob/act", &[]).await.leads_to("/dashboard");
    alice.navigate("/admin").await.is(403);
    alice.submit("/admin/users/alice/act", &[]).await.is(403);
}

async fn acting_administrator_cannot_change_the_account(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut alice, mut bob) = (site.logged_in("alice", true).await, site.logged_in("bob", true).await);
    alice.submit("/admin/users/bob/act", &[]).await.leads_to("/dashboard");
    let page = alice.navigate("/devices").await;
    assert!(!page.shows("(this device)").body.contains("/devices/"), "no button for bob's device: {}", page.body);
    let id = bob.navigate("/devices").await.other_device();
    bob.navigate("/dashboard").await.shows("Welcome, bob.");
    alice.navigate("/password").await.is(403);
    alice.submit("/password", &[("current", "builder"), ("new", "a long new one")]).await.is(403);
    // The routes of the crate are mounted here, too.
    let listed = alice.get("/sessions").await.is(200).json();
    let rows = listed["sessions"].as_array().expect("a list");
    let of_bob = rows.iter().find(|row| row["current"] == false).and_then(|row| row["id"].as_str()).expect("an id");
    for path in [format!("/devices/{id}/end"), format!("/sessions/{of_bob}/end"), "/logout-all".to_owned()] {
        alice.submit(&path, &[]).await.is(403);
    }
    alice.submit("/notes", &[("text", "from support")]).await.leads_to("/dashboard");
    bob.submit(&format!("/devices/{id}/end"), &[]).await.leads_to("/devices");
    alice.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
}

async fn end_of_acting_changes_nothing_for_others(backend: Backend) {
    let site = Site::new(backend).await;
    let mut alice = site.logged_in("alice", true).await;
    let response = alice.submit("/act/end", &[]).await;
    assert!(response.leads_to("/admin").set_cookies().is_empty());
    alice.navigate("/admin").await.shows("Make bob");
    site.browser().submit("/act/end", &[]).await.leads_to("/login");
}

async fn administration_asks_for_a_recent_login(backend: Backend) {
    let site = Site::new(backend).await;
    let mut alice = site.logged_in("alice", true).await;
    site.clock.advance(seconds(30 * 60));
    alice.navigate("/admin").await.shows("Make bob");
    site.clock.advance(seconds(1));
    alice.navigate("/dashboard").await.shows("Welcome, alice.");
    let login = NextPath::new(alice.navigate("/admin").await.leads_to("/login?next=%2Fadmin").header("location"));
    // Which must not lead back.
    alice.navigate(login.as_str()).await.shows("Please confirm your password").shows(r#"value="alice""#);
    for path in ["/admin/users/bob/role", "/admin/users/bob/act"] {
        alice.submit(path, &[("role", "admin")]).await.leads_to("/login");
    }
    let fields = [("username", "alice"), ("password", "wonderland"), ("next", "/admin")];
    alice.submit("/login", &fields).await.leads_to("/admin");
    alice.navigate("/admin").await.shows("Make bob admin");
    alice.navigate("/login?next=%2Fadmin").await.leads_to("/admin");
    // The session of the old login is replaced.
    assert_eq!(alice.navigate("/devices").await.shows("(this device)").body.matches("Logged in").count(), 1);
}

async fn user_is_not_asked_for_a_recent_login(backend: Backend) {
    let site = Site::new(backend).await;
    let mut bob = site.logged_in("bob", true).await;
    site.clock.advance(hours(2));
    bob.navigate("/admin").await.is(403).is_page("The session does not permit this.");
}
