//! Pages whose access token has expired are renewed before their handler runs.

use std::{future::pending, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tower_jwt_sessions::{
    PresentedTokens, Session, SessionManager, UserId,
    error::Error,
    event::{EndReason, RefreshKind, SessionEventKind as Event},
    manager::ClaimsSource,
    policy::ReplayWindow,
};

use crate::support::*;

on_every_store!(
    page_is_served_hours_later,
    form_that_took_an_hour_is_not_lost,
    lost_responses_lose_no_session,
    cookies_of_the_handler_win,
    parallel_navigations_log_no_user_out,
    page_after_expire_access_has_new_claims,
    page_after_end_or_expiry_is_anonymous,
    page_during_outage_is_503_and_keeps_cookies,
);

type Headers = &'static [(&'static str, &'static str)];

const NAVIGATION: Headers =
    &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "same-origin")];
const SCRIPT: Headers = &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];

/// Returns a site of pages. Those below `/inner` are under a session layer too.
fn site(sessions: &SessionManager<Claims>) -> Router {
    let pages = || {
        Router::new()
            .route("/page", get(page).post(page))
            .route(
                "/refresh",
                post(async |State(sessions): State<SessionManager<Claims>>, presented: PresentedTokens<Claims>| {
                    Ok::<_, Error>((sessions.refresh(&presented).await?, "refreshed"))
                }),
            )
            .route(
                "/logout",
                post(async |State(sessions): State<SessionManager<Claims>>, presented: PresentedTokens<Claims>| {
                    Ok::<_, Error>((sessions.logout(&presented).await?, "bye"))
                }),
            )
            .route(
                "/login",
                post(async |State(sessions): State<SessionManager<Claims>>, presented: PresentedTokens<Claims>| {
                    Ok::<_, Error>((sessions.login("bob").replacing(presented).await?, "hello, bob"))
                }),
            )
            .route("/greeting", get(async |session: Option<Session<Claims>>| session.map_or("stranger", |_| "friend")))
            .route("/crash", get(async || -> () { panic!("a bug in a handler") }))
    };
    pages()
        .nest("/inner", pages().layer(sessions.layer()))
        .nest("/companions", sessions.router())
        .layer(sessions.renewal_layer())
        .merge(Router::new().nest("/auth", sessions.router()))
        .with_state(sessions.clone())
}

/// A page that may be cached, which must not apply to new cookies.
async fn page(
    session: Session<Claims>,
    presented: PresentedTokens<Claims>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().map(|line| line.to_str().expect("text")).collect();
    let access =
        cookies.iter().flat_map(|line| line.split("; ")).find_map(|pair| pair.strip_prefix(ACCESS)?.strip_prefix('='));
    let found = json!({
        "generation": claims_of(access.expect("one access cookie"))["gen"],
        "user": session.user_id(),
        "role": session.claims().role,
        "renewed": session.is_renewed(),
        "presented": presented.session().is_some_and(|presented| presented.id() == session.id()),
        "refresh": presented.has_refresh_token(),
        "theme": cookies.iter().any(|line| line.split("; ").any(|pair| pair == "theme=dark")),
        "body": body,
    });
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(found)).into_response()
}

/// Returns a browser that has logged in, on the site.
async fn logged_in(world: &World, site: &Router) -> Browser {
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    browser.visit(site);
    browser
}

fn page_in(response: &TestResponse) -> Value {
    let mut page = response.json();
    page.as_object_mut().expect("an object").remove("generation");
    page
}

fn names(response: &TestResponse) -> Vec<&str> {
    let mut names: Vec<_> =
        response.set_cookies().iter().map(|line| line.split('=').next().unwrap_or_default()).collect();
    names.sort_unstable();
    names
}

/// What a page says, except for the generation.
fn page_of(user: &str, renewed: bool) -> Value {
    let (theme, body) = (true, "");
    json!({ "user": user, "role": "member", "renewed": renewed, "presented": true, "refresh": true, "theme": theme, "body": body })
}

