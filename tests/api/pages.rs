//! Sites with pages: visitors without a session go to the login and come back, forms are answered with a page.

use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::request::Parts;
use proptest::prelude::*;
use tower_jwt_sessions::{
    ConfigError, Error, PresentedTokens, Session, SessionCookies, SessionManager, StoreChecked,
    auth::SessionRejection,
    cookie::CookieConfig,
    error::{ConfigErrorKind, Problem},
    event::{EndReason, SessionEventKind as Event},
    guard::{require, require_recent_login},
    pages::NextPath,
};
use url::Url;

use crate::support::{hostile::HOSTILE, *};

on_every_store!(
    visitor_comes_back_after_login,
    errors_of_handlers_are_pages,
    outages_never_lead_to_the_login,
    forms_are_answered_with_a_page,
    forms_of_other_sites_change_nothing,
    ended_session_leads_to_the_login,
);

const CHROME: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const NAVIGATION: [(&str, &str); 3] =
    [("sec-fetch-mode", "navigate"), ("sec-fetch-site", "same-origin"), ("accept", CHROME)];
const OLD_NAVIGATION: [(&str, &str); 1] = [("accept", CHROME)];
const FETCH: [(&str, &str); 3] = [("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin"), ("accept", "*/*")];

#[derive(serde::Deserialize)]
struct LoginForm {
    username: String,
    #[serde(default)]
    next: NextPath,
}

/// A site: a login page with a form, pages, some of them nested, and the companion router.
fn site(sessions: &SessionManager<Claims>) -> Router {
    async fn login(
        State(sessions): State<SessionManager<Claims>>,
        presented: PresentedTokens<Claims>,
        Form(form): Form<LoginForm>,
    ) -> Result<Response, Error> {
        let cookies = sessions.login(form.username).replacing(presented).await?;
        Ok((cookies, form.next.or("/dashboard")).into_response())
    }
    async fn page(session: Session<Claims>) -> String {
        session.user_id().to_string()
    }
    Router::new()
        .route("/login", get(async |next: NextPath| next.to_string()).post(login))
        .route("/dashboard", get(page).post(page))
        .route("/checked", get(async |session: StoreChecked<Session<Claims>>| session.user_id().to_string()))
        .route("/maybe", get(async |session: Option<Session<Claims>>| format!("{}", session.is_some())))
        .nest("/notes", Router::new().route("/{id}", get(page)))
        .nest("/auth", sessions.router())
        .fallback(page)
        .layer(sessions.layer())
        .with_state(sessions.clone())
}

async fn world(backend: Backend) -> (World, Router) {
    let world = World::with(backend, |builder| builder.login_url("/login")).await;
    let site = site(&world.sessions);
    (world, site)
}

/// Asserts a redirect that is not cached and sets no cookie.
#[track_caller]
fn leads_to(response: &TestResponse, location: &str) {
    assert_eq!((response.status, response.header("location")), (303, location), "{}", response.body);
    assert_eq!((response.header("cache-control"), &*response.body), ("no-store", ""));
    assert_eq!(response.header("www-authenticate"), "");
}

/// Values that are kept, and how.
const KEPT: [(&str, &str); 14] = [
    ("/", "/"),
    ("/dashboard", "/dashboard"),
    ("/notes/7?page=2&sort=-age#end", "/notes/7?page=2&sort=-age#end"),
    ("/a/../b", "/a/../b"),
    ("/to?u=https://other.example//x", "/to?u=https://other.example//x"),
    ("/@evil.example", "/@evil.example"),
    ("/evil.example:443", "/evil.example:443"),
    ("/files/a%2Fb", "/files/a%2Fb"),
    ("/%", "/%"),
    ("/grüße", "/gr%C3%BC%C3%9Fe"),
    ("/\u{ff0f}evil.example", "/%EF%BC%8Fevil.example"),
    ("/\u{2028}", "/%E2%80%A8"),
    ("/a b", "/a%20b"),
    ("/\"><script>alert('1')</script>", "/%22%3E%3Cscript%3Ealert(%271%27)%3C/script%3E"),
];

fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"))
}

/// Where a browser on the login page goes, by the URL standard.
fn followed(location: &str) -> Url {
    Url::parse("https://app.example/login?next=x").expect("a URL").join(location).expect("a URL")
}

#[test]
fn next_paths_fit_into_a_header() {
    for long in ["/".to_owned() + &"\u{e9}".repeat(1_000), "/?q=".to_owned() + &"\"".repeat(1_000)] {
        assert_eq!(NextPath::new(&long).as_str(), "/", "{}", long.len());
    }
    // Slashes that are part of a name stay.
    for path in
        ["/files/a%2fb", "/proxy/https:%2F%2Fhost.example", "/a/%2f", "/a/./", "/a/..", "/%2e", "/.well-known", "/..."]
    {
        assert_eq!(NextPath::new(path).as_str(), path);
    }
}

/// By every way in: the query, a form, a value.
#[tokio::test]
async fn hostile_next_paths_lead_to_the_root() {
    let (_world, site) = world(Backend::Memory).await;
    let long = format!("/{}", "a".repeat(2048));
    for hostile in HOSTILE.into_iter().chain([&*long]) {
        assert_eq!(NextPath::new(hostile).as_str(), "/", "{hostile:?}");
        let page = send(&site, &format!("GET /login?next={}", encoded(hostile)), &FETCH).await;
        assert_eq!(page.is(200).body, "/", "{hostile:?}");
        let form = format!("username=alice&next={}", encoded(hostile));
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let login = send_body(&site, "POST /login", &headers, &form).await;
        assert_eq!((login.status, login.header("location")), (303, "/dashboard"), "{hostile:?}");
        assert_eq!(login.set_cookies().len(), 2);
    }
    for query in ["next=%ff%2f", "next=/a&next=/b", "next=/a&n%65xt=/b", "next", "x=/a", "next%00=/a"] {
        assert_eq!(send(&site, &format!("GET /login?{query}"), &FETCH).await.is(200).body, "/", "{query}");
    }
    for (value, kept) in KEPT {
        assert_eq!(NextPath::new(value).as_str(), kept);
        assert_eq!(NextPath::new(kept).as_str(), kept, "encoded once");
        let page = send(&site, &format!("GET /login?a=b&next={}", encoded(value)), &FETCH).await;
        assert_eq!(page.is(200).body, kept);
        assert_eq!(followed(kept).origin(), followed("/").origin(), "{kept}");
    }
    assert_eq!(send(&site, "GET /login?n%65xt=%2Fa+b", &FETCH).await.body, "/a%20b");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A redirect stays on the site, however browsers read it, and however often it is read.
    #[test]
    fn next_paths_stay_on_the_site(
        value in "(/|//|\\\\|https:|[a-z]|%2f|%5C|%2e|\\.|@|:|\\?|#|[\\t\\r\\n ]|\u{ff0f}|\u{a0}|\\PC){0,12}"
    ) {
        let next = NextPath::new(&value);
        let home = followed("/").origin();
        prop_assert_eq!(&followed(next.as_str()).origin(), &home);
        prop_assert_eq!(&NextPath::new(next.as_str()), &next);
        // What is left after the dot segments is no host for the next reader.
        let resolved = followed(next.as_str());
        prop_assert_eq!(followed(resolved.path()).origin(), home);
        let response = next.clone().into_response();
        prop_assert_eq!(response.headers()["location"].as_bytes(), next.as_str().as_bytes());
    }
}

