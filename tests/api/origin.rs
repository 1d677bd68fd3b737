//! The guards, case by case: those that Go tests its `CrossOriginProtection` with, and what this crate adds to it.

use axum::{Router, body::Body, extract::Request, response::IntoResponse as _, routing::any};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_jwt_sessions::{SessionManager, manager::SessionManagerBuilder};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

type Builder = SessionManagerBuilder<Claims>;

async fn manager(configure: impl FnOnce(Builder) -> Builder) -> SessionManager<Claims> {
    World::with(Backend::Memory, configure).await.sessions
}

/// Reports what reached it.
async fn echo(request: Request) -> String {
    let (parts, _) = request.into_parts();
    let value = |name: &str| parts.headers.get_all(name).iter().map(|value| value.to_str().expect("text"));
    let headers: Vec<String> = ["sec-fetch-site", "origin", "host"]
        .iter()
        .flat_map(|name| value(name).map(move |value| format!("{name}: {value}")))
        .collect();
    format!("{} {}\n{}", parts.method, parts.uri.path(), headers.join("\n"))
}

/// A page under each guard and one under none.
fn app(sessions: &SessionManager<Claims>) -> Router {
    Router::new()
        .route("/", any(echo).layer(sessions.cross_site_guard()))
        .route("/api/{*rest}", any(echo).layer(sessions.cross_site_guard()))
        .route("/ws", any(echo).layer(sessions.upgrade_guard()))
        .route("/bypass/", any(echo))
        .route("/only/{one}", any(echo))
        .route("/only/{one}/{two}", any(echo).layer(sessions.cross_site_guard()))
        .layer(sessions.layer())
}

/// Sends a request to `example.com` with these headers; empty ones are left out.
async fn ask(app: &Router, what: &str, site: &str, origin: &str) -> TestResponse {
    let mut headers = vec![("host", "example.com"), ("sec-fetch-site", site), ("origin", origin)];
    headers.retain(|(_, value)| !value.is_empty());
    send(app, what, &headers).await
}

/// Sends it from `https://example.com`, where only the given headers matter.
async fn status(app: &Router, what: &str, headers: &[(&str, &str)]) -> u16 {
    let mut headers = headers.to_vec();
    if !headers.iter().any(|(name, _)| *name == "host") {
        headers.push(("host", "example.com"));
    }
    send(app, what, &headers).await.status
}

#[tokio::test]
async fn go_cases_of_sec_fetch_site() {
    let app = app(&manager(|builder| builder).await);
    for (method, site, origin, expected) in [
        ("POST", "same-origin", "", 200),
        ("POST", "none", "", 200),
        ("POST", "cross-site", "", 403),
        ("POST", "same-site", "", 403),
        ("POST", "", "", 200),
        ("POST", "", "https://example.com", 200),
        ("POST", "", "https://attacker.example", 403),
        ("POST", "", "null", 403),
        ("GET", "cross-site", "", 200),
        ("HEAD", "cross-site", "", 200),
        ("OPTIONS", "cross-site", "", 200),
        ("PUT", "cross-site", "", 403),
        // Other safe methods and unknown ones are checked.
        ("TRACE", "cross-site", "", 403),
        ("CONNECT", "cross-site", "", 403),
        ("DELETE", "cross-site", "", 403),
        ("PATCH", "cross-site", "", 403),
        ("get", "cross-site", "", 403),
        ("QUERY", "cross-site", "", 403),
    ] {
        let response = ask(&app, &format!("{method} /"), site, origin).await;
        assert_eq!(response.status, expected, "{method} {site} {origin}");
    }
}

#[tokio::test]
async fn go_cases_of_trusted_origins() {
    let app = app(&manager(|builder| builder.trusted_origin("https://trusted.example")).await);
    for (origin, site, expected) in [
        ("https://trusted.example", "", 200),
        ("https://trusted.example", "cross-site", 200),
        ("https://attacker.example", "", 403),
        ("https://attacker.example", "cross-site", 403),
    ] {
        assert_eq!(ask(&app, "POST /", site, origin).await.status, expected, "{site} {origin}");
    }
}

