//! Logs, errors and debug output contain no token or secret.

use std::fmt::Debug;

use axum::Router;
use http::{HeaderMap, header::COOKIE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::Layer as _;
use tower_jwt_sessions::{
    KeyRing, PresentedTokens, SessionManager,
    auth::{SessionRejectionKind, VerifyError},
    cookie::CookieConfig,
    keys::{SigningKey, VerificationKey},
    policy::{ReplayWindow, SessionLimit},
    store::{NewSession, PutData, SessionStore as _},
};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

/// The secrets: every token that a client received, and its parts.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn of(&mut self, browser: &Browser) {
        [browser.cookie(ACCESS), browser.cookie(REFRESH)].iter().flatten().for_each(|token| self.token(token));
    }

    fn token(&mut self, token: &str) {
        self.0.push(claims_of(token)["sid"].as_str().expect("an id").to_owned());
        // Signatures and payloads are secrets, too; headers are the same for every token.
        self.0.extend(token.split('.').skip(1).map(|part| part[..20].to_owned()));
    }

    fn of_native(&mut self, native: &Native) {
        [&native.access, &native.refresh].into_iter().for_each(|token| self.token(token));
    }

    #[track_caller]
    fn are_not_in(&self, text: &str) {
        for secret in self.0.iter().map(String::as_str).chain([ACCESS_SECRET, REFRESH_SECRET]) {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[tokio::test]
async fn log_on_memory_contains_no_secret() {
    log_contains_no_secret(Backend::Memory).await;
}

#[tokio::test]
async fn log_on_redis_contains_no_secret() {
    log_contains_no_secret(Backend::Redis).await;
}

async fn log_contains_no_secret(backend: Backend) {
    const USER: &str = "private@name.example";
    Log::capture(LevelFilter::TRACE);
    let world = World::new(backend).await;
    let (mut browser, mut secrets) = (world.browser(), Secrets::default());
    let agent = [("user-agent", "Browser/1\x1b[31m"), ("x-client", "192.0.2.77")];
    browser.send(&format!("POST /login/{USER}"), &agent[1..]).await.is(200);
    secrets.of(&browser);
    browser.get("/me").await.is(200);
    let old = browser.clone();
    browser.refresh().await.is(200);
    secrets.of(&browser);
    old.send_only("POST /auth/refresh", &[]).await.is(200);
    browser.get("/auth/sessions").await.is(200);
    world.sessions.expire_access(USER).await.expect("access expires");
    browser.refresh().await.is(200);
    secrets.of(&browser);
    // Invalid tokens are not repeated.
    let (access, refresh) = (browser.access(), browser.refresh_token());
    for cookies in [
        format!("{ACCESS}={access}x; {REFRESH}={refresh}x"),
        format!("{ACCESS}={refresh}; {REFRESH}={access}"),
        format!("{ACCESS}={access}; {ACCESS}={access}; {REFRESH}={refresh}; {REFRESH}={refresh}"),
        format!("{ACCESS}={}", Forgery::of(&access, ACCESS_SECRET).claim("\"gen\":2", "\"gen\":0").signed()),
        format!("{ACCESS}={}", Forgery::of(&access, "another").signed()),
    ] {
        for what in ["GET /me", "POST /auth/refresh"] {
            send(&world.app, what, &[("cookie", &cookies)]).await.is(401);
        }
    }
    browser.send("POST /auth/refresh", &[("sec-fetch-site", "cross-site")]).await.is(403);
    world.store.set_down(true);
    for _ in 0..3 {
        browser.refresh().await.is(503);
    }
    world.store.set_down(false);
    world.users.set_down(true);
    browser.refresh().await.is(503);
    world.users.set_down(false);
    world.clock.advance(seconds(60));
    browser.refresh().await.is(200);
    secrets.of(&browser);
    old.send_only("POST /auth/refresh", &[]).await.is(401);
    browser.refresh().await.is(401);
    browser.login(USER).await;
    secrets.of(&browser);
    browser.post("/auth/logout").await.is(200);

    let text = Log::captured();
    secrets.are_not_in(&text);
    assert!(!text.contains("eyJ"), "no part of a token");
    let ours: Vec<&str> = text.lines().filter(|line| line.contains("tower_jwt_sessions")).collect();
    assert!(!ours.iter().any(|line| line.contains(USER) || line.contains("192.0.2.77")), "{ours:#?}");
    let times = |what: &str| ours.iter().filter(|line| line.contains(what)).count();
    for event in [
        "session_created",
        "session_renewed",
        "session_access_expired",
        "authn_token_reuse",
        "authn_token_revoked",
        "session_use_after_expire",
        "session_logout",
        "token refused",
        "session cookies refused",
        "foreign header",
        "bad signature",
        "bad claims",
        "cross-site",
        "claims source unavailable",
    ] {
        assert!(times(event) > 0, "{event} is not in {text}");
    }
    // One line for an outage, however many requests it met.
    assert_eq!(ours.iter().filter(|line| line.contains("ERROR") && line.contains("store unavailable")).count(), 1);
    // Events of one session can be found by its digest.
    let id: tower_jwt_sessions::SessionId =
        claims_of(&old.access())["sid"].as_str().expect("an id").parse().expect("an id");
    let digest = id.log_digest().to_string();
    assert!(ours.iter().filter(|line| line.contains(&digest)).count() > 4, "{ours:#?}");
}

#[tokio::test]
async fn log_of_native_client_on_memory_contains_no_secret() {
    native_log_contains_no_secret(Backend::Memory).await;
}

#[tokio::test]
async fn log_of_native_client_on_redis_contains_no_secret() {
    native_log_contains_no_secret(Backend::Redis).await;
}

async fn native_log_contains_no_secret(backend: Backend) {
    Log::capture(LevelFilter::TRACE);
    let world = World::for_natives(backend).await;
    let mut secrets = Secrets::default();
    let mut native = world.native("private@name.example").await;
    secrets.of_native(&native);
    native.send("GET /live").await.is(200);
    let old = native.clone();
    native.refresh().await;
    secrets.of_native(&native);
    native.refresh().await;
    secrets.of_native(&native);
    let good = native.bearer();
    for (what, status) in [("GET /greet", 400), ("POST /auth/logout", 400)] {
        let with_cookie = [("authorization", good.clone()), ("cookie", format!("{ACCESS}={}", old.access))];
        let twice = [("authorization", good.clone()), ("authorization", old.bearer())];
        for headers in [with_cookie, twice] {
            send(&world.app, what, &headers).await.is(status);
        }
        send(&world.app, what, &[("authorization", format!("{good} {}", old.access))]).await.is(status);
    }
    for line in [format!("{good}x"), format!("Bearer {}", native.refresh)] {
        send(&world.app, "GET /greet", &[("authorization", line)]).await.is(401);
    }
    for token in [format!("{}x", native.refresh), native.access.clone()] {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        send_form(&world.app, "POST /oauth/token", &form).await.is(400);
        send_form(&world.app, "POST /oauth/token", &format!("{form}&{form}")).await.is(400);
    }
    world.store.set_down(true);
    native.ask().await.is(503);
    native.revoke("x").await.is(200);
    world.store.set_down(false);
    world.clock.advance(seconds(60));
    old.ask().await.is(400);
    let native = world.native("private@name.example").await;
    secrets.of_native(&native);
    native.revoke(&native.access).await.is(200);
    native.send("GET /me").await.is(401);
    // What an application might print.
    let tokens = world.sessions.login("alice").tokens().await.expect("tokens");
    secrets.token(tokens.access_token());
    secrets.token(tokens.refresh_token().expect("both"));
    let printed = format!("{tokens:?} {tokens:#?}");
    tracing::warn!(?tokens, "tokens");
    assert!(printed.contains("[redacted]") && printed.contains("3600s"), "{printed}");

    let text = Log::captured() + &printed;
    secrets.are_not_in(&text);
    assert!(!text.contains("eyJ"), "no part of a token");
    assert!(!text.contains("private@name.example"));
    for expected in
        ["a Bearer token and a session cookie", "no single Bearer token", "token refused", "authn_token_reuse"]
    {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[tokio::test]
async fn printed_values_contain_no_secret() {
    let world = World::with(Backend::Memory, |builder| {
        builder
            .replay_window(ReplayWindow::UntilConfirmed(seconds(5)))
            .session_limit(SessionLimit::default())
            .trusted_origin("https://www.app.test")
    })
    .await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let mut secrets = Secrets::default();
    secrets.of(&browser);
    let headers = HeaderMap::from_iter([(COOKIE, browser.cookies().parse().expect("a header"))]);
    let sessions = &world.sessions;
    let presented = sessions.verifier().present(&headers);
    let session = presented.session().expect("a session").clone();
    assert!(presented.has_refresh_token());

    let mut printed = String::new();
    let mut print = |value: &dyn Debug| printed += &format!("{value:?}\n{value:#?}\n");
    print(&presented);
    print(&session);
    print(&session.id());
    print(&sessions);
    print(&sessions.verifier());
    print(&sessions.layer());
    print(&sessions.layer().layer(()));
    print(&sessions.cross_site_guard());
    print(&builder::<Claims>(&world.store, &world.clock).claims_with((), async |(), _| Ok::<_, String>(None)));
    print(&CookieConfig::new());
    let access = SigningKey::hs256(ACCESS_SECRET).expect("long enough");
    print(&access.verification_key());
    print(&access);
    let old = VerificationKey::hs256(REFRESH_SECRET).expect("long enough");
    print(&KeyRing::new(access).with_verification_key(old).expect("another key"));
    print(&KeyRing::hs256("short").err());
    print(&sessions.list("alice").await);
    print(&world.whole_events());
    print(&sessions.login("alice").replacing(presented.clone()).user_agent("Browser/1"));
    print(&world.store.find(&owner::owner(session.user_id()), session.id()).await);

    let mut failures = vec![sessions.refresh(&PresentedTokens::default()).await.err()];
    let cookies = sessions.refresh(&presented).await;
    print(&cookies);
    let response = axum::response::IntoResponse::into_response(cookies.expect("cookies"));
    print(&response);
    world.store.set_down(true);
    failures.push(sessions.refresh(&presented).await.err());
    failures.push(sessions.logout(&presented).await.err());
    failures.push(sessions.refresh(&presented).await.err());
    world.store.set_down(false);
    failures.push(sessions.refresh(&presented).await.err());
    failures.push(sessions.login("u".repeat(300)).await.err());
    let mut kinds = Vec::new();
    for failure in failures.into_iter().flatten() {
        kinds.push(format!("{:?}", failure.kind()));
        print(&failure);
        print(&failure.to_string());
        print(&std::error::Error::source(&failure).map(ToString::to_string));
        print(&failure.problem());
    }
    assert_eq!(kinds, ["MissingRefreshToken", "Store", "Store", "Store", "InvalidRefreshToken", "InvalidUserId"]);
    print(&sessions.verifier().verify(&headers).err());
    assert_eq!(sessions.verifier().verify(&headers).err(), Some(VerifyError::Revoked));
    print(&SessionManager::<Claims>::builder().build().err());
    print(&Router::<()>::new().nest("/auth", sessions.router()).layer(sessions.layer()));

    for expected in ["Session", "SessionManager", "SessionCookies", "[redacted]", "connection refused"] {
        assert!(printed.contains(expected), "{expected} was not printed");
    }
    secrets.are_not_in(&printed);
}

/// The data that applications keep in sessions.
const CANARY: &str = "canary-of-the-application";
const CANARY_AGENT: &str = "canary/1.0 (browser)";
const CANARY_IP: &str = "203.0.113.77";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CanaryClaims {
    role: String,
}

/// `Debug` of every public type that holds data, claims, devices, tokens or secrets, and the text of every error that
/// meets them. User ids are printed by what names a user, such as an event; a session id by its digest.
#[tokio::test]
async fn debug_output_contains_no_session_contents() {
    let world = World::new(Backend::Memory).await;
    let role = || CanaryClaims { role: CANARY.to_owned() };
    let claims = async |claims: CanaryClaims, _| Ok::<_, String>(Some(claims));
    let sessions = build(builder::<CanaryClaims>(&world.store, &world.clock).claims_with(role(), claims)).await;
    let tokens = sessions
        .login("alice")
        .data(&json!({ "note": CANARY }))
        .user_agent(CANARY_AGENT)
        .ip(CANARY_IP.parse::<std::net::IpAddr>().expect("an address"))
        .tokens()
        .await
        .expect("tokens");
    let mut secrets = Secrets::default();
    secrets.token(tokens.access_token());
    let cookies = format!("{ACCESS}={}; {REFRESH}={}", tokens.access_token(), tokens.refresh_token().expect("both"));
    let headers = HeaderMap::from_iter([(COOKIE, cookies.parse().expect("a header"))]);
    let presented = sessions.verifier().present(&headers);
    let session = presented.session().expect("a session").clone();
    let (user, id) = (owner::owner(session.user_id()), session.id());

    let mut printed = String::new();
    let mut print = |value: &dyn Debug| printed += &format!("{value:?}\n{value:#?}\n");
    print(&tokens);
    print(&presented);
    print(&session);
    print(&sessions);
    print(&sessions.verifier());
    print(&sessions.login("alice").data(&json!(CANARY)).user_agent(CANARY_AGENT).replacing(presented.clone()));
    print(&sessions.list("alice").await.expect("a list"));
    let data = sessions.data::<Value>(&session).await.expect("data");
    assert_eq!(data.value, Some(json!({ "note": CANARY })));
    print(&data);
    print(&sessions.data_or_else::<u8, _>(&session, |_| Some(7)).await.expect("data"));
    print(&world.store.get_data(&user, id).await.expect("data"));
    print(&world.store.list(&user).await.expect("a list"));
    print(&PutData::new(user.clone(), id, 1, CANARY.into()));
    let mut new = NewSession::new(user.clone(), id, seconds(60), seconds(60), seconds(60));
    new.data = Some(CANARY.into());
    new.device.user_agent = Some(CANARY_AGENT.to_owned());
    new.device.ip = Some(CANARY_IP.parse().expect("an address"));
    print(&new);
    print(&new.device);
    print(&SessionRejectionKind::Unauthenticated(VerifyError::Revoked));

    // The stored value has another type than the requested one, at any place.
    #[derive(Debug, Deserialize)]
    struct Note {
        #[serde(rename = "note")]
        _note: Kind,
    }
    #[derive(Debug, Deserialize)]
    enum Kind {
        One,
    }
    let mut failures = vec![
        sessions.data::<Note>(&session).await.err(),
        sessions.data::<std::collections::BTreeMap<String, u8>>(&session).await.err(),
        sessions.data::<std::collections::BTreeMap<String, std::net::IpAddr>>(&session).await.err(),
        sessions.data::<Vec<Kind>>(&session).await.err(),
    ];
    let written = sessions.put_data(&session, 1, &CANARY).await.expect("a version");
    failures.push(sessions.data::<u8>(&session).await.err());
    failures.push(sessions.update_data::<u8, _>(&session, |n| n.unwrap_or(0)).await.err());
    failures.push(sessions.put_data(&session, written + 1, &CANARY).await.err());
    for failure in &failures {
        let failure = failure.as_ref().expect("an error");
        print(failure);
        print(&failure.to_string());
        let mut source = std::error::Error::source(failure);
        while let Some(cause) = source {
            print(&(cause, cause.to_string()));
            source = cause.source();
        }
    }
    Log::capture(LevelFilter::TRACE);
    for failure in failures.into_iter().flatten() {
        let _ = axum::response::IntoResponse::into_response(failure);
    }
    printed += &Log::captured();
    secrets.are_not_in(&printed);
    for hidden in [CANARY, CANARY_AGENT, CANARY_IP, "99, 97, 110, 97, 114, 121"] {
        assert!(!printed.contains(hidden), "{hidden} is in {printed}");
    }
    let texts = ["expected `One`", "expected u8", "session operation failed", "[redacted]", "bytes]", "data_or_else"];
    for expected in texts {
        assert!(printed.contains(expected), "{expected} was not printed: {printed}");
    }
}
