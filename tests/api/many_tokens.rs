//! How much work one request can cause: a few cookies of one name are read, and more are refused unread.

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, config::Config},
};
use tower_jwt_sessions::{
    event::{EndReason, SessionEventKind as Event},
    redis::RedisStore,
    testing::TestClock,
};

use crate::support::*;

on_every_store!(
    logout_and_login_end_sessions_of_four_cookies_of_each_name,
    repeated_logout_reaches_no_store,
    logout_that_failed_reaches_the_store_again,
);

/// The number of cookies of one name that are read.
const MAX: usize = 4;

/// A `Cookie` header with this number of tokens of each name, each of another session.
fn many(browser: &Browser, access: usize, refresh: usize) -> String {
    let (access_token, refresh_token) = (browser.access(), browser.refresh_token());
    let access = (0..access).map(|_| format!("{ACCESS}={}", of_lost_session(&access_token, ACCESS_SECRET)));
    let refresh = (0..refresh).map(|_| format!("{REFRESH}={}", of_lost_session(&refresh_token, REFRESH_SECRET)));
    access.chain(refresh).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn five_cookies_of_one_name_are_refused_unread() {
    let world = World::for_natives(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let good = browser.cookies();
    for more in [many(&browser, 0, MAX), many(&browser, MAX, 0), many(&browser, 500, 500)] {
        for cookies in [format!("{good}; {more}"), format!("{more}; {good}")] {
            let headers = [("cookie", &cookies)];
            for what in ["POST /auth/refresh", "POST /auth/logout", "POST /auth/logout-all"] {
                send(&world.app, what, &headers).await.is_problem(400, "invalid_request");
            }
        }
    }
    let ambiguous = format!("{good}; {}", many(&browser, MAX, 0));
    assert_eq!(send(&world.app, "GET /why", &[("cookie", &ambiguous)]).await.body, "AmbiguousCookie");
    send(&world.app, "GET /auth/sessions", &[("cookie", &ambiguous)]).await.is_problem(401, "invalid_token");
    assert_eq!(world.events(), [], "no request changed a session");
    browser.get("/me").await.is(200);
    browser.refresh().await.is(200);
}

#[tokio::test]
async fn login_with_five_cookies_of_one_name_replaces_nothing() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let cookies = format!("{}; {}", browser.cookies(), many(&browser, MAX, MAX));
    send(&world.app, "POST /login/alice", &[("cookie", &cookies)]).await.is(200);
    assert_eq!(world.events(), [Event::Created], "planted cookies do not prevent the login");
    browser.get("/me").await.is(200);
}

async fn logout_and_login_end_sessions_of_four_cookies_of_each_name(backend: Backend) {
    for path in ["/auth/logout", "/login/alice"] {
        let world = World::new(backend).await;
        let mut browsers = Vec::new();
        for _ in 0..2 * MAX {
            let mut browser = world.browser();
            browser.login("alice").await;
            browsers.push(browser);
        }
        let access = browsers[..MAX].iter().map(|browser| format!("{ACCESS}={}", browser.access()));
        let refresh = browsers[MAX..].iter().map(|browser| format!("{REFRESH}={}", browser.refresh_token()));
        let cookies = access.chain(refresh).collect::<Vec<_>>().join("; ");
        send(&world.app, &format!("POST {path}"), &[("cookie", &cookies)]).await.is(200);
        for browser in &mut browsers {
            browser.get("/me").await.is_problem(401, "invalid_token");
            browser.refresh().await.is_problem(401, "invalid_refresh_token");
        }
    }
}

/// The store is down, so every step fails.
async fn repeated_logout_reaches_no_store(backend: Backend) {
    let world = World::for_natives(backend).await;
    let (mut browser, native) = (world.browser(), world.native("bob").await);
    browser.login("alice").await;
    let cookies = browser.cookies();
    browser.post("/auth/logout").await.is(200);
    native.revoke(&native.refresh).await.is(200);
    world.store.set_down(true);
    let response = send(&world.app, "POST /auth/logout", &[("cookie", &cookies)]).await;
    assert_eq!(response.is(200).set_cookies().len(), 2, "the response removes the cookies");
    send(&world.app, "POST /auth/logout-all", &[("cookie", &cookies)]).await.is_problem(401, "invalid_token");
    for token in [&native.refresh, &native.access] {
        native.revoke(token).await.is(200);
    }
}

async fn logout_that_failed_reaches_the_store_again(backend: Backend) {
    for path in ["/auth/logout", "/login/alice", "/oauth/revoke", "/auth/logout-all"] {
        let world = World::for_natives(backend).await;
        let native = world.native("alice").await;
        let end = async || match path {
            "/oauth/revoke" => native.revoke(&native.access).await,
            _ => native.send(&format!("POST {path}")).await,
        };
        world.store.set_down(true);
        for _ in 0..2 {
            end().await.is_problem(503, "store_unavailable");
        }
        world.store.set_down(false);
        let id = claims_of(&native.access)["sid"].as_str().expect("an id").to_owned();
        let lives = async || {
            let listed = world.sessions.list("alice").await.expect("a list");
            listed.iter().any(|session| session.id.to_string() == id)
        };
        assert!(lives().await);
        world.events();
        end().await.is(200);
        let reason = if path == "/login/alice" { EndReason::Replaced } else { EndReason::LoggedOut };
        assert!(world.events().contains(&Event::Ended(reason)), "{path}");
        assert!(!lives().await, "{path}");
    }
}

/// A Redis server for one test, and the commands that it received.
struct Counted {
    _server: RedisServer,
    stats: Client,
    app: axum::Router,
    browser: Browser,
}

impl Counted {
    async fn new() -> Self {
        let server = RedisServer::start();
        let stats = Client::new(Config::from_url(&server.url()).expect("a URL"), None, None, None);
        stats.init().await.expect("the server runs");
        let clock = TestClock::new();
        let store = RedisStore::connect(&server.url()).await.expect("a connection").with_clock(clock.clone());
        let sessions = tower_jwt_sessions::SessionManager::<()>::builder()
            .access_keys(tower_jwt_sessions::KeyRing::hs256(ACCESS_SECRET).expect("long enough"))
            .refresh_keys(tower_jwt_sessions::KeyRing::hs256(REFRESH_SECRET).expect("long enough"))
            .issuer(ISSUER)
            .store(store)
            .clock(clock.clone())
            .accept_bearer_tokens();
        let sessions = build(sessions).await;
        let app = app(&sessions).merge(native_routes(&sessions));
        let mut browser = Browser::new(&app, &clock);
        // The server loads each script at its first use.
        for what in ["POST /login/alice", "POST /auth/refresh", "GET /auth/sessions", "POST /auth/logout-all"] {
            browser.send(what, &[]).await.is(200);
        }
        for what in ["POST /login/alice", "POST /auth/logout", "POST /login/alice"] {
            browser.send(what, &[]).await.is(200);
        }
        Self { _server: server, stats, app, browser }
    }

    /// Returns how many scripts ran, each of which is a step of the store, and how many entries the log received.
    async fn so_far(&self) -> [usize; 2] {
        let command = CustomCommand::new_static("INFO", ClusterHash::FirstKey, false);
        let stats: String = self.stats.custom(command, vec!["commandstats".to_owned()]).await.expect("a reply");
        ["evalsha", "xadd"].map(|name| {
            let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
            line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().expect("a number"))
        })
    }

    /// Sends a request, and returns its status and how many steps and entries it caused.
    async fn counts(&self, what: &str, cookies: &str) -> (u16, usize, usize) {
        let before = self.so_far().await;
        let response = send(&self.app, what, &[("cookie", cookies)]).await;
        let after = self.so_far().await;
        (response.status, after[0] - before[0], after[1] - before[1])
    }
}