#[tokio::test]
async fn only_navigations_lead_to_the_login() {
    let (_world, site) = world(Backend::Memory).await;
    for (what, location) in [
        ("GET /dashboard", "/login?next=%2Fdashboard"),
        ("HEAD /dashboard", "/login?next=%2Fdashboard"),
        ("GET /dashboard?tab=2&q=a%20b", "/login?next=%2Fdashboard%3Ftab%3D2%26q%3Da%2520b"),
        ("GET /notes/7?x=1", "/login?next=%2Fnotes%2F7%3Fx%3D1"),
        ("GET /checked", "/login?next=%2Fchecked"),
        ("GET /", "/login?next=%2F"),
        // A form is gone after the login.
        ("POST /dashboard", "/login"),
        ("DELETE /elsewhere", "/login"),
        // The address of the request is no better than any other value.
        ("GET //evil.example/", "/login"),
        ("GET /%2fevil.example/", "/login"),
    ] {
        for headers in [&NAVIGATION[..], &OLD_NAVIGATION] {
            leads_to(&send(&site, what, headers).await, location);
        }
        if what.starts_with("HEAD") {
            continue;
        }
        for headers in [&FETCH[..], &[("accept", "*/*")], &[("sec-fetch-mode", "same-origin"), ("accept", CHROME)]] {
            send(&site, what, headers).await.is_problem(401, "missing_credentials");
        }
    }
    assert_eq!(send(&site, "GET /maybe", &NAVIGATION).await.is(200).body, "false");
    let cookie = format!("{ACCESS}=garbage");
    let headers = [("accept", CHROME), ("cookie", &cookie)];
    leads_to(&send(&site, "GET /dashboard", &headers).await, "/login?next=%2Fdashboard");
    let headers = [("sec-fetch-mode", "navigate"), ("accept", "application/json")];
    let json = send(&site, "GET /dashboard", &headers).await;
    assert_eq!(json.is(401).header("content-type"), "application/json");
    // A browser keeps what it has prefetched, but not an error.
    for purpose in [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        let headers = [&NAVIGATION[..], &[purpose]].concat();
        assert_eq!(send(&site, "GET /dashboard", &headers).await.is(401).header("location"), "");
    }
}

/// The login page that needs a session by mistake says so; it does not redirect to itself.
#[tokio::test]
async fn login_page_does_not_redirect_to_itself() {
    let world = World::with(Backend::Memory, |builder| builder.login_url("/auth/login")).await;
    let login = Router::new().route("/login", get(async |_: Session<Claims>| "in"));
    let app = Router::new().nest("/auth", login).layer(world.sessions.layer());
    for path in ["/auth/login", "/auth/login?next=%2F"] {
        send(&app, &format!("GET {path}"), &NAVIGATION).await.is(401);
    }
}

/// Such a client has no use for a form.
#[tokio::test]
async fn bearer_tokens_do_not_lead_to_the_login() {
    let world = World::with(Backend::Memory, |builder| builder.login_url("/login").accept_bearer_tokens()).await;
    let site = site(&world.sessions);
    for (token, status) in [("Bearer garbage", 401), ("Bearer a, Bearer b", 400)] {
        let headers = [("accept", "text/html"), ("authorization", token)];
        assert_eq!(send(&site, "GET /dashboard", &headers).await.is(status).header("location"), "");
        assert_eq!(send(&site, "GET /auth/sessions", &headers).await.is(status).header("location"), "");
    }
}

/// As a browser does it: each location is followed with the cookies of its answer.
async fn visitor_comes_back_after_login(backend: Backend) {
    let (world, site) = world(backend).await;
    let mut browser = Browser::new(&site, &world.clock);
    for wanted in ["/notes/7?x=1&y=%2F%2Fevil.example", "/dashboard"] {
        let away = browser.send(&format!("GET {wanted}"), &NAVIGATION).await;
        let page = browser.send(&format!("GET {}", away.is(303).header("location")), &NAVIGATION).await;
        let hidden = page.is(200).body.clone();
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("cookie", &browser.cookies())];
        let form = format!("username=alice&next={}", encoded(&hidden));
        let login = send_body(&site, "POST /login", &headers, &form).await;
        browser.keep(&login);
        assert_eq!((login.is(303).header("location"), login.header("cache-control")), (wanted, "no-store"));
        assert_eq!(browser.send(&format!("GET {wanted}"), &NAVIGATION).await.is(200).body, "alice");
        leads_to_without_cookies(&browser.send("POST /auth/logout", &NAVIGATION).await, "/login");
        assert_eq!(world.count("alice").await, 0);
    }
}