/// Exempt is a route that is not under the guard, so that the guard cannot take one path for another: nothing is
/// cleaned, decoded or redirected between them (CVE-2025-47910).
#[tokio::test]
async fn go_cases_of_exempt_paths() {
    let app = app(&manager(|builder| builder).await);
    for (path, site, expected) in [
        ("/bypass/", "", 200),
        ("/bypass/", "cross-site", 200),
        ("/api/x", "", 403),
        ("/api/x", "cross-site", 403),
        ("/foo/../bypass/", "", 404),
        ("/bypass", "", 404),
        ("/foo/../api/bar", "", 404),
        ("/api", "", 404),
        ("/only/123", "", 200),
        ("/only/123/foo", "", 403),
        ("/%62ypass/", "", 404),
        ("//bypass/", "", 404),
        ("/bypass/../api/x", "", 404),
        ("/api/../bypass/", "", 403),
        ("/api/%2e%2e/bypass/", "", 403),
    ] {
        let response = ask(&app, &format!("POST {path}"), site, "https://attacker.example").await;
        assert_eq!(response.status, expected, "{site} {path}");
    }
}

#[tokio::test]
async fn go_cases_of_server() {
    let sessions = manager(|builder| builder.trusted_origin("https://trusted.example")).await;
    let app = app(&sessions);
    for (path, origin, site, expected) in [
        ("/", "https://attacker.example", "cross-site", 403),
        ("/", "", "same-origin", 200),
        ("/", "http://127.0.0.1:3000", "", 200),
        ("/", "https://trusted.example", "", 200),
        ("/", "https://attacker.example", "", 403),
        ("/bypass/", "https://attacker.example", "", 200),
    ] {
        let mut headers = vec![("host", "127.0.0.1:3000"), ("origin", origin), ("sec-fetch-site", site)];
        headers.retain(|(_, value)| !value.is_empty());
        assert_eq!(send(&app, &format!("POST {path}"), &headers).await.status, expected, "{path} {origin}");
    }
}

/// Origins that a browser without `Sec-Fetch-Site` may name.
const NOT_OURS: [&str; 14] = [
    "http://example.com",
    "https://example.com:8443",
    "https://evil@example.com",
    "http://evil@example.com",
    "https://example.com.evil.test",
    "https://evilexample.com",
    "https://www.example.com",
    "https://example.com/",
    "https://EXAMPLE.com",
    "https://example.com:443",
    "https://example.com https://evil.test",
    "null",
    "data:text/html,x",
    "example.com",
];

#[tokio::test]
async fn known_own_origin_is_compared_whole() {
    let app = app(&manager(|builder| builder.own_origin("https://example.com")).await);
    for what in ["POST /", "POST /ws", "GET /ws"] {
        assert_eq!(ask(&app, what, "", "https://example.com").await.status, 200, "{what}");
        for origin in NOT_OURS {
            assert_eq!(ask(&app, what, "", origin).await.status, 403, "{what} {origin}");
        }
        // An empty header counts as absent, as in Go.
        let empty = [("sec-fetch-site", ""), ("origin", "http://example.com")];
        assert_eq!(status(&app, what, &empty).await, 403);
        // Requests with other evidence of their origin are accepted as before.
        for (site, origin, expected) in [
            ("same-origin", "https://example.com", 200),
            ("same-origin", "", 200),
            ("none", "", 200),
            ("", "", 200),
            ("same-origin", "https://elsewhere.example", 200),
            ("cross-site", "https://example.com", 403),
            ("same-site", "https://example.com", 403),
            ("cross-site", "", 403),
        ] {
            assert_eq!(ask(&app, what, site, origin).await.status, expected, "{what} {site} {origin}");
        }
    }
}

#[tokio::test]
async fn host_is_compared_without_own_origin() {
    let app = app(&manager(|builder| builder).await);
    for what in ["POST /", "GET /ws"] {
        for origin in NOT_OURS {
            // `Host` has no scheme: http passes for https. Case and default port do not count.
            let passes = ["http://example.com", "https://EXAMPLE.com", "https://example.com:443"].contains(&origin);
            let expected = if passes { 200 } else { 403 };
            assert_eq!(ask(&app, what, "", origin).await.status, expected, "{what} {origin}");
        }
    }
}

