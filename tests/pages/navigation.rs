//! What a user sees who comes back after a while, or while something is down.

use crate::{
    site::Site,
    support::{Backend, Browser, TestResponse, hostile::HOSTILE, hours, on_every_store, seconds},
};

on_every_store!(
    anonymous_visitor_goes_to_the_login_and_back,
    hostile_next_leads_to_the_dashboard,
    user_is_known_after_two_hours,
    user_is_unknown_after_eight_days,
    form_is_kept_after_an_hour,
    new_role_counts_on_the_next_page,
    parallel_pages_with_an_expired_token_log_nobody_out,
    page_during_an_outage_keeps_the_cookies,
    error_of_a_handler_is_a_page,
);

async fn anonymous_visitor_goes_to_the_login_and_back(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.browser();
    browser.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
    browser.navigate("/login?next=%2Fdevices").await.shows(r#"name="next" value="/devices""#);
    let fields = [("username", "bob"), ("password", "builder"), ("next", "/devices")];
    browser.submit("/login", &fields).await.leads_to("/devices");
    browser.navigate("/devices").await.shows("(this device)");
    browser.navigate("/login?next=%2Fpassword").await.leads_to("/password");
}

async fn hostile_next_leads_to_the_dashboard(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut stranger, mut bob) = (site.browser(), site.logged_in("bob", true).await);
    for hostile in HOSTILE {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", hostile).finish();
        let path = format!("/login?{query}");
        stranger.navigate(&path).await.shows(r#"name="next" value="/dashboard""#);
        bob.navigate(&path).await.leads_to("/dashboard");
    }
    // A field of the form is not trusted either, although the form came from this site.
    for hostile in ["//evil.example", "https://evil.example", "/\\evil.example", "/%2fevil.example", "/\t/evil.example"]
    {
        let fields = [("username", "bob"), ("password", "builder"), ("next", hostile)];
        stranger.submit("/login", &fields).await.leads_to("/dashboard");
        let refused = stranger.submit("/login", &[("username", "bob"), ("password", ""), ("next", hostile)]).await;
        assert!(refused.is(401).body.contains(r#"name="next" value="/dashboard""#), "{hostile:?}: {}", refused.body);
    }
}

async fn user_is_known_after_two_hours(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    browser.navigate("/dashboard").await.shows("Welcome, alice");
    let old = (browser.access(), browser.refresh_token());
    site.clock.advance(hours(2));
    browser.navigate("/dashboard").await.shows("Welcome, alice");
    assert_ne!((browser.access(), browser.refresh_token()), old);
    // The next one needs no renewal.
    assert!(browser.navigate("/dashboard").await.set_cookies().is_empty());
}

async fn user_is_unknown_after_eight_days(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    site.clock.advance(hours(8 * 24));
    browser.navigate("/dashboard").await.leads_to("/login?next=%2Fdashboard");
}

async fn form_is_kept_after_an_hour(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    site.clock.advance(hours(1) + seconds(1));
    browser.submit("/notes", &[("text", "an hour of work")]).await.leads_to("/dashboard");
    browser.navigate("/dashboard").await.shows("an hour of work").shows("Note added.");
    assert!(!browser.navigate("/dashboard").await.body.contains("Note added."));
}

async fn new_role_counts_on_the_next_page(backend: Backend) {
    let site = Site::new(backend).await;
    let (mut alice, mut bob) = (site.logged_in("alice", true).await, site.logged_in("bob", true).await);
    bob.navigate("/admin").await.is(403);
    alice.submit("/admin/users/bob/role", &[("role", "admin")]).await.leads_to("/admin");
    bob.navigate("/admin").await.shows("Make bob");
    alice.submit("/admin/users/bob/role", &[("role", "user")]).await.leads_to("/admin");
    bob.navigate("/admin").await.is(403);
    bob.submit("/admin/users/alice/role", &[("role", "user")]).await.is(403);
}

async fn parallel_pages_with_an_expired_token_log_nobody_out(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    for round in 1..=1000 {
        // A round takes an hour, and a session 30 days at most.
        if round % 500 == 0 {
            browser = site.logged_in("alice", true).await;
        }
        site.clock.advance(hours(1) + seconds(1));
        let tabs: Vec<_> = (0..20)
            .map(|_| {
                let mut tab = browser.clone();
                tokio::spawn(async move { open_dashboard(&mut tab).await })
            })
            .collect();
        for tab in tabs {
            let page = tab.await.expect("a page");
            page.shows("Welcome, alice");
            browser.keep(&page);
        }
    }
}

/// Opens the page, and again if it took too long: it waits 200 ms for the renewal, which a machine that runs many tests
/// may need for twenty pages at once. A logout would be a redirect.
async fn open_dashboard(tab: &mut Browser) -> TestResponse {
    for _ in 0..100 {
        let page = tab.navigate("/dashboard").await;
        if page.status != 503 {
            return page;
        }
    }
    panic!("the page was never made in time");
}

async fn page_during_an_outage_keeps_the_cookies(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    site.clock.advance(hours(2));
    site.store.set_down(true);
    let refresh = browser.refresh_token();
    let page = browser.navigate("/password").await;
    page.is(503);
    assert!(page.body.contains("The session store is unavailable."), "{}", page.body);
    assert_eq!((page.set_cookies(), browser.refresh_token()), (vec![], refresh));
    site.store.set_down(false);
    browser.navigate("/password").await.shows("Change");
}

async fn error_of_a_handler_is_a_page(backend: Backend) {
    let site = Site::new(backend).await;
    let mut browser = site.logged_in("alice", true).await;
    site.store.set_down(true);
    for path in ["/dashboard", "/devices", "/admin"] {
        browser.navigate(path).await.is(503).is_page("The session store is unavailable.");
    }
    let fields = [("username", "alice"), ("password", "wonderland")];
    browser.submit("/login", &fields).await.is(503).is_page("The session store is unavailable.");
    browser.submit("/notes", &[("text", "lost")]).await.is(503).is_page("The session store is unavailable.");
    site.store.set_down(false);
    browser.navigate("/dashboard").await.shows("Welcome, alice.");
}