/// A logout removes both cookies.
#[track_caller]
fn leads_to_without_cookies(response: &TestResponse, location: &str) {
    leads_to(response, location);
    assert_eq!((response.cookie(ACCESS).as_deref(), response.cookie(REFRESH).as_deref()), (Some(""), Some("")));
}

/// Otherwise every outage would look like a logout.
async fn outages_never_lead_to_the_login(backend: Backend) {
    let (world, site) = world(backend).await;
    let mut browser = Browser::new(&site, &world.clock);
    browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
    world.store.set_down(true);
    for what in ["GET /checked", "POST /auth/logout", "POST /auth/logout-all", "GET /auth/sessions"] {
        let response = browser.send_only(what, &NAVIGATION).await;
        assert_eq!((response.status, response.header("location")), (503, ""), "{what}");
        assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(response.header("retry-after"), "1");
        assert_eq!(response.set_cookies(), Vec::<&str>::new());
    }
    world.store.set_down(false);
    let missing = Router::new().route("/", get(async |_: Session<Claims>| "in"));
    assert_eq!(send(&missing, "GET /", &NAVIGATION).await.is(500).header("location"), "");
}

async fn ended_session_leads_to_the_login(backend: Backend) {
    let (world, site) = world(backend).await;
    let mut browser = Browser::new(&site, &world.clock);
    browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
    world.sessions.end_all("alice").await.expect("the store");
    for path in ["/dashboard", "/checked"] {
        let location = format!("/login?next={}", path.replace('/', "%2F"));
        leads_to(&browser.send(&format!("GET {path}"), &NAVIGATION).await, &location);
    }
    // As do the forms of a page from before.
    leads_to(&browser.send("POST /auth/logout-all", &NAVIGATION).await, "/login");
    leads_to(&browser.send("POST /auth/sessions/AAECAwQFBgcICQoLDA0ODw/end", &NAVIGATION).await, "/login");
    browser.send("POST /auth/logout-all", &FETCH).await.is_problem(401, "invalid_token");
}

/// In a layer, and in a handler that names its request. A session that may not do this stays where it is.
#[tokio::test]
async fn outdated_login_leads_to_the_login() {
    async fn guarded(session: Session<Claims>, parts: Parts) -> Result<(), SessionRejection> {
        session.require_recent_login(seconds(60)).map_err(|rejection| rejection.for_request(&parts))
    }
    let (world, _) = world(Backend::Memory).await;
    let app = Router::new()
        .route("/layer", get(async || "in").layer(require_recent_login::<Claims>(seconds(60))))
        .route("/handler", get(guarded))
        .route("/never", get(async || "in").layer(require(|_: &Session<Claims>| false)))
        .layer(world.sessions.layer());
    let mut browser = Browser::new(&app, &world.clock);
    browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
    for (path, code) in
        [("/layer", "insufficient_user_authentication"), ("/handler", "insufficient_user_authentication")]
    {
        browser.send(&format!("GET {path}"), &NAVIGATION).await.is(200);
        world.clock.advance(seconds(61));
        let location = format!("/login?next={}", path.replace('/', "%2F"));
        leads_to(&browser.send(&format!("GET {path}"), &NAVIGATION).await, &location);
        assert_eq!(browser.send(&format!("GET {path}"), &FETCH).await.is(401).json()["code"], code);
        browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
    }
    let page = browser.send("GET /never", &NAVIGATION).await;
    assert_eq!((page.is(403).header("location"), page.header("content-type")), ("", "text/html; charset=utf-8"));
    leads_to(&send(&app, "GET /never", &NAVIGATION).await, "/login?next=%2Fnever");
}

