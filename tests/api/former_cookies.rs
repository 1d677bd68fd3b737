//! The cookies of the previous deployment: browsers keep them beside the new ones until something removes them.

use axum::{
    Router,
    extract::State,
    response::{AppendHeaders, IntoResponse as _, Response},
    routing::post,
};
use http::header::SET_COOKIE;
use proptest::{prelude::*, test_runner::TestRunner};
use tower_cookies::{CookieManagerLayer, Cookies};
use tower_jwt_sessions::{
    Error, PresentedTokens, SessionManager,
    cookie::{CookieConfig, CookiePrefix, SameSite},
};
use tracing::level_filters::LevelFilter;

use crate::{support::log::Log, support::*};

/// Under one prefix, so that only the scope changes.
fn secure() -> CookieConfig {
    CookieConfig::new().prefix(CookiePrefix::Secure)
}

/// Configurations of which any may come before any other.
fn configs() -> Vec<(&'static str, CookieConfig)> {
    let none = || secure().same_site(SameSite::None);
    vec![
        ("host", secure()),
        ("domain", secure().domain("app.test")),
        ("refresh path", secure().refresh_path("/auth")),
        ("path", secure().path("/auth")),
        ("domain and refresh path", secure().domain("app.test").refresh_path("/auth")),
        ("partitioned", none().partitioned()),
        ("partitioned domain", none().partitioned().domain("app.test")),
        ("default names", CookieConfig::new()),
        ("names of http", CookieConfig::new().prefix(CookiePrefix::HostHttp)),
        ("no prefix", CookieConfig::new().prefix(CookiePrefix::None)),
        ("no prefix, domain", CookieConfig::new().prefix(CookiePrefix::None).domain("app.test")),
        ("names swapped", secure().names("refresh", "access").domain("app.test").path("/auth")),
    ]
}

async fn deployed(world: &World, cookies: CookieConfig) -> Router {
    world.node(|builder| builder.cookies(cookies)).await.app
}

/// Returns the number of the browser's cookies, all of which it sends to the companion routes.
fn kept(browser: &Browser) -> usize {
    browser.cookies().split("; ").filter(|pair| !pair.is_empty()).count()
}

/// The failure: after the change every login succeeds, and every later request is refused.
#[tokio::test]
async fn former_cookies_beside_new_ones_make_requests_ambiguous() {
    let world = World::new(Backend::Memory).await;
    for (old, new) in [
        (secure().domain("app.test"), secure()),
        (secure(), secure().domain("app.test")),
        (secure().path("/auth"), secure()),
    ] {
        let (old, new) = (deployed(&world, old).await, deployed(&world, new).await);
        let mut browser = Browser::new(&old, &world.clock);
        browser.login("alice").await;
        browser.visit(&new);
        browser.refresh().await.is(200);
        for _ in 0..2 {
            browser.get("/auth/sessions").await.is_problem(401, "invalid_token");
            browser.refresh().await.is_problem(401, "invalid_refresh_token");
            browser.login("alice").await;
        }
        assert_eq!(kept(&browser), 4);
    }
    // Of another path for the refresh cookie: an hour after each login.
    for (old, new) in [(secure().refresh_path("/auth"), secure()), (secure(), secure().refresh_path("/auth"))] {
        let (old, new) = (deployed(&world, old).await, deployed(&world, new).await);
        let mut browser = Browser::new(&old, &world.clock);
        browser.login("alice").await;
        browser.visit(&new);
        browser.login("alice").await;
        browser.get("/me").await.is(200);
        browser.refresh().await.is_problem(401, "invalid_refresh_token");
    }
}

#[tokio::test]
async fn login_refresh_and_logout_remove_former_cookies() {
    let world = World::new(Backend::Memory).await;
    for (before, old) in configs() {
        for (after, new) in configs() {
            if before == after {
                continue;
            }
            let change = format!("{before} → {after}");
            let plain = deployed(&world, new.clone()).await;
            let (old, new) = (deployed(&world, old.clone()).await, deployed(&world, new.replaces(old.clone())).await);
            let works = async |browser: &mut Browser| {
                assert_eq!(kept(browser), 2, "{change}: {}", browser.cookies());
                browser.get("/auth/sessions").await.is(200);
                assert_eq!(browser.refresh().await.status, 200, "{change}");
                assert_eq!(kept(browser), 2, "{change}");
            };

            // The first request after the change is a refresh, which finds its cookie if that has the same name.
            let mut browser = Browser::new(&old, &world.clock);
            browser.login("alice").await;
            world.clock.advance(seconds(60));
            let (mut stuck, mut leaving) = (browser.clone(), browser.clone());
            browser.visit(&new);
            if browser.refresh().await.status != 200 {
                browser.login("alice").await;
            }
            works(&mut browser).await;

            // Browsers that used a deployment without `replaces`.
            stuck.visit(&plain);
            stuck.login("alice").await;
            let mut leaving_stuck = stuck.clone();
            stuck.visit(&new);
            stuck.login("alice").await;
            works(&mut stuck).await;

            for browser in [&mut leaving, &mut leaving_stuck] {
                browser.visit(&new);
                browser.post("/auth/logout").await.is(200);
                assert_eq!(browser.cookies(), "", "{change}");
            }
        }
    }
}