async fn page_is_served_hours_later(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    browser.plant("theme", "dark");
    for path in ["GET /page", "GET /inner/page", "GET /page"] {
        world.clock.advance(hours(2));
        let response = browser.send(path, NAVIGATION).await;
        assert_eq!(page_in(response.is(200)), page_of("alice", true), "{path}");
        assert_eq!(names(&response), [ACCESS, REFRESH], "{path}");
        assert_eq!(response.header("cache-control"), "private, no-store", "{path}");
        assert_eq!(world.events(), [Event::Refreshed(RefreshKind::Rotated)], "{path}");

        let response = browser.send(path, NAVIGATION).await;
        assert_eq!(page_in(response.is(200)), page_of("alice", false), "{path}");
        assert_eq!(names(&response), Vec::<&str>::new(), "{path}");
        assert_eq!(response.header("cache-control"), "public, max-age=60", "{path}");
    }
    // A browser that has dropped the access cookie, one whose access cookie is garbage, and one that says nothing of
    // its requests.
    world.clock.advance(hours(2));
    browser.forget(ACCESS);
    assert_eq!(browser.send("HEAD /page", NAVIGATION).await.is(200).set_cookies().len(), 2);
    world.clock.advance(hours(2));
    browser.plant(ACCESS, "garbage");
    assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).set_cookies().len(), 2);
    world.clock.advance(hours(2));
    let html = [("accept", "text/html,*/*;q=0.8")];
    assert_eq!(browser.send("GET /page", &html).await.is(200).json()["renewed"], true);
}

#[tokio::test]
async fn other_requests_are_not_renewed() {
    let world = World::new(Backend::Memory).await;
    let site = site(&world.sessions);
    let browser = logged_in(&world, &site).await;
    world.clock.advance(hours(2));
    let prefetch = [NAVIGATION, &[("sec-purpose", "prefetch;prerender")]].concat();
    let cross_site =
        &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")];
    let html = ("accept", "text/html");
    for (what, headers) in [
        ("GET /page", SCRIPT),
        ("POST /page", SCRIPT),
        ("GET /page", &prefetch),
        ("POST /page", cross_site),
        ("GET /page", &[]),
        ("POST /page", &[html]),
        ("POST /page", &[html, ("origin", "https://evil.test")]),
        ("PUT /page", NAVIGATION),
    ] {
        let response = browser.send_only(what, headers).await;
        assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{what} {headers:?}");
        assert!(matches!(response.status, 401 | 405), "{what} {headers:?}");
    }
    // The companion routes after the layer refresh themselves.
    for what in ["GET /auth/sessions", "GET /auth/jwks.json"] {
        assert_eq!(browser.send_only(what, NAVIGATION).await.set_cookies(), Vec::<&str>::new(), "{what}");
    }
    assert_eq!(world.events(), []);
}

#[tokio::test]
async fn bearer_is_not_renewed() {
    let world = World::with(Backend::Memory, |builder| builder.accept_bearer_tokens()).await;
    let site = site(&world.sessions);
    let browser = logged_in(&world, &site).await;
    let bearer = format!("Bearer {}", browser.access());
    world.clock.advance(hours(2));
    let only = [NAVIGATION, &[("authorization", &bearer)]].concat();
    send(&site, "GET /page", &only).await.is_json_problem(401, "invalid_token");
    browser.send_only("GET /page", &only).await.is_json_problem(400, "invalid_request");
    assert_eq!(world.events(), []);
}

async fn form_that_took_an_hour_is_not_lost(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    let without_metadata: Headers = &[("accept", "text/html"), ("origin", "https://app.test")];
    for headers in [NAVIGATION, without_metadata] {
        world.clock.advance(hours(2));
        let cookies = browser.cookies();
        let headers = [headers, &[("cookie", &*cookies)]].concat();
        let response = send_body(&site, "POST /page", &headers, "text=a+long+letter").await;
        assert_eq!(response.is(200).json()["body"], "text=a+long+letter");
        assert_eq!(names(&response), [ACCESS, REFRESH]);
        browser.keep(&response);
    }
}

