//! The layer: what it inserts into requests, and how it overrides session cookies in responses.

use std::{convert::Infallible, num::NonZeroU32};

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header::SET_COOKIE};
use serde::{Deserialize, Serialize};
use tower::{Service as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_cookies::{Cookie, CookieManagerLayer, Cookies};
use tower_jwt_sessions::{
    Error, KeyRing, PresentedTokens, Session, SessionManager, cookie::CookieConfig, testing::TestClock,
};

use crate::support::*;

type HandlerResult = Result<Response, Error>;

#[tokio::test]
async fn session_cookies_override_those_of_handler() {
    async fn login(State(sessions): State<SessionManager<Claims>>) -> HandlerResult {
        let cookies = sessions.login("alice").await?;
        let undoing = [
            (SET_COOKIE, "__Host-access=; Max-Age=0; Path=/; Secure"),
            (SET_COOKIE, "__Host-refresh = evil; Path=/; Secure"),
            (SET_COOKIE, "theme=dark"),
        ];
        let public = [("cache-control", "public, max-age=3600")];
        Ok((cookies, axum::response::AppendHeaders(undoing), public, "welcome").into_response())
    }
    async fn replacing_login(State(sessions): State<SessionManager<Claims>>) -> HandlerResult {
        let cookies = sessions.login("alice").await?;
        Ok((cookies, [(SET_COOKIE, "theme=dark")], "an array replaces every Set-Cookie").into_response())
    }
    async fn logout_wins(
        State(sessions): State<SessionManager<Claims>>,
        presented: PresentedTokens<Claims>,
    ) -> HandlerResult {
        let login = sessions.login("alice").await?;
        Ok((login, sessions.logout(&presented).await?, "bye").into_response())
    }
    async fn headers_taken_over(State(sessions): State<SessionManager<Claims>>) -> HandlerResult {
        let mut response = (sessions.login("alice").await?, "").into_response();
        response.headers_mut().clear();
        Ok(response)
    }
    let world = World::new(Backend::Memory).await;
    let app = Router::new()
        .route("/login", post(login))
        .route("/replacing", post(replacing_login))
        .route("/logout", post(logout_wins))
        .route("/cleared", post(headers_taken_over))
        .layer(world.sessions.layer())
        .with_state(world.sessions.clone());
    for path in ["/login", "/replacing", "/cleared"] {
        let mut browser = Browser::new(&app, &world.clock);
        let response = browser.post(path).await;
        assert_eq!(response.header("cache-control"), "no-store");
        assert_eq!(response.set_cookies().contains(&"theme=dark"), path != "/cleared");
        assert_eq!(claims_of(&browser.access())["sid"], claims_of(&browser.refresh_token())["sid"]);
        let mut elsewhere = world.browser();
        elsewhere.plant(ACCESS, &browser.access());
        elsewhere.get("/me").await.is(200);
    }
    let mut browser = Browser::new(&app, &world.clock);
    browser.post("/login").await;
    browser.post("/logout").await.is(200);
    assert_eq!(browser.cookies(), "theme=dark", "of two logins in one response the later counts");
}

#[tokio::test]
async fn other_set_cookie_lines_are_kept() {
    let lines = ["a=1", "access=2; Path=/", "__Host-accessory=3", "a=4; HttpOnly", "no cookie at all", "=5"];
    let many = async move || axum::response::AppendHeaders(lines.map(|line| (SET_COOKIE, line)));
    let world = World::new(Backend::Memory).await;
    let sessions = world.sessions.clone();
    let login = async move || -> HandlerResult { Ok((many().await, sessions.login("alice").await?).into_response()) };
    let app = Router::new().route("/many", get(many)).route("/login", post(login)).layer(world.sessions.layer());
    let raw = async |method: &str, path: &str| -> Vec<HeaderValue> {
        let request = Request::builder().method(method).uri(path).body(axum::body::Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        response.headers().get_all(SET_COOKIE).iter().cloned().collect()
    };
    assert_eq!(raw("GET", "/many").await, lines);
    let with_ours = raw("POST", "/login").await;
    assert_eq!(with_ours[..lines.len()], lines);
    assert_eq!(with_ours.len(), lines.len() + 2);
    assert!(with_ours[lines.len()..].iter().all(HeaderValue::is_sensitive), "the values are marked as secret");
}

#[tokio::test]
async fn ordinary_responses_set_no_cookies() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.clock.advance(seconds(1800));
    for what in ["GET /me", "POST /me", "GET /greet", "GET /auth/sessions", "GET /nowhere"] {
        let response = browser.send(what, &[]).await;
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{what}");
    }
    assert_eq!(browser.get("/me").await.header("cache-control"), "", "the layer leaves caching to the handler");
    world.clock.advance(hours(1));
    assert_eq!(browser.get("/greet").await.set_cookies(), Vec::<&str>::new(), "also when the token has expired");
}

/// A service with its own body and error types, without axum.
#[tokio::test]
async fn layer_accepts_any_body_and_error_type() {
    #[derive(Debug, PartialEq)]
    struct Broken;

    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let mut service = ServiceBuilder::new().layer(world.sessions.layer()).service(service_fn(
        async |request: http::Request<u32>| -> Result<http::Response<String>, Broken> {
            let session = request.extensions().get::<Session<Claims>>();
            match request.body() {
                7 => Ok(http::Response::new(session.map_or_else(String::new, |session| session.user_id().to_string()))),
                _ => Err(Broken),
            }
        },
    ));
    let request =
        |cookies: &str, body: u32| http::Request::get("/").header("cookie", cookies).body(body).expect("a request");
    let response = service.ready().await.expect("ready").call(request(&browser.cookies(), 7)).await;
    assert_eq!(response.expect("a response").into_body(), "alice");
    let response = service.ready().await.expect("ready").call(request("a=b", 7)).await;
    assert_eq!(response.expect("a response").into_body(), "");
    assert_eq!(service.ready().await.expect("ready").call(request("", 0)).await.err(), Some(Broken));

    // Without a layer, the verifier gives the same result.
    let headers = request(&browser.cookies(), 0).into_parts().0.headers;
    assert_eq!(
        world.sessions.verifier().verify(&headers).map(|session| session.user_id().to_string()),
        Ok("alice".into())
    );
}

#[tokio::test]
async fn session_is_request_extension() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let app = Router::new()
        .route("/", get(async |Extension(session): Extension<Session<Claims>>| session.claims().role.clone()))
        .layer(world.sessions.layer());
    assert_eq!(send(&app, "GET /", &[("cookie", browser.cookies())]).await.body, "member");
    assert_ne!(send(&app, "GET /", &[("cookie", "a=b")]).await.status, 200);
}