/// The presented refresh cookie is the former one, which is removed when a new one is set.
#[tokio::test]
async fn refresh_that_keeps_its_cookie_keeps_the_former_one() {
    let world = World::new(Backend::Memory).await;
    for (old, new) in [
        (secure().domain("app.test"), secure()),
        (secure(), secure().domain("app.test")),
        (secure().refresh_path("/auth"), secure()),
        (secure(), secure().refresh_path("/auth")),
    ] {
        let (old, new) = (deployed(&world, old.clone()).await, deployed(&world, new.replaces(old)).await);
        let mut browser = Browser::new(&old, &world.clock);
        browser.login("alice").await;
        world.clock.advance(seconds(60));
        browser.refresh().await.is(200);
        let token = browser.cookie("__Secure-refresh");
        browser.visit(&new);
        let response = browser.refresh().await;
        assert_eq!(response.is(200).cookie("__Secure-refresh"), None);
        assert_eq!((kept(&browser), browser.cookie("__Secure-refresh")), (2, token.clone()));
        browser.get("/me").await.is(200);
        world.clock.advance(seconds(60));
        browser.refresh().await.is(200);
        assert_ne!(browser.cookie("__Secure-refresh"), token);
        assert_eq!(kept(&browser), 2);
        browser.get("/me").await.is(200);
    }
}

/// A request of a browser while nodes of both configurations run.
#[derive(Clone, Copy, Debug)]
enum Step {
    Login,
    Refresh,
    Read,
    Logout,
    Wait(u64),
}

