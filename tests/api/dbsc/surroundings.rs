//! Binding beside the rest of the crate: pages, native clients, guards, configuration, keys, the log.

use std::time::Duration;

use axum::{Router, routing::get};
use serde_json::json;
use tower_jwt_sessions::{
    KeyRing, Session, SessionManager,
    cookie::{CookieConfig, SameSite},
    dbsc::DeviceBinding,
    error::ConfigErrorKind,
    event::{Operation, SessionEventKind as Event, SkipReason},
    guard::require_device_binding,
    keys::SigningKey,
    manager::SessionManagerBuilder,
    policy::ReplayWindow,
};
use tracing::level_filters::LevelFilter;

use super::{binding, world};
use crate::support::{device::*, log::Log, *};

on_every_store!(
    pages_of_bound_sessions_are_not_renewed,
    skipped_refreshes_are_reported,
    native_clients_are_not_offered_to_be_bound,
    guards_let_bound_sessions_pass,
    session_document_offers_and_says_bound,
    challenges_outlive_a_change_of_keys,
    log_contains_neither_key_nor_proof,
    expired_access_is_loaded_again,
);

fn pages(sessions: &SessionManager<Claims>) -> Router {
    Router::new()
        .route("/page", get(async |session: Session<Claims>| session.is_bound().to_string()))
        .layer(sessions.renewal_layer())
        .merge(Router::new().nest("/auth", sessions.router()).layer(sessions.layer()))
}

async fn pages_of_bound_sessions_are_not_renewed(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.login("alice").await;
    browser.browser.visit(&pages(&world.sessions));
    assert_eq!(browser.browser.navigate("/page").await.is(200).body, "false");
    world.clock.advance(seconds(60));
    assert_eq!(browser.browser.navigate("/page").await.is(200).body, "false", "renewed without proof");
    browser.refresh().await.is(200);
    assert_eq!(browser.browser.navigate("/page").await.is(200).body, "true");
    world.clock.advance(hours(1));
    world.events();
    // As a thief does, whose browser refreshes nothing by itself.
    let page = browser.browser.navigate("/page").await;
    let lines = page.is(403).set_cookies();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{ACCESS}=;")) && lines[0].contains("Max-Age=0"), "{lines:?}");
    assert_eq!(world.events(), [Event::DeviceProofMissing]);
    browser.refresh().await.is(200);
    assert_eq!(browser.browser.navigate("/page").await.is(200).body, "true");

    // A page of a device that has lost its key leads to the login.
    let site = world.node(|builder| binding(builder).login_url("/login")).await;
    browser.browser.visit(&pages(&site.sessions));
    world.clock.advance(hours(1));
    let response = browser
        .browser
        .send("GET /page", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("accept", "text/html")])
        .await;
    assert_eq!(response.is(303).header("location"), "/login?next=%2Fpage");
    browser.browser.send("GET /page", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]).await.is(401);
}

async fn skipped_refreshes_are_reported(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let id = world.sessions.list("alice").await.unwrap()[0].id;
    world.events();
    for (value, reason) in [
        ("quota_exceeded;session_identifier=\"x\"", SkipReason::QuotaExceeded),
        ("unreachable", SkipReason::Unreachable),
        ("server_error; session_identifier=\"x\"", SkipReason::ServerError),
        ("another", SkipReason::Other),
    ] {
        let skipped = [("secure-session-skipped", value), ("user-agent", "Browser/1")];
        browser.browser.send("GET /me", &skipped).await.is(200);
        assert!(world.events().is_empty(), "the access token is still valid");
        let access = browser.browser.access();
        browser.browser.forget(ACCESS);
        browser.browser.send("GET /me", &skipped).await.is_problem(401, "invalid_token");
        let events = world.whole_events();
        let told: Vec<_> = events.iter().map(|event| (event.kind, event.operation, event.session_id)).collect();
        assert_eq!(told, [(Event::DeviceProofSkipped(reason), Operation::Request, id)]);
        assert_eq!((events[0].user_id.as_str(), events[0].user_agent.as_deref()), ("alice", Some("Browser/1")));
        let document: serde_json::Value = serde_json::from_str(&events[0].to_json()).expect("JSON");
        assert_eq!(document["event"], "session_device_proof_skipped");
        assert_eq!(
            document["reason"],
            value.split(';').next().filter(|_| reason != SkipReason::Other).unwrap_or("other")
        );
        browser.browser.plant(ACCESS, &access);
    }
    // Others cannot report anything.
    send(&world.app, "GET /me", &[("secure-session-skipped", "unreachable")]).await.is(401);
    send(&world.app, "GET /me", &[("secure-session-skipped", "unreachable"), ("cookie", "__Host-refresh=x")])
        .await
        .is(401);
    assert!(world.events().is_empty());
}