#[tokio::test]
async fn session_extensions_from_outside_are_ignored() {
    async fn plant(mut request: Request, next: Next) -> Response {
        let role = "admin".to_owned();
        request.extensions_mut().insert(Session::for_test("root", Claims { role }).expect("a user id"));
        next.run(request).await
    }
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let app = world.app.clone().layer(from_fn(plant));
    send(&app, "GET /me", &[("cookie", "a=b")]).await.is_problem(401, "missing_credentials");
    assert_eq!(send(&app, "GET /greet", &[("cookie", "a=b")]).await.body, "hello, anonymous");
    assert_eq!(send(&app, "GET /greet", &[("cookie", browser.cookies())]).await.body, "hello, alice");
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Staff {
    desk: u8,
}

#[tokio::test]
async fn two_managers_share_one_router() {
    let world = World::new(Backend::Memory).await;
    let staff_store = TestStore::open(Backend::Memory, &world.clock).await;
    let staff = build(
        builder::<Staff>(&staff_store, &world.clock)
            .access_keys(KeyRing::hs256("another access secret, for staff only").expect("long enough"))
            .refresh_keys(KeyRing::hs256("another refresh secret, for staff only").expect("long enough"))
            .cookies(CookieConfig::new().names("staff", "staff-refresh"))
            .claims_with(3, async |desk, _| Ok::<_, Infallible>(Some(Staff { desk }))),
    )
    .await;
    let sessions = world.sessions.clone();
    let (login, staff_login) = (sessions.clone(), staff.clone());
    let both = async |customer: Option<Session<Claims>>, staff: Option<Session<Staff>>| {
        format!("{:?} {:?}", customer.map(|s| s.user_id().to_string()), staff.map(|s| s.claims().desk))
    };
    let needs_staff = async |staff: Session<Staff>| staff.user_id().to_string();
    let routes = Router::new()
        .route("/both", get(both))
        .route("/staff", get(needs_staff))
        .route("/login", post(async move || login.login("alice").await))
        .route("/staff-login", post(async move || staff_login.login("sue").await))
        .nest("/auth", sessions.router())
        .nest("/staff-auth", staff.router());
    for app in [
        routes.clone().layer(sessions.layer()).layer(staff.layer()),
        routes.clone().layer(staff.layer()).layer(sessions.layer()),
    ] {
        let mut browser = Browser::new(&app, &world.clock);
        assert_eq!(browser.get("/both").await.body, "None None");
        browser.get("/staff").await.is_problem(401, "missing_credentials");
        browser.post("/login").await.is(200);
        assert_eq!(browser.get("/both").await.body, r#"Some("alice") None"#);
        browser.post("/staff-login").await.is(200);
        assert_eq!(browser.get("/both").await.body, r#"Some("alice") Some(3)"#);
        // The cookies of one manager are not credentials of the other.
        let access = browser.access();
        browser.plant("__Host-staff", &access);
        browser.get("/staff").await.is_problem(401, "invalid_token");
        browser.post("/staff-auth/refresh").await.is(200);
        assert_eq!(browser.get("/staff").await.body, "sue");
        browser.post("/auth/logout").await.is(200);
        assert_eq!(browser.get("/both").await.body, "None Some(3)");
        browser.post("/staff-auth/logout").await.is(200);
        assert_eq!(browser.cookies(), "");
    }
}

#[tokio::test]
async fn claims_without_clone_are_accepted() {
    #[derive(Serialize, Deserialize)]
    struct Unique {
        limit: NonZeroU32,
    }
    let clock = TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    let sessions = build(
        builder::<Unique>(&store, &clock)
            .claims_with((), async |(), _| Ok::<_, Infallible>(Some(Unique { limit: NonZeroU32::MIN }))),
    )
    .await;
    let mut browser = Browser::new(&app(&sessions), &clock);
    browser.login("alice").await;
    assert_eq!(browser.get("/me").await.is(200).json()["claims"]["limit"], 1);
    let session = Session::for_test(1, Unique { limit: NonZeroU32::MAX }).expect("a user id");
    let clone = session.clone();
    drop(session);
    assert_eq!(clone.claims().limit, NonZeroU32::MAX);
}

#[tokio::test]
async fn layer_works_with_tower_cookies() {
    async fn login(State(sessions): State<SessionManager<Claims>>, jar: Cookies) -> Result<&'static str, Error> {
        sessions.login("alice").await?.add_to(&jar);
        jar.add(Cookie::new("theme", "dark"));
        Ok("welcome")
    }
    async fn logout(
        State(sessions): State<SessionManager<Claims>>,
        presented: PresentedTokens<Claims>,
        jar: Cookies,
    ) -> Result<StatusCode, Error> {
        sessions.logout(&presented).await?.add_to(&jar);
        Ok(StatusCode::NO_CONTENT)
    }
    let world = World::new(Backend::Memory).await;
    for inside in [true, false] {
        let routes = Router::new()
            .route("/login", post(login))
            .route("/logout", post(logout))
            .route("/me", get(async |session: Session<Claims>| session.user_id().to_string()));
        let app = match inside {
            true => routes.layer(CookieManagerLayer::new()).layer(world.sessions.layer()),
            false => routes.layer(world.sessions.layer()).layer(CookieManagerLayer::new()),
        };
        let mut browser = Jar(Browser::new(&app.with_state(world.sessions.clone()), &world.clock));
        assert_eq!(browser.call("POST /login").await.len(), 3);
        assert_eq!(browser.0.get("/me").await.is(200).body, "alice");
        assert_eq!(browser.call("POST /logout").await.len(), 2);
        assert_eq!(browser.0.cookies(), "theme=dark");
    }
}

/// A jar cannot set `Cache-Control`, which other responses are checked for.
struct Jar(Browser);

impl Jar {
    async fn call(&mut self, what: &str) -> Vec<String> {
        let response = self.0.send_unchecked(what).await;
        response.set_cookies().into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn presented_tokens_are_what_request_carried() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let app = Router::new()
        .route(
            "/",
            get(async |presented: PresentedTokens<Claims>| {
                format!("{} {}", presented.session().is_some(), presented.has_refresh_token())
            }),
        )
        .layer(world.sessions.layer());
    let (access, refresh) =
        (format!("{ACCESS}={}", browser.access()), format!("{REFRESH}={}", browser.refresh_token()));
    for (cookies, proof) in [
        ("a=b".to_owned(), "false false"),
        (format!("{access}x; {refresh}x"), "false false"),
        (access.clone(), "true false"),
        (refresh.clone(), "false true"),
        (format!("{refresh}; {access}"), "true true"),
        (format!("{access}; {access}; {refresh}"), "false true"),
    ] {
        assert_eq!(send(&app, "GET /", &[("cookie", &cookies)]).await.is(200).body, proof);
    }
}