/// The request is served with the new session, but only the browser can confirm that it has the new tokens.
async fn lost_responses_lose_no_session(backend: Backend) {
    let world = World::with(backend, |builder| builder.replay_window(ReplayWindow::default())).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    for path in ["GET /page", "GET /inner/page", "POST /inner/refresh", "POST /refresh"] {
        world.clock.advance(hours(2));
        let response = browser.send_only(path, NAVIGATION).await;
        assert_eq!(response.is(200).set_cookies().len(), 2, "{path}");
        if path.ends_with("page") {
            // That of the presented refresh token: nodes confirm the use of a newer one in the background.
            assert_eq!(response.json()["generation"], 1, "{path}");
        }
    }
    assert_eq!(world.store.confirms(), 0);
    world.clock.advance(hours(2));
    let crashing = browser.clone();
    let crashed = tokio::spawn(async move { crashing.send_only("GET /crash", NAVIGATION).await }).await;
    assert!(crashed.is_err_and(|error| error.is_panic()));
    world.clock.advance(hours(2));
    browser.send("GET /inner/page", NAVIGATION).await.is(200);
    assert!(!world.events().contains(&Event::RefreshTokenReused));
    // What was kept is good for the next time.
    world.clock.advance(hours(2));
    browser.send("GET /page", NAVIGATION).await.is(200);
}

async fn cookies_of_the_handler_win(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    for prefix in ["", "/inner"] {
        let mut browser = logged_in(&world, &site).await;
        world.clock.advance(hours(2));
        let response = browser.send(&format!("POST {prefix}/login"), NAVIGATION).await;
        assert_eq!(names(response.is(200)), [ACCESS, REFRESH]);
        assert_eq!(response.header("cache-control"), "private, no-store");
        assert_eq!(claims_of(&browser.access())["sub"], "bob");
        assert_eq!(browser.send("GET /page", NAVIGATION).await.json()["user"], "bob");
        assert_eq!(world.count("alice").await, 0, "the login has replaced the session");

        world.clock.advance(hours(2));
        let response = browser.send(&format!("POST {prefix}/refresh"), NAVIGATION).await;
        assert_eq!(names(response.is(200)), [ACCESS, REFRESH]);
        browser.send("GET /page", NAVIGATION).await.is(200);

        world.clock.advance(hours(2));
        let response = browser.send(&format!("POST {prefix}/logout"), NAVIGATION).await;
        assert_eq!(names(response.is(200)), [ACCESS, REFRESH]);
        assert_eq!(browser.cookies(), "");
        assert_eq!(world.count("bob").await, 0);
    }
    // The companion routes below the layer.
    let mut browser = logged_in(&world, &site).await;
    world.clock.advance(hours(2));
    let response = browser.send("POST /companions/logout", NAVIGATION).await;
    assert_eq!(names(response.is(200)), [ACCESS, REFRESH]);
    assert_eq!((browser.cookies(), world.count("alice").await), (String::new(), 0));
}

/// Opens a page, and again if it took too long: it waits 200 ms for the renewal, which a machine that runs many tests
/// may need for twenty at once.
async fn open_in_time(tab: &Browser, path: &str) -> TestResponse {
    for _ in 0..100 {
        let page = tab.send_only(path, NAVIGATION).await;
        if page.status != 503 {
            return page;
        }
    }
    panic!("{path} was never answered in time");
}

