//! Logins, logouts and devices by forms.

use crate::{
    site::Site,
    support::{ACCESS, Backend, REFRESH, hours, on_every_store, seconds},
};

on_every_store!(
    wrong_password_logs_nobody_in,
    login_without_remember_me_ends_with_the_browser,
    logout_in_one_tab_is_a_logout_in_the_other,
    logout_everywhere_ends_every_device,
    device_is_ended_from_another,
    new_password_ends_the_other_devices,
    forms_of_other_sites_are_refused,
);

async fn wrong_password_logs_nobody_in(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.browser();
    for fields in [[("username", "bob"), ("password", "wonderland")], [("username", "eve"), ("password", "builder")]] {
        let response = browser.submit("/login", &fields).await;
        assert!(response.is(401).body.contains("User name or password is wrong."));
        assert!(response.set_cookies().is_empty());
    }
}

async fn login_without_remember_me_ends_with_the_browser(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.browser();
    let fields = [("username", "bob"), ("password", "builder"), ("next", "/dashboard")];
    let login = browser.submit("/login", &fields).await;
    assert!(login.leads_to("/dashboard").set_cookies().iter().all(|line| !line.contains("Max-Age")));
    site.clock.advance(hours(2));
    let renewed = browser.navigate("/dashboard").await;
    assert_eq!(renewed.shows("Welcome, bob").set_cookies().len(), 2);
    assert!(renewed.set_cookies().iter().all(|line| !line.contains("Max-Age")), "a renewal keeps it");
    let remembered = site.logged_in("bob", true).await;
    assert!(remembered.cookie(REFRESH).is_some());
    let again = site.browser().submit("/login", &[&fields[..], &[("remember", "on")]].concat()).await;
    assert!(again.set_cookies().iter().all(|line| line.contains("Max-Age")));
}

async fn logout_in_one_tab_is_a_logout_in_the_other(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    let mut other = browser.clone();
    browser.submit("/logout", &[]).await.leads_to("/login");
    assert_eq!((browser.cookie(ACCESS), browser.cookie(REFRESH)), (None, None));
    // With its old cookies.
    other.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
}

async fn logout_everywhere_ends_every_device(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut laptop, mut phone) = (site.logged_in("alice", true).await, site.logged_in("alice", true).await);
    laptop.submit("/logout-all", &[]).await.leads_to("/login");
    phone.navigate("/devices").await.leads_to("/login?next=%2Fdevices");
}

async fn device_is_ended_from_another(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut laptop, mut phone) = (site.logged_in("alice", true).await, site.logged_in("alice", true).await);
    let id = laptop.navigate("/devices").await.other_device();
    let mut bob = site.logged_in("bob", true).await;
    bob.submit(&format!("/devices/{id}/end"), &[]).await.leads_to("/devices");
    phone.navigate("/dashboard").await.shows("Welcome, alice");
    laptop.submit(&format!("/devices/{id}/end"), &[]).await.leads_to("/devices");
    phone.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    laptop.navigate("/dashboard").await.shows("Welcome, alice");
}

async fn new_password_ends_the_other_devices(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut laptop, mut phone) = (site.logged_in("bob", true).await, site.logged_in("bob", true).await);
    laptop.submit("/password", &[("current", "wrong"), ("new", "a long new one")]).await.is(422);
    phone.navigate("/dashboard").await.shows("Welcome, bob");
    laptop.submit("/password", &[("current", "builder"), ("new", "a long new one")]).await.leads_to("/dashboard");
    phone.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    laptop.navigate("/dashboard").await.shows("Password changed.");
    // Any login that begins with the change is refused.
    site.clock.advance(seconds(1));
    let refused = site.browser().submit("/login", &[("username", "bob"), ("password", "builder")]).await;
    assert!(refused.is(401).body.contains("User name or password is wrong."), "{}", refused.body);
    let fields = [("username", "bob"), ("password", "a long new one"), ("next", "/devices")];
    site.browser().submit("/login", &fields).await.leads_to("/devices");
}

async fn forms_of_other_sites_are_refused(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    let elsewhere = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("origin", "https://evil.test")];
    for path in
        ["/login", "/notes", "/logout", "/logout-all", "/password", "/admin/users/bob/role", "/admin/users/bob/act"]
    {
        browser.send(&format!("POST {path}"), &elsewhere).await.is(403);
    }
    browser.navigate("/dashboard").await.shows("Welcome, alice");
}