#[tokio::test]
async fn errors_of_navigations_are_pages() {
    let world = World::new(Backend::Memory).await;
    let foreign = [("sec-fetch-mode", "navigate"), ("sec-fetch-site", "cross-site"), ("accept", CHROME)];
    for (what, headers, status, code) in [
        ("GET /me", NAVIGATION, 401, "missing_credentials"),
        ("GET /auth/sessions", NAVIGATION, 401, "missing_credentials"),
        ("POST /auth/refresh", NAVIGATION, 401, "missing_credentials"),
        ("POST /auth/logout", foreign, 403, "cross_site_request"),
    ] {
        let page = send(&world.app, what, &headers).await;
        assert_eq!(page.is(status).header("content-type"), "text/html; charset=utf-8", "{what}");
        assert!(page.body.starts_with("<!DOCTYPE html>") && page.body.contains(code), "{}", page.body);
        assert!(!page.body.contains("<script") && page.header("content-security-policy").contains("'none'"));
        assert_eq!((page.header("cache-control"), page.header("location")), ("no-store", ""));
        assert_eq!(page.header("www-authenticate").is_empty(), status != 401);
        let json = [("accept", "application/json"), headers[0], headers[1]];
        let document = send(&world.app, what, &json).await;
        assert_eq!(document.is(status).header("content-type"), "application/json");
        assert_eq!(document.json()["code"], code);
        let script = [("accept", CHROME), FETCH[0], headers[1]];
        send(&world.app, what, &script).await.is_problem(status, code);
    }
}

