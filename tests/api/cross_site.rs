//! Requests from other sites change nothing.

use tower_jwt_sessions::event::SessionEventKind as Event;

use crate::support::*;

type Headers = &'static [(&'static str, &'static str)];

const OTHERS: [Headers; 22] = [
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "SAME-ORIGIN")],
    &[("sec-fetch-site", "unknown")],
    &[("sec-fetch-site", "cross-site"), ("origin", "https://app.test")],
    &[("sec-fetch-site", "same-site"), ("origin", "https://www.app.test")],
    &[("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
    &[("origin", "https://app.test"), ("origin", "https://evil.test")],
    &[("sec-fetch-site", "same-origin"), ("origin", "https://app.test"), ("origin", "https://app.test")],
    &[("origin", "https://evil.test")],
    &[("origin", "null")],
    &[("origin", "https://app.test.evil.test")],
    &[("origin", "https://evilapp.test")],
    &[("origin", "https://evil@app.test")],
    &[("origin", "https://app.test:8443")],
    &[("origin", "https://www.app.test")],
    &[("origin", "https://app.test@evil.test")],
    &[("origin", "ftp://app.test")],
    &[("origin", "app.test")],
    &[("origin", "https://evil.test"), ("x-forwarded-host", "evil.test")],
    &[("origin", "https://app.test"), ("host", "app.test:8443")],
];

const OWN: [Headers; 8] = [
    &[],
    &[("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "none")],
    &[("sec-fetch-site", "same-origin"), ("origin", "https://app.test")],
    // `Sec-Fetch-Site` decides, also behind a proxy.
    &[("sec-fetch-site", "same-origin"), ("origin", "https://app.test"), ("host", "10.0.0.7:8080")],
    &[("origin", "https://app.test")],
    &[("origin", "https://app.test:8443"), ("host", "app.test:8443")],
    &[("origin", "")],
];

#[tokio::test]
async fn requests_from_other_sites_are_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let own = format!("DELETE /auth/sessions/{}", claims_of(&browser.access())["sid"].as_str().expect("an id"));
    world.events();
    for headers in OTHERS {
        for what in ["POST /auth/refresh", "POST /auth/logout", "POST /auth/logout-all", &own, "POST /login/alice"] {
            browser.send(what, headers).await.is_problem(403, "cross_site_request");
        }
        assert_eq!(world.events(), [], "{headers:?}");
    }
    browser.get("/me").await.is(200);
    browser.refresh().await.is(200);
    assert_eq!(claims_of(&browser.refresh_token())["gen"], 2);
}

#[tokio::test]
async fn requests_from_own_pages_are_accepted() {
    let world = World::new(Backend::Memory).await;
    for headers in OWN {
        let (mut browser, mut other) = (world.browser(), world.browser());
        browser.send("POST /login/alice", headers).await.is(200);
        other.login("alice").await;
        let id = claims_of(&other.access())["sid"].as_str().expect("an id").to_owned();
        browser.send(&format!("DELETE /auth/sessions/{id}"), headers).await.is(200);
        browser.send("POST /auth/refresh", headers).await.is(200);
        browser.send("POST /auth/logout", headers).await.is(200);
        browser.login("alice").await;
        browser.send("POST /auth/logout-all", headers).await.is(200);
        assert_eq!(world.count("alice").await, 0, "{headers:?}");
    }
}

#[tokio::test]
async fn safe_methods_pass_guard_and_change_nothing() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    for headers in OTHERS {
        browser.send("GET /auth/sessions", headers).await.is(200);
        browser.send("HEAD /auth/sessions", headers).await.is(200);
        browser.send("GET /me", headers).await.is(200);
        // Methods that pass the guard only read.
        for path in ["refresh", "logout", "logout-all"] {
            for method in ["GET", "HEAD", "OPTIONS"] {
                browser.send(&format!("{method} /auth/{path}"), headers).await.is(405);
            }
        }
    }
    assert_eq!(world.events(), []);
}

#[tokio::test]
async fn only_exact_trusted_origins_are_accepted() {
    let world = World::with(Backend::Memory, |builder| {
        builder.trusted_origin("https://www.app.test").trusted_origin("http://localhost:5173")
    })
    .await;
    let mut browser = world.browser();
    for (site, origin, status) in [
        ("same-site", "https://www.app.test", 200),
        ("cross-site", "http://localhost:5173", 200),
        ("", "http://localhost:5173", 200),
        ("same-site", "https://www.app.test:8443", 403),
        ("same-site", "http://www.app.test", 403),
        ("same-site", "https://www.app.test/", 403),
        ("same-site", "HTTPS://WWW.APP.TEST", 403),
        ("cross-site", "http://localhost:5174", 403),
        ("cross-site", "", 403),
        ("cross-site", "null", 403),
    ] {
        browser.login("alice").await;
        let headers = [("sec-fetch-site", site), ("origin", origin)];
        for what in ["POST /login/alice", "POST /auth/refresh", "POST /auth/logout"] {
            browser.send(what, &headers).await.is(status);
        }
        assert_eq!(world.count("alice").await, usize::from(status == 403), "{headers:?}");
    }
}

#[tokio::test]
async fn login_from_other_site_is_refused_without_session() {
    let world = World::new(Backend::Memory).await;
    for headers in OTHERS {
        let mut victim = world.browser();
        victim.send("POST /login/mallory", headers).await.is_problem(403, "cross_site_request");
        assert_eq!(victim.cookies(), "");
    }
    assert_eq!(world.events(), Vec::<Event>::new());
    assert_eq!(world.count("mallory").await, 0);
}