async fn native_clients_are_not_offered_to_be_bound(backend: Backend) {
    let mut world = World::for_natives_with(backend, binding).await;
    world.app = world.app.clone().nest("/module", world.sessions.client_router(std::future::pending::<()>));
    let native = world.native("alice").await;
    let bearer = format!("Bearer {}", native.access);
    world.clock.advance(seconds(60));
    let response = send(&world.app, "GET /module/session", &[("authorization", &bearer)]).await;
    assert_eq!(response.is(200).header(OFFER), "");
    // And refresh as before.
    assert!(world.sessions.refresh_with_token(&native.refresh).await.is_ok());

    // The tokens of a bound browser are of no use there.
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let form = format!("grant_type=refresh_token&refresh_token={}", browser.browser.refresh_token());
    let response = send_form(&world.app, "POST /oauth/token", &form).await;
    response.is_problem(403, "proof_required");
}

async fn guards_let_bound_sessions_pass(backend: Backend) {
    let mut world = world(backend).await;
    let guarded = Router::new()
        .route("/transfer", get(async || "done").layer(require_device_binding::<Claims>()))
        .layer(world.sessions.layer());
    world.app = world.app.merge(guarded);
    let mut browser = world.bound_browser();
    browser.browser.get("/transfer").await.is_problem(401, "missing_credentials");
    browser.login("alice").await;
    browser.browser.get("/transfer").await.is_problem(403, "device_binding_required");
    browser.refresh().await.is(200);
    browser.browser.get("/transfer").await.is(200);
}

async fn session_document_offers_and_says_bound(backend: Backend) {
    let mut world = world(backend).await;
    world.app = world.app.clone().nest("/module", world.sessions.client_router(std::future::pending::<()>));
    let mut browser = world.bound_browser();
    browser.browser.login("alice").await;
    let document = async |browser: &mut BoundBrowser| {
        let response = browser.browser.get("/module/session").await;
        (response.is(200).json()["bound"].clone(), response)
    };
    let (bound, response) = document(&mut browser).await;
    assert_eq!((bound, offered(&response)), (json!(false), None), "the browser may be about to register");
    world.clock.advance(seconds(15));
    let (_, response) = document(&mut browser).await;
    browser.register(&response).await.is(200);
    browser.refresh().await.is(200);
    let (bound, response) = document(&mut browser).await;
    assert_eq!((bound, offered(&response)), (json!(true), None));

    let mut late = world.bound_browser();
    late.browser.login("alice").await;
    world.clock.advance(seconds(300));
    assert_eq!(offered(&document(&mut late).await.1), None);
}