async fn parallel_navigations_log_no_user_out(backend: Backend) {
    let rounds = match backend {
        Backend::Memory => 200,
        Backend::Redis => 30,
    };
    let world = World::with(backend, |builder| builder.replay_window(ReplayWindow::default())).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    for round in 0..rounds {
        world.clock.advance(hours(2));
        let path = if round % 2 == 0 { "GET /page" } else { "GET /inner/page" };
        let tabs = join_all((0..20).map(|_| {
            let tab = browser.clone();
            tokio::spawn(async move { open_in_time(&tab, path).await })
        }));
        let mut responses: Vec<_> = tabs.await.into_iter().map(|response| response.expect("a response")).collect();
        for response in &responses {
            assert_eq!(response.is(200).json()["renewed"], true, "round {round}");
        }
        // They arrive in another order each time.
        responses.rotate_left(round % 20);
        for response in &responses {
            browser.keep(response);
        }
        assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).json()["renewed"], false, "round {round}");
    }
    assert!(!world.events().iter().any(|event| matches!(event, Event::Ended(_) | Event::RefreshTokenReused)));
}

async fn page_after_expire_access_has_new_claims(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    assert_eq!(browser.send("GET /page", NAVIGATION).await.json()["role"], "member");
    world.users.set_role("alice", "admin");
    world.sessions.expire_access("alice").await.expect("expired");
    browser.send_only("GET /page", SCRIPT).await.is_problem(401, "invalid_token");
    let page = browser.send("GET /page", NAVIGATION).await.is(200).json();
    assert_eq!((&page["role"], &page["renewed"]), (&json!("admin"), &json!(true)));
    assert_eq!(browser.send("GET /page", SCRIPT).await.is(200).json()["role"], "admin");
}

/// Cookies stay, since the response may arrive after that of a newer login.
async fn page_after_end_or_expiry_is_anonymous(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    let ended = logged_in(&world, &site).await;
    world.sessions.end_all("alice").await.expect("ended");
    assert_eq!(world.events(), [Event::Ended(EndReason::Requested)]);
    ended.send_only("GET /page", NAVIGATION).await.is_json_problem(401, "invalid_token");
    assert_eq!(world.events(), [Event::UsedAfterEnd]);

    // After eight days a browser has dropped the cookies. Here it has not.
    let mut browser = logged_in(&world, &site).await;
    let cookies = browser.cookies();
    world.clock.advance(hours(8 * 24));
    browser.send("GET /page", NAVIGATION).await.is_json_problem(401, "missing_credentials");
    let kept = [NAVIGATION, &[("cookie", &*cookies)]].concat();
    send(&site, "GET /page", &kept).await.is_json_problem(401, "invalid_token");
    assert_eq!(world.events(), []);
}

async fn page_during_outage_is_503_and_keeps_cookies(backend: Backend) {
    let world = World::new(backend).await;
    let site = site(&world.sessions);
    let mut browser = logged_in(&world, &site).await;
    world.clock.advance(hours(2));
    let cookies = browser.cookies();
    world.store.set_down(true);
    browser.send("GET /page", NAVIGATION).await.is_json_problem(503, "store_unavailable");
    // Below an inner layer too, which sees only the old token.
    browser.send("GET /inner/page", NAVIGATION).await.is_json_problem(503, "store_unavailable");
    // A public page is shown to a stranger.
    assert_eq!(browser.send("GET /greeting", NAVIGATION).await.is(200).body, "stranger");
    world.store.set_down(false);
    world.users.set_down(true);
    browser.send("GET /page", NAVIGATION).await.is_json_problem(503, "store_unavailable");
    world.users.set_down(false);
    assert_eq!(browser.cookies(), cookies);
    assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).json()["renewed"], true);
}

/// Under two layers, of which only the outer one waits.
#[tokio::test(start_paused = true)]
async fn slow_store_delays_page_by_200_ms() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let gate = gate::Gate::holding_at(0);
    let store = world.store.behind(&gate);
    let slow = world.node(|builder| builder.store(store)).await;
    browser.visit(&site(&slow.sessions).layer(slow.sessions.renewal_layer()));
    world.clock.advance(hours(2));
    let begun = tokio::time::Instant::now();
    browser.send("GET /page", NAVIGATION).await.is_json_problem(503, "store_unavailable");
    assert_eq!(begun.elapsed(), millis(200));
    assert!(gate.is_holding());
    // The refresh is completed, and nothing is lost.
    gate.release();
    assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).json()["renewed"], true);
    assert_eq!(slow.events().len(), 2);
}