#[tokio::test]
async fn forwarded_headers_are_ignored() {
    let known = app(&manager(|builder| builder.own_origin("https://example.com")).await);
    let unknown = app(&manager(|builder| builder).await);
    // A proxy that changes the host has no effect where the own origin is known.
    let inner = [("host", "10.0.0.7:8080"), ("origin", "https://example.com")];
    assert_eq!((status(&known, "POST /", &inner).await, status(&unknown, "POST /", &inner).await), (200, 403));
    for spoofed in ["x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-host", "x-host"] {
        for value in ["evil.test", "http", "host=evil.test;proto=http"] {
            let headers = [("origin", "https://evil.test"), (spoofed, value)];
            assert_eq!(status(&known, "POST /", &headers).await, 403, "{spoofed}");
            assert_eq!(status(&unknown, "POST /", &headers).await, 403, "{spoofed}");
        }
    }
    let evil_host = [("host", "evil.test"), ("origin", "https://evil.test")];
    assert_eq!((status(&known, "POST /", &evil_host).await, status(&known, "GET /ws", &evil_host).await), (403, 403));
}

#[tokio::test]
async fn trusted_origins_are_accepted_beside_own_origin() {
    let both = |builder: Builder| builder.own_origin("https://example.com").trusted_origin("https://www.example.com");
    let app = app(&manager(both).await);
    for what in ["POST /", "GET /ws"] {
        for site in ["", "same-site", "cross-site"] {
            assert_eq!(ask(&app, what, site, "https://www.example.com").await.status, 200, "{what} {site}");
            assert_eq!(ask(&app, what, site, "http://www.example.com").await.status, 403, "{what} {site}");
        }
    }
}