async fn challenges_outlive_a_change_of_keys(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let next = SigningKey::hs256("the next refresh secret, known to nodes only").unwrap();
    let ring = world.sessions.refresh_keys().with_verification_key(next.verification_key().clone()).unwrap();
    world.sessions.replace_refresh_keys(ring).unwrap();
    let until = std::time::SystemTime::from(tower_jwt_sessions::clock::Clock::now(&world.clock)) + hours(24 * 8);
    world.sessions.replace_refresh_keys(world.sessions.refresh_keys().activate(next, until).unwrap()).unwrap();
    browser.try_refresh().await.is(200);
    world.clock.advance(seconds(60));
    browser.try_refresh().await.is(200);

    // With a pair of keys in place of a secret.
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let pair = |builder: SessionManagerBuilder<Claims>| {
        binding(builder).refresh_keys(KeyRing::new(SigningKey::eddsa_pem(pem).unwrap()))
    };
    let node = world.node(pair).await;
    let mut browser = node.bound_browser();
    browser.bind("bob").await;
    browser.try_refresh().await.is(200);
}

async fn log_contains_neither_key_nor_proof(backend: Backend) {
    Log::capture(LevelFilter::TRACE);
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    let mut secrets = vec![offered(&login).expect("an offer").0];
    browser.register(&login).await.is(200);
    let jwk = browser.bound.as_ref().expect("a session").key.jwk();
    secrets.extend(["x", "y"].map(|name| jwk[name].as_str().expect("a text").to_owned()));
    for _ in 0..3 {
        let bound = browser.bound.as_ref().expect("a session");
        let challenge = bound.challenge.clone().expect("a challenge");
        let proof = bound.key.proof(&challenge);
        secrets.extend(proof.split('.').skip(1).map(str::to_owned));
        secrets.extend([challenge, bound.id.clone()]);
        let headers = [(ID, bound.id.as_str()), (PROOF, proof.as_str())];
        browser.browser.send_only("POST /auth/dbsc/refresh", &headers).await.is(200);
        browser.refresh().await.is(200);
        world.clock.advance(seconds(60));
    }
    world.store.set_down(true);
    browser.try_refresh().await.is(503);
    world.store.set_down(false);
    let bound = browser.bound.as_mut().expect("a session");
    bound.key = DeviceKeyPair::generate();
    browser.try_refresh().await.is(400);
    browser.browser.refresh().await.is(403);
    let text = Log::captured();
    for event in ["device_registered", "device_bound", "device_proof_missing", "device_proof_invalid"] {
        assert!(text.contains(&format!("session_{event}")), "{event} is not logged");
    }
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "{secret} is logged");
    }
    let shown = format!("{:?} {:?}", world.sessions, world.sessions.list("alice").await);
    assert!(!secrets.iter().any(|secret| shown.contains(secret.as_str())));
}

/// The short token of a registration must not have claims that were changed during it.
async fn expired_access_is_loaded_again(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    world.users.set_role("alice", "admin");
    world.sessions.expire_access("alice").await.unwrap();
    let asked = world.users.asked();
    browser.register(&login).await.is(200);
    assert_eq!(browser.browser.get("/me").await.is(200).json()["claims"]["role"], "admin");
    // Claims that were asked for within the same second may have been read before.
    assert_eq!(world.users.asked(), asked + 2);
    world.users.delete("alice");
    browser.refresh().await;
    assert_eq!(browser.bound.map(|bound| bound.id), None, "the user is gone, and so is the session");
    assert_eq!(world.count("alice").await, 0);
}

#[tokio::test]
async fn cookies_that_end_with_the_browser_are_timed_where_it_has_to_notice() {
    let cookies = CookieConfig::new().names("a", "r").domain("app.test").same_site(SameSite::Lax).browser_session();
    let world = World::with(Backend::Memory, |builder| binding(builder).cookies(cookies)).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    assert!(login.set_cookies().iter().all(|line| !line.contains("Max-Age")));
    let response = browser.register(&login).await;
    let credential = &response.is(200).json()["credentials"][0];
    assert_eq!(
        *credential,
        json!({
            "type": "cookie",
            "name": "__Secure-a",
            "attributes": "Domain=app.test; Path=/; Secure; HttpOnly; SameSite=Lax",
        })
    );
    let response = browser.refresh().await;
    let max_age = |name: &str| {
        let lines = response.set_cookies();
        let line = lines.iter().find(|line| line.starts_with(name)).expect("a cookie").to_owned();
        line.split("; ").find(|part| part.starts_with("Max-Age")).map(str::to_owned)
    };
    assert_eq!((max_age("__Secure-a="), max_age("__Secure-r=")), (Some("Max-Age=598".to_owned()), None));
}