#[tokio::test]
async fn scripts_are_renewed_where_that_was_chosen() {
    let world = World::new(Backend::Memory).await;
    let fragments =
        Router::new().route("/fragment", get(page)).layer(world.sessions.renewal_layer().also_for_scripts());
    let site = Router::new().route("/page", get(page)).merge(fragments).layer(world.sessions.renewal_layer());
    let mut browser = logged_in(&world, &site).await;
    world.clock.advance(hours(2));
    browser.send("GET /page", SCRIPT).await.is_problem(401, "invalid_token");
    let response = browser.send("GET /fragment", SCRIPT).await;
    assert_eq!(response.is(200).json()["renewed"], true);
    assert_eq!(names(&response), [ACCESS, REFRESH]);
    // Renewed by the outer layer, and still told below the inner one.
    world.clock.advance(hours(2));
    let response = browser.send("GET /fragment", NAVIGATION).await;
    assert_eq!(response.is(200).json()["renewed"], true);
    assert_eq!(names(&response), [ACCESS, REFRESH]);
}

/// What the login said of its session is kept: here that its cookies end with the browser.
#[tokio::test]
async fn renewed_cookies_still_end_with_the_browser() {
    let world = World::new(Backend::Memory).await;
    let cookies = world.sessions.login("alice").persistent(false).await.expect("a login");
    let headers = cookies::browser(cookies);
    let cookie = headers["cookie"].to_str().expect("text");
    world.clock.advance(hours(2));
    let response = send(&site(&world.sessions), "GET /page", &[NAVIGATION, &[("cookie", cookie)]].concat()).await;
    assert_eq!(names(response.is(200)), [ACCESS, REFRESH]);
    assert!(response.set_cookies().iter().all(|line| !line.contains("Max-Age")), "{:?}", response.set_cookies());
}

/// An error of the application must not pass for an expired session.
#[tokio::test]
async fn failure_of_renewal_by_the_application_is_500_and_logged() {
    let world = World::new(Backend::Memory).await;
    let mut browser = logged_in(&world, &site(&world.sessions)).await;
    world.clock.advance(hours(2));
    world.users.set_role("alice", &"x".repeat(5000));
    log::Log::capture(tracing_subscriber::filter::LevelFilter::ERROR);
    let cookies = browser.cookies();
    for page in ["GET /page", "GET /inner/page"] {
        browser.send(page, NAVIGATION).await.is_json_problem(500, "internal_error");
    }
    assert!(log::Log::captured().contains("session operation failed"));
    // As at the companion route, and not as after a logout.
    browser.send("POST /auth/refresh", SCRIPT).await.is_problem(500, "internal_error");
    assert_eq!(browser.cookies(), cookies);
    // Nothing is used up by it.
    world.users.set_role("alice", "admin");
    assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).json()["role"], "admin");
}

#[tokio::test]
async fn panic_of_the_claims_source_during_renewal_is_500_and_logged() {
    let world = World::new(Backend::Memory).await;
    let mut browser = logged_in(&world, &site(&world.sessions)).await;
    let broken = async |_: UserId| -> Result<Option<Claims>, std::io::Error> { panic!("a bug in the claims source") };
    let broken = world.node(|builder| builder.claims_source(broken)).await;
    browser.visit(&site(&broken.sessions));
    world.clock.advance(hours(2));
    log::Log::capture(tracing_subscriber::filter::LevelFilter::ERROR);
    browser.send("GET /page", NAVIGATION).await.is_json_problem(500, "internal_error");
    assert!(log::Log::captured().contains("panicked"));
    browser.visit(&site(&world.sessions));
    assert_eq!(browser.send("GET /page", NAVIGATION).await.is(200).json()["renewed"], true);
}