#[tokio::test]
async fn duplicate_headers_are_refused() {
    let app = app(&manager(|builder| builder.trusted_origin("https://trusted.example")).await);
    for (one, other) in [
        (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")),
        (("sec-fetch-site", "none"), ("sec-fetch-site", "")),
        (("origin", "https://trusted.example"), ("origin", "https://trusted.example")),
        (("origin", "https://example.com"), ("origin", "https://evil.test")),
        (("origin", ""), ("origin", "")),
        // Which of them a proxy has checked is unknown.
        (("host", "example.com"), ("host", "example.com")),
        (("host", "evil.test"), ("host", "example.com")),
    ] {
        for what in ["POST /", "TRACE /", "GET /ws"] {
            assert_eq!(status(&app, what, &[one, other]).await, 403, "{what} {one:?} {other:?}");
        }
        assert_eq!(status(&app, "GET /", &[one, other]).await, 200);
    }
}

#[tokio::test]
async fn requests_without_origin_are_refused_when_strict() {
    let world = World::with(Backend::Memory, |builder| builder.refuse_without_origin()).await;
    let app = app(&world.sessions).merge(world.app.clone());
    let mut browser = world.browser();
    browser.login("alice").await;
    let (access, refresh) = (format!("{ACCESS}=x"), format!("{REFRESH}={}", browser.refresh_token()));
    for cookies in [browser.cookies(), access.clone(), refresh, format!("{access}; {access}"), format!("a=b;{access}")]
    {
        let bare = [("cookie", &*cookies)];
        for what in ["POST /", "DELETE /", "GET /ws", "POST /auth/logout", "POST /auth/refresh", "POST /login/bob"] {
            send(&app, what, &bare).await.is_problem(403, "cross_site_request");
            let empty = [("cookie", &*cookies), ("origin", ""), ("sec-fetch-site", "")];
            send(&app, what, &empty).await.is_problem(403, "cross_site_request");
        }
        send(&app, "GET /", &bare).await.is(200);
        for told in [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("origin", "https://app.test")] {
            for what in ["POST /", "GET /ws"] {
                send(&app, what, &[("cookie", &*cookies), told]).await.is(200);
            }
        }
    }
    // Without session cookies there is nothing to abuse: tools and native clients need no change.
    for cookies in ["", "a=b", "access=x", "__host-access=x"] {
        send(&app, "POST /", &[("cookie", cookies)]).await.is(200);
        send(&app, "GET /ws", &[("cookie", cookies)]).await.is(200);
    }
    browser.send("POST /auth/logout", &[("sec-fetch-site", "same-origin")]).await.is(200);
}

#[tokio::test]
async fn report_only_guard_logs_and_accepts() {
    let strict = |builder: Builder| builder.own_origin("https://example.com").refuse_without_origin();
    let reporting = |builder: Builder| strict(builder).report_cross_site_requests_only();
    let (refusing, reporting) = (app(&manager(strict).await), app(&manager(reporting).await));
    Log::capture(LevelFilter::TRACE);
    let cookie = format!("{ACCESS}=x");
    for headers in [
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.test\tAAAA")],
        vec![("origin", "https://evil.test")],
        vec![("origin", "http://example.com")],
        vec![("sec-fetch-site", "same-site"), ("origin", "https://example.com")],
        vec![("origin", "https://example.com"), ("origin", "https://example.com")],
        vec![("cookie", &*cookie)],
    ] {
        for what in ["POST /", "GET /ws"] {
            assert_eq!(status(&refusing, what, &headers).await, 403, "{headers:?}");
            let refused = Log::captured();
            Log::capture(LevelFilter::TRACE);
            assert_eq!(status(&reporting, what, &headers).await, 200, "{headers:?}");
            let told = Log::captured();
            Log::capture(LevelFilter::TRACE);
            for (level, what, text) in
                [("INFO", " request refused", &refused), ("WARN", " request would be refused", &told)]
            {
                let lines: Vec<&str> = text.lines().filter(|line| line.contains("cross-site request")).collect();
                assert_eq!(lines.len(), 1, "{text}");
                assert!(lines[0].contains(level) && lines[0].contains(what) && lines[0].contains("reason="), "{text}");
                // No text from the request.
                assert!(!text.contains("evil") && !text.contains("AAAA"), "{text}");
            }
        }
    }
    assert_eq!(status(&reporting, "POST /", &[("origin", "https://example.com")]).await, 200);
    assert!(!Log::captured().contains("would be refused"));
}

/// W3C Fetch Metadata, section 5.1: what depends on these headers says so.
#[tokio::test]
async fn guarded_responses_vary_on_origin_headers() {
    const DEPENDS: &str = "Sec-Fetch-Site, Origin";
    let sessions = manager(|builder| builder).await;
    let varied = any(async || ([("vary", "Accept")], "hello").into_response());
    let app = app(&sessions).merge(Router::new().route("/varied", varied.layer(sessions.cross_site_guard())));
    let vary = async |what: &str, site: &str| -> Vec<String> {
        let response = ask(&app, what, site, "").await;
        response.headers.get_all("vary").iter().map(|value| value.to_str().expect("text").to_owned()).collect()
    };
    for site in ["", "same-origin", "cross-site"] {
        assert_eq!(vary("POST /", site).await, [DEPENDS], "{site}");
        assert_eq!(vary("GET /ws", site).await, [DEPENDS], "{site}");
        for what in ["GET /", "HEAD /", "OPTIONS /", "POST /bypass/"] {
            assert_eq!(vary(what, site).await, [""; 0], "{what} {site}");
        }
    }
    assert_eq!(vary("POST /varied", "same-origin").await, ["Accept", DEPENDS]);
    assert_eq!(vary("POST /varied", "cross-site").await, [DEPENDS]);
    assert_eq!(vary("GET /varied", "").await, ["Accept"]);
    let reporting = manager(|builder| builder.report_cross_site_requests_only()).await;
    let response = ask(&self::app(&reporting), "POST /", "cross-site", "").await;
    assert_eq!(response.header("vary"), "", "the response does not depend on them");
}

#[tokio::test]
async fn guard_passes_requests_unchanged() {
    let app = app(&manager(|builder| builder.own_origin("https://example.com")).await);
    for (what, path) in [("POST", "/"), ("GET", "/"), ("GET", "/ws"), ("PATCH", "/ws"), ("PUT", "/api/x")] {
        let response = ask(&app, &format!("{what} {path}"), "same-origin", "https://example.com").await;
        let expected =
            format!("{what} {path}\nsec-fetch-site: same-origin\norigin: https://example.com\nhost: example.com");
        assert_eq!(response.body, expected);
    }
    // With its body, and on HTTP/2, where the host stands in the address.
    let sessions = manager(|builder| builder).await;
    let body = any(async |body: String| body).layer(sessions.cross_site_guard());
    let app = Router::new().route("/", body);
    for (origin, expected) in [("https://example.com", 200), ("https://evil.test", 403)] {
        let request = Request::post("https://example.com/").header("origin", origin).body(Body::from("data"));
        let response = app.clone().oneshot(request.expect("a request")).await.expect("a response");
        assert_eq!(response.status().as_u16(), expected);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body == "data", expected == 200);
    }
}