#[tokio::test]
async fn configurations_that_cannot_bind_are_refused() {
    type Configure = fn(SessionManagerBuilder<()>) -> SessionManagerBuilder<()>;
    let clock = tower_jwt_sessions::testing::TestClock::new();
    let store = TestStore::memory(&clock);
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let plain = |builder: SessionManagerBuilder<()>| builder.device_binding(DeviceBinding::new());
    let short = DeviceBinding::new().bound_lifetime(minutes(5) - seconds(1));
    let cases: Vec<(ConfigErrorKind, &str, SessionManagerBuilder<()>)> = vec![
        (ConfigErrorKind::MissingOption, "needs own_origin", plain(builder(&store, &clock))),
        (ConfigErrorKind::InvalidOrigin, "serve https", plain(builder(&store, &clock).own_origin("http://app.test"))),
        (
            ConfigErrorKind::InvalidCookie,
            "leave out",
            binding(builder(&store, &clock)).cookies(CookieConfig::new().same_site(SameSite::None).partitioned()),
        ),
        (
            ConfigErrorKind::InvalidCookie,
            "leave out",
            binding(builder(&store, &clock)).cookies(CookieConfig::new().insecure_http_for_development()),
        ),
        (ConfigErrorKind::InvalidLifetime, "lengthen it", binding(builder(&store, &clock)).device_binding(short)),
        (
            ConfigErrorKind::InvalidLifetime,
            "lengthen it",
            binding(builder(&store, &clock)).access_lifetime(minutes(5) - seconds(1)),
        ),
        (
            ConfigErrorKind::InvalidLifetime,
            "lengthen it",
            binding(builder(&store, &clock)).device_binding(DeviceBinding::new().short_lifetime_for_tests(seconds(0))),
        ),
    ];
    for (kind, help, builder) in cases {
        let error = builder.build().expect_err(help);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(help), "{error}");
    }
    for path in ["auth", "//auth", "/au th", "/auth?x", "/a\"b", "/a\\b", "https://app.test/auth"] {
        let builder = binding::<()>(builder(&store, &clock)).device_binding(DeviceBinding::new().mounted_at(path));
        assert_eq!(builder.build().expect_err(path).kind(), ConfigErrorKind::InvalidOption, "{path}");
    }
    let accepted: [Configure; 4] = [
        |builder| builder.device_binding(DeviceBinding::new().bound_lifetime(Duration::from_secs(300))),
        |builder| builder.device_binding(DeviceBinding::new().short_lifetime_for_tests(Duration::from_secs(1))),
        |builder| builder.device_binding(DeviceBinding::new().mounted_at("/a/b/")),
        |builder| builder.device_binding(DeviceBinding::new().mounted_at("")),
    ];
    for configure in accepted {
        configure(binding(builder(&store, &clock))).build().expect("a valid configuration");
    }
}

/// A token that fits at the login fits when the session is bound.
#[tokio::test]
async fn binding_makes_no_token_too_long() {
    let refused = |len: usize| async move {
        let world =
            World::with(Backend::Memory, |builder| binding(builder).replay_window(ReplayWindow::Fixed(seconds(10))))
                .await;
        world.users.set_role("alice", &"x".repeat(len));
        let mut browser = world.bound_browser();
        let login = browser.browser.post("/login/alice").await;
        if login.status != 200 {
            return true;
        }
        browser.register(&login).await.is(200);
        browser.refresh().await.is(200);
        false
    };
    let (mut fits, mut fails) = (0, 4096);
    while fails - fits > 1 {
        let middle = usize::midpoint(fits, fails);
        *(if refused(middle).await { &mut fails } else { &mut fits }) = middle;
    }
    assert!(fits > 2000, "{fits}");
}