#[tokio::test]
async fn refresh_cookie_that_pages_do_not_receive_is_reported() {
    log::Log::capture(tracing_subscriber::filter::LevelFilter::WARN);
    let world = World::with(Backend::Memory, |builder| {
        builder.cookies(tower_jwt_sessions::cookie::CookieConfig::new().refresh_path("/auth"))
    })
    .await;
    let _ = world.sessions.renewal_layer();
    assert!(log::Log::captured().contains("renewal_layer() renews few pages"));
}

/// Some caches heed headers of their own before `Cache-Control`: RFC 9213, its predecessor, and nginx.
#[tokio::test]
async fn caches_with_headers_of_their_own_store_no_cookies() {
    const FOR_CACHES: [(&str, &str); 4] = [
        ("cdn-cache-control", "max-age=600"),
        ("cloudflare-cdn-cache-control", "max-age=600"),
        ("surrogate-control", "max-age=600"),
        ("x-accel-expires", "600"),
    ];
    async fn article(_: Session<Claims>) -> impl IntoResponse {
        (FOR_CACHES, [(header::VARY, "accept")], "the same for everybody")
    }
    async fn log_in(State(sessions): State<SessionManager<Claims>>) -> Result<impl IntoResponse, Error> {
        Ok((sessions.login("alice").await?, FOR_CACHES, "welcome"))
    }
    let world = World::new(Backend::Memory).await;
    let pages = || Router::new().route("/article", get(article)).route("/in", post(log_in));
    let (layer, renewal) = (world.sessions.layer(), world.sessions.renewal_layer());
    let site = pages().layer(renewal).nest("/plain", pages().layer(layer)).with_state(world.sessions.clone());
    let mut browser = logged_in(&world, &site).await;
    let found = |response: &TestResponse| -> Vec<bool> {
        FOR_CACHES.iter().map(|(name, _)| response.headers.contains_key(*name)).collect()
    };
    let page = browser.send("GET /article", NAVIGATION).await;
    assert_eq!(found(page.is(200)), [true; 4], "it sets no cookies");
    world.clock.advance(hours(2));
    let page = browser.send("GET /article", NAVIGATION).await;
    assert_eq!((page.is(200).set_cookies().len(), page.header("vary")), (2, "accept"));
    assert_eq!(found(&page), [false; 4]);
    for path in ["POST /in", "POST /plain/in"] {
        let login = browser.send(path, NAVIGATION).await;
        assert_eq!((login.is(200).set_cookies().len(), found(&login)), (2, vec![false; 4]), "{path}");
    }
}

/// Nor do its refreshes pile up, which no request waits for any longer.
#[tokio::test(start_paused = true)]
async fn claims_source_that_never_answers_is_given_up() {
    #[derive(Clone, Default)]
    struct Hanging(Arc<()>);
    impl ClaimsSource<Claims> for Hanging {
        async fn load(&self, _: &UserId) -> Result<Option<Claims>, Box<dyn std::error::Error + Send + Sync>> {
            let _waiting = self.0.clone();
            pending().await
        }
    }
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let source = Hanging::default();
    let hanging = world.node(|builder| builder.claims_source(source.clone())).await;
    browser.visit(&site(&hanging.sessions));
    world.clock.advance(hours(2));
    let idle = Arc::strong_count(&source.0);
    log::Log::capture(tracing_subscriber::filter::LevelFilter::WARN);
    for waiting in 1..=3 {
        browser.send("GET /page", NAVIGATION).await.is_json_problem(503, "store_unavailable");
        assert_eq!(Arc::strong_count(&source.0), idle + waiting);
    }
    // Nothing has failed, so this line is the only sign of it. There is one, however many pages fail.
    let logged = log::Log::captured();
    assert!(logged.contains("timely renewal unavailable: refreshes take longer than 200 ms"), "{logged}");
    assert_eq!(logged.lines().count(), 1, "{logged}");
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(Arc::strong_count(&source.0), idle);
}