/// The bounds that `docs/security.md` gives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_commands_of_one_request_are_bounded() {
    let counted = Counted::new().await;
    let browser = &counted.browser;
    let routes = [
        "POST /auth/refresh",
        "POST /auth/logout",
        "POST /auth/logout-all",
        "GET /auth/sessions",
        "DELETE /auth/sessions/x",
    ];
    // Too many cookies: no step runs, in any number of attempts.
    let crowd = many(browser, 500, 500);
    for what in routes.into_iter().chain(["GET /me", "GET /live"]) {
        let (status, steps, entries) = counted.counts(what, &crowd).await;
        assert!(matches!(status, 400 | 401), "{what}: {status}");
        assert_eq!((steps, entries), (0, 0), "{what}");
    }
    assert_eq!(counted.counts("POST /login/bob", &crowd).await, (200, 1, 0), "the session itself");

    // As many as are read, each of a different session that the store has lost: the most expensive request.
    for what in routes {
        let few = many(browser, MAX, MAX);
        let (status, steps, entries) = counted.counts(what, &few).await;
        let expected = match what {
            "POST /auth/logout" => (200, 2 * MAX, 2 * MAX),
            // One lookup for each token that may be sufficient.
            "POST /auth/logout-all" => (401, 2 * MAX, 0),
            _ => (401, 0, 0),
        };
        assert_eq!((status, steps, entries), expected, "{what}");
        let again = counted.counts(what, &few).await;
        if what == "POST /auth/logout" {
            assert_eq!(again, (200, 0, 0), "ended sessions are known to the node");
        }
    }
    // A session of the same user is replaced within the step that creates the new one.
    for user in ["alice", "bob"] {
        let few = many(browser, MAX, MAX);
        let (status, steps, entries) = counted.counts(&format!("POST /login/{user}"), &few).await;
        assert!(status == 200 && steps <= 2 * MAX + 1 && entries <= 2 * MAX, "{user}: {steps}, {entries}");
    }
}

/// Live sessions of one user, which end in one step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_all_of_many_live_sessions_is_one_step() {
    let counted = Counted::new().await;
    let mut tokens = Vec::new();
    for n in 0..2 * MAX {
        let mut browser = counted.browser.clone();
        browser.forget(ACCESS);
        browser.forget(REFRESH);
        browser.login("carol").await;
        tokens.push(match n % 2 {
            0 => format!("{ACCESS}={}", browser.access()),
            _ => format!("{REFRESH}={}", browser.refresh_token()),
        });
    }
    let (status, steps, entries) = counted.counts("POST /auth/logout-all", &tokens.join("; ")).await;
    assert_eq!((status, steps, entries), (200, 2 * MAX + 1, 1));
}