/// Nodes that replace each other's cookies never leave both in a browser.
#[test]
fn nodes_of_both_configurations_serve_the_same_browser() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut runner = TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() });
    let step = prop_oneof![
        1 => Just(Step::Login),
        4 => Just(Step::Refresh),
        4 => Just(Step::Read),
        1 => Just(Step::Logout),
        2 => (1_u64..120).prop_map(Step::Wait),
    ];
    let pairs = prop::sample::select(vec![
        (secure(), secure().domain("app.test")),
        (secure(), secure().refresh_path("/auth")),
        (secure().domain("app.test"), secure().refresh_path("/auth")),
        (secure().path("/auth"), secure().domain("app.test").refresh_path("/auth")),
    ]);
    let steps = prop::collection::vec((any::<bool>(), step), 1..40);
    let outcome = runner.run(&(pairs, steps), |((one, other), steps)| {
        runtime.block_on(async {
            let world = World::new(Backend::Memory).await;
            let nodes = [
                deployed(&world, one.clone().replaces(other.clone())).await,
                deployed(&world, other.replaces(one)).await,
            ];
            let mut browser = Browser::new(&nodes[0], &world.clock);
            browser.login("alice").await;
            let mut logged_in = true;
            for (node, step) in steps {
                browser.visit(&nodes[usize::from(node)]);
                match step {
                    Step::Login => drop(browser.login("alice").await),
                    Step::Refresh if logged_in => drop(browser.refresh().await.is(200)),
                    Step::Read if logged_in => drop(browser.get("/auth/sessions").await.is(200)),
                    Step::Logout => drop(browser.post("/auth/logout").await.is(200)),
                    Step::Wait(time) => world.clock.advance(seconds(time)),
                    Step::Refresh | Step::Read => continue,
                }
                logged_in = match step {
                    Step::Login => true,
                    Step::Logout => false,
                    _ => logged_in,
                };
                assert_eq!(kept(&browser), if logged_in { 2 } else { 0 }, "{}", browser.cookies());
            }
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn cookies_replaced_by_former_config_are_removed() {
    let world = World::new(Backend::Memory).await;
    let first = secure().domain("app.test");
    let second = secure().path("/auth").replaces(first.clone());
    let third = CookieConfig::new().replaces(second.clone());
    let mut browser = Browser::new(&deployed(&world, first).await, &world.clock);
    browser.login("alice").await;
    browser.visit(&deployed(&world, secure().path("/auth")).await);
    browser.login("alice").await;
    assert_eq!(kept(&browser), 4);
    browser.visit(&deployed(&world, third).await);
    browser.login("alice").await;
    assert_eq!(browser.cookies(), format!("{ACCESS}={}; {REFRESH}={}", browser.access(), browser.refresh_token()));
}

/// Over plain http a `Secure` line is ignored, and so are the cookies that it would remove.
#[tokio::test]
async fn development_on_plain_http_removes_no_secure_cookies() {
    let world = World::new(Backend::Memory).await;
    let insecure = || CookieConfig::new().insecure_http_for_development();
    let cookies = insecure().replaces(secure().domain("app.test")).replaces(insecure().path("/auth"));
    let response = Browser::new(&deployed(&world, cookies).await, &world.clock).login("alice").await;
    let lines = response.set_cookies();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("Secure")), "{lines:?}");
}

type HandlerResult = Result<Response, Error>;

/// The layer overrides session cookies only: a cookie with another domain or path is a different one.
#[tokio::test]
async fn layer_compares_name_domain_and_path_of_cookies() {
    const REMOVALS: [&str; 3] = [
        "__Secure-access=; Domain=app.test; Path=/; Secure; Max-Age=0",
        "__Secure-refresh=; Path=/auth; Secure; Max-Age=0",
        "__Secure-access=; Path=/; Secure; Partitioned; Max-Age=0",
    ];
    const UNDOING: [&str; 6] = [
        "__Secure-access=; Path=/; Secure; Max-Age=0",
        "__Secure-access = evil ; Secure ; path = /",
        "__Secure-refresh=evil; Path=/auth; Path=/; Secure",
        "__Secure-refresh=evil; Domain=app.test; Domain=; Secure; Path=/",
        "__Secure-access=evil; Path=/; Secure; HttpOnly; SameSite=None",
        // Without a path the session cookie is meant.
        "__Secure-access=evil; Secure",
    ];
    async fn login(State(sessions): State<SessionManager<Claims>>) -> HandlerResult {
        let cookies = sessions.login("alice").await?;
        let lines = AppendHeaders(REMOVALS.into_iter().chain(UNDOING).map(|line| (SET_COOKIE, line)));
        Ok((cookies, lines, "welcome").into_response())
    }
    let world = World::with(Backend::Memory, |builder| builder.cookies(secure())).await;
    let routes = Router::new().route("/login/alice", post(login)).layer(world.sessions.layer());
    let app = routes.with_state(world.sessions.clone());
    let old = deployed(&world, secure().domain("app.test").refresh_path("/auth")).await;
    let mut browser = Browser::new(&old, &world.clock);
    browser.login("alice").await;
    browser.visit(&app);
    let response = browser.login("alice").await;
    assert_eq!(response.set_cookies()[..3], REMOVALS);
    assert_eq!(response.set_cookies().len(), 5, "{:?}", response.set_cookies());
    // Not the cookie with both the domain and the path.
    assert_eq!(kept(&browser), 3, "{}", browser.cookies());
    browser.visit(&world.app);
    browser.get("/me").await.is(200);
}

/// A jar of tower-cookies holds one cookie of each name: the current one.
#[tokio::test]
async fn tower_cookies_jar_removes_former_cookies_of_other_names() {
    async fn login(State(sessions): State<SessionManager<Claims>>, jar: Cookies) -> Result<(), Error> {
        sessions.login("alice").await?.add_to(&jar);
        Ok(())
    }
    async fn logout(
        State(sessions): State<SessionManager<Claims>>,
        presented: PresentedTokens<Claims>,
        jar: Cookies,
    ) -> Result<(), Error> {
        sessions.logout(&presented).await?.add_to(&jar);
        Ok(())
    }
    let world = World::new(Backend::Memory).await;
    for (cookies, names) in [
        (CookieConfig::new().replaces(secure().domain("app.test")), 4),
        (secure().replaces(secure().domain("app.test")), 2),
    ] {
        let node = world.node(|builder| builder.cookies(cookies)).await;
        let routes = Router::new().route("/login", post(login)).route("/logout", post(logout));
        let app = routes.layer(CookieManagerLayer::new()).layer(node.sessions.layer()).with_state(node.sessions);
        let mut browser = Browser::new(&app, &world.clock);
        let lines = browser.send_unchecked("POST /login").await;
        assert_eq!(lines.set_cookies().len(), names, "{:?}", lines.set_cookies());
        assert_eq!(kept(&browser), 2, "the current cookies are set");
        browser.send_unchecked("POST /logout").await.is(200);
        assert_eq!(browser.cookies(), "");
    }
}

#[tokio::test]
async fn duplicate_cookie_is_logged_once() {
    let warnings = || {
        let text = Log::so_far();
        text.lines().filter(|line| line.contains("WARN") && line.contains("CookieConfig::replaces")).count()
    };
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let (access, refresh) =
        (format!("{ACCESS}={}", browser.access()), format!("{REFRESH}={}", browser.refresh_token()));
    Log::capture(LevelFilter::DEBUG);
    send(&world.app, "GET /greet", &[("cookie", format!("{access}; {refresh}"))]).await.is(200);
    assert_eq!(warnings(), 0);
    let twice = format!("{access}; {access}; {refresh}; {refresh}");
    for _ in 0..3 {
        send(&world.app, "GET /me", &[("cookie", &twice)]).await.is(401);
        send(&world.app, "POST /auth/refresh", &[("cookie", &twice)]).await.is(401);
        assert_eq!(warnings(), 1);
    }
    // The refresh cookie alone is the first of another manager.
    let other = world.node(|builder| builder).await;
    for _ in 0..2 {
        let headers = [("cookie", format!("{refresh}; {refresh}"))];
        send(&other.app, "POST /auth/refresh", &headers).await.is_problem(401, "invalid_refresh_token");
        assert_eq!(warnings(), 2);
    }
    assert!(
        Log::captured().lines().filter(|line| line.contains("session cookies refused")).count() >= 8,
        "each at DEBUG"
    );
}