/// The application knows the request and may choose the status; what it does not choose is the problem's.
#[tokio::test]
async fn application_renders_by_request() {
    let render = |problem: &Problem, request: Option<&Parts>| -> Response {
        let Some(request) = request else { return "unknown".into_response() };
        let text = format!("{} {} {}", request.method, request.uri, request.headers.contains_key("x-theme"));
        match problem.code() {
            "cross_site_request" => (http::StatusCode::IM_A_TEAPOT, text).into_response(),
            "invalid_token" => NextPath::new("/expired").into_response(),
            _ => text.into_response(),
        }
    };
    let world = World::with(Backend::Memory, |builder| builder.login_url("/login").render_errors(render)).await;
    let headers = [("x-theme", "dark"), ("accept", "*/*")];
    let response = send(&world.app, "GET /me?a=b", &headers).await;
    assert_eq!(response.is(401).body, "GET /me?a=b true");
    assert_eq!(response.header("www-authenticate"), r#"Bearer realm="session""#);
    let response = send(&world.app, "POST /auth/logout", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((response.is(418).body.as_str(), response.header("cache-control")), ("POST /logout false", "no-store"));
    let response = send(&world.app, "GET /me", &[("cookie", format!("{ACCESS}=x"))]).await;
    leads_to(&response, "/expired");
    // The login comes first.
    leads_to(&send(&world.app, "GET /me", &NAVIGATION).await, "/login?next=%2Fme");
    // An error of the manager knows its request where the handler says it.
    let fail = |named: bool| {
        let sessions = world.sessions.clone();
        async move |parts: Parts| -> Result<(), Error> {
            let error = sessions.login("").await.expect_err("an empty user id");
            Err(if named { error.for_request(&parts) } else { error })
        }
    };
    let app = Router::new().route("/named", get(fail(true))).route("/other", get(fail(false)));
    assert_eq!(send(&app, "GET /named", &FETCH).await.is(500).body, "GET /named false");
    assert_eq!(send(&app, "GET /other", &FETCH).await.is(500).body, "unknown");
    // And by itself where the manager is an extractor.
    let extracted = async |sessions: SessionManager<Claims>| -> Result<(), Error> {
        Err(sessions.login("").await.expect_err("an empty user id"))
    };
    let app = Router::new().route("/page", get(extracted)).with_state(world.sessions.clone());
    assert_eq!(send(&app, "GET /page", &FETCH).await.is(500).body, "GET /page false");
    // The tokens of an extractor tell the request, with cookies and without.
    let presented = async |State(sessions): State<SessionManager<Claims>>,
                           presented: PresentedTokens<Claims>|
           -> Result<(), Error> { Err(sessions.refresh(&presented).await.expect_err("no token")) };
    let app = Router::new().route("/page", get(presented)).layer(world.sessions.layer());
    let app = app.with_state(world.sessions.clone());
    for cookie in ["", "__Host-access=x"] {
        let response = send(&app, "GET /page", &[("accept", "*/*"), ("cookie", cookie)]).await;
        assert_eq!(response.is(401).body, "GET /page false");
    }
}

/// What a handler returns by `?` is a page for a person and a problem document for a program.
async fn errors_of_handlers_are_pages(backend: Backend) {
    let world = World::new(backend).await;
    let devices = async |sessions: SessionManager<Claims>, session: Session<Claims>| -> Result<String, Error> {
        Ok(sessions.list_for(&session).await?.len().to_string())
    };
    let logout = async |State(sessions): State<SessionManager<Claims>>,
                        presented: PresentedTokens<Claims>|
           -> Result<SessionCookies, Error> { sessions.logout(&presented).await };
    let login = async |State(sessions): State<SessionManager<Claims>>,
                       presented: PresentedTokens<Claims>|
           -> Result<SessionCookies, Error> { sessions.login("bob").replacing(presented).await };
    let routes =
        Router::new().route("/devices", get(devices)).route("/logout", get(logout)).route("/login", get(login));
    let app = routes.layer(world.sessions.layer()).with_state(world.sessions.clone());
    let mut browser = world.browser();
    browser.login("alice").await;
    let session = browser.cookies();
    world.store.set_down(true);
    for what in ["GET /devices", "GET /logout", "GET /login"] {
        let ask = async |headers: &[(&'static str, &'static str)], cookies: &str| {
            let cookies = [("cookie", cookies)];
            send(&app, what, &[headers, &cookies].concat()).await
        };
        let page = ask(&NAVIGATION, &session).await;
        assert_eq!(page.is(503).header("content-type"), "text/html; charset=utf-8", "{what}");
        assert!(page.body.contains("store_unavailable") && page.header("retry-after") == "1", "{}", page.body);
        ask(&FETCH, &session).await.is_problem(503, "store_unavailable");
    }
    // Without credentials too.
    let page = send(&app, "GET /login", &NAVIGATION).await;
    assert_eq!(page.is(503).header("content-type"), "text/html; charset=utf-8");
}

async fn forms_are_answered_with_a_page(backend: Backend) {
    let (world, site) = world(backend).await;
    let goodbye = world.node(|builder| builder.login_url("/login").after_logout("/goodbye?a=b")).await;
    let plain = world.node(|builder| builder).await;
    let sites = [(&site, Some("/login")), (&goodbye.app, Some("/goodbye?a=b")), (&plain.app, None)];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let login = async |app: &Router| {
        let mut browser = Browser::new(app, &world.clock);
        browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
        browser
    };
    for (app, place) in sites {
        for route in ["POST /auth/logout", "POST /auth/logout-all"] {
            for headers in [&NAVIGATION[..], &OLD_NAVIGATION, &form] {
                let response = login(app).await.send(route, headers).await;
                match place {
                    Some(place) => leads_to_without_cookies(&response, place),
                    None => assert_eq!(response.is(200).body, r#"{"success":true}"#),
                }
                let response = login(app).await.send(&format!("{route}?next=/bye"), headers).await;
                leads_to_without_cookies(&response, "/bye");
                let response = login(app).await.send(&format!("{route}?next=//evil.example"), headers).await;
                leads_to_without_cookies(&response, "/");
                assert_eq!(world.count("alice").await, 0);
            }
            // Scripts get what they got before.
            for headers in [&FETCH[..], &[("accept", "*/*")], &[FETCH[0], form[0]]] {
                let response = login(app).await.send(&format!("{route}?next=/bye"), headers).await;
                assert_eq!(response.is(200).body, r#"{"success":true}"#);
                assert_eq!(world.count("alice").await, 0);
            }
        }
        for (headers, query, expected) in
            [(&NAVIGATION[..], "?next=/devices", Some("/devices")), (&NAVIGATION, "", None), (&FETCH, "?next=/x", None)]
        {
            let (mut here, there) = (login(app).await, login(app).await);
            let id = claims_of(&there.access())["sid"].as_str().expect("an id").to_owned();
            world.events();
            let end = format!("POST /auth/sessions/{id}/end{query}");
            let response = here.send(&end, headers).await;
            match expected {
                Some(place) => leads_to(&response, place),
                None => assert_eq!(response.is(200).body, r#"{"success":true}"#),
            }
            assert_eq!(response.set_cookies(), Vec::<&str>::new());
            assert_eq!(world.count("alice").await, 1);
            here.send(&end, headers).await.is(404);
            here.post("/auth/logout").await.is(200);
        }
    }
    assert!(!world.events().contains(&Event::Ended(EndReason::Requested)), "ended on the other nodes");
}

async fn forms_of_other_sites_change_nothing(backend: Backend) {
    let (world, site) = world(backend).await;
    let mut browser = Browser::new(&site, &world.clock);
    browser.keep(&send(&world.app, "POST /login/alice", &FETCH).await);
    world.events();
    let id = claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned();
    let end = format!("POST /auth/sessions/{id}/end");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for route in ["POST /auth/logout", "POST /auth/logout?next=/x", "POST /auth/logout-all", &end] {
        for from in [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.test")]
        {
            for mode in [("sec-fetch-mode", "navigate"), ("accept", CHROME)] {
                let response = browser.send(route, &[form, from, mode]).await;
                assert_eq!((response.is(403).header("location"), response.set_cookies().len()), ("", 0));
            }
        }
        browser.send(&route.replace("POST", "GET"), &NAVIGATION).await.is(405);
    }
    assert_eq!(world.events(), []);
    assert_eq!(browser.send("GET /dashboard", &NAVIGATION).await.is(200).body, "alice");
}

/// What users who follow a link from elsewhere need; all else is as by default.
#[tokio::test]
async fn cookies_for_pages_are_lax() {
    let lax = World::with(Backend::Memory, |builder| builder.cookies(CookieConfig::for_pages())).await;
    let strict = World::new(Backend::Memory).await;
    let (lax, strict) = (lax.browser().login("alice").await, strict.browser().login("alice").await);
    let attributes = |line: &&str| line.split_once("; ").expect("attributes").1.to_owned();
    for (lax, strict) in lax.set_cookies().iter().zip(&strict.set_cookies()) {
        assert_eq!(attributes(lax), attributes(strict).replace("SameSite=Strict", "SameSite=Lax"));
        assert!(lax.starts_with("__Host-") && lax.contains("; SameSite=Lax"), "{lax}");
    }
}

/// The message says what to write.
#[tokio::test]
async fn places_elsewhere_are_refused() {
    let clock = tower_jwt_sessions::testing::TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    let builder = || builder::<()>(&store, &clock);
    let refused = |result: Result<SessionManager, ConfigError>, named: &str| {
        let error = result.expect_err("a place elsewhere");
        assert_eq!(error.kind(), ConfigErrorKind::InvalidOption);
        assert!(error.to_string().starts_with(&format!("invalid {named}")) && error.to_string().contains("\"/login\""));
    };
    let encoded = ["/a b", "/grüße", "/\"", "/<"];
    for path in HOSTILE.into_iter().chain(encoded) {
        refused(builder().login_url(path).build(), "login_url");
        refused(builder().after_logout(path).build(), "after_logout");
    }
    for path in ["/login?next=/", "/login#form"] {
        refused(builder().login_url(path).build(), "login_url");
    }
    builder().login_url("/anmelden/%C3%BC").after_logout("/?bye=1").build().expect("paths of this site");
}
