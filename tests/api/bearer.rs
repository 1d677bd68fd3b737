//! Access tokens in an `Authorization: Bearer` header (RFC 6750), which is off by default.

use axum::{Router, routing::get};
use serde_json::json;
use tower_jwt_sessions::{
    Session,
    auth::SessionRejection,
    cookie::CookieConfig,
    event::{EndReason, SessionEventKind as Event},
};

use crate::support::*;

const PAGES: [&str; 5] = ["GET /me", "GET /greet", "GET /live", "GET /greet-live", "GET /auth/sessions"];

#[tokio::test]
async fn bearer_token_is_ignored_by_default() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let bearer = format!("Bearer {}", browser.access());
    for line in [&*bearer, "Bearer x", "Bearer", "Bearer A B", "Basic YTpi"] {
        let alone = [("authorization", line)];
        send(&world.app, "GET /me", &alone).await.is_problem(401, "missing_credentials");
        assert_eq!(send(&world.app, "GET /greet", &alone).await.body, "hello, anonymous");
        assert_eq!(send(&world.app, "GET /why", &alone).await.body, "NoCredentials");
        send(&world.app, "POST /auth/logout-all", &alone).await.is_problem(401, "missing_credentials");
        send(&world.app, "POST /auth/logout", &alone).await.is(200);
        // Beside cookies it does not count as a second credential.
        let twice = [("authorization", line), ("authorization", line)];
        for headers in [&alone[..], &twice] {
            browser.send("GET /me", headers).await.is(200);
            browser.send("POST /auth/refresh", headers).await.is(200);
        }
    }
    assert_eq!(world.count("alice").await, 1, "the logout ended no session");
}

#[tokio::test]
async fn bearer_token_gives_same_session_as_cookie() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let me = native.send("GET /me").await.is(200).json();
    let claims = claims_of(&native.access);
    assert_eq!(me, json!({ "user": "alice", "id": claims["sid"], "claims": { "role": "member" }, "expires_in": 3600 }));
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR  "] {
        let line = format!("{scheme} {}", native.access);
        assert_eq!(send(&world.app, "GET /me", &[("authorization", &line)]).await.is(200).json(), me);
    }
    assert_eq!(native.send("GET /greet").await.body, "hello, alice");
    assert_eq!(native.send("GET /live").await.body, "alice");
    assert_eq!(native.send("GET /greet-live").await.body, "hello, alice");
    // The access token of a browser's cookie is accepted as well.
    let mut browser = world.browser();
    browser.login("bob").await;
    let line = format!("Bearer {}", browser.access());
    assert_eq!(send(&world.app, "GET /live", &[("authorization", &line)]).await.is(200).body, "bob");
    browser.get("/me").await.is(200);
    // Cookies of other names are not credentials.
    let headers = [("authorization", native.bearer()), ("cookie", "theme=dark; access=x".to_owned())];
    send(&world.app, "GET /me", &headers).await.is(200);
}

#[tokio::test]
async fn other_authorization_schemes_are_ignored() {
    let world = World::for_natives(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let digest = "Digest username=\"Bearer x\", realm=\"a\"";
    for line in ["", "Basic YTpi", digest, "Bearerer x", "DPoP x", "Negotiate"] {
        let headers = [("authorization", line)];
        send(&world.app, "GET /me", &headers).await.is_problem(401, "missing_credentials");
        assert_eq!(send(&world.app, "GET /greet", &headers).await.body, "hello, anonymous");
        browser.send("GET /me", &headers).await.is(200);
        browser.send("POST /auth/refresh", &headers).await.is(200);
    }
}

#[tokio::test]
async fn invalid_bearer_token_is_refused_on_public_pages_too() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let ended = world.native("alice").await;
    let (_, access) = (ended.send("POST /auth/logout").await.is(200), &native.access);
    let foreign = Forgery::of(access, "another secret").signed();
    let bad = [ended.access.clone(), native.refresh.clone(), foreign, "x".to_owned(), format!("{access}==")];
    for token in &bad {
        let headers = [("authorization", format!("Bearer {token}"))];
        for page in PAGES {
            send(&world.app, page, &headers).await.is_problem(401, "invalid_token");
        }
        assert_ne!(send(&world.app, "GET /why", &headers).await.body, "NoCredentials");
    }
    world.clock.advance(hours(1));
    for page in PAGES {
        native.send(page).await.is_problem(401, "invalid_token");
    }
    assert_eq!(native.send("GET /why").await.body, "Expired");
    // The store has revocations that this node has not read.
    let late = world.native("carol").await;
    let other = world.node(|builder| builder.accept_bearer_tokens()).await;
    other.sessions.end_all("carol").await.expect("the session ends");
    for page in ["GET /live", "GET /greet-live"] {
        late.send(page).await.is_problem(401, "invalid_token");
    }
    // Requests without credentials stay anonymous.
    let anonymous = [("accept", "*/*")];
    assert_eq!(send(&world.app, "GET /greet", &anonymous).await.is(200).body, "hello, anonymous");
    assert_eq!(send(&world.app, "GET /greet-live", &anonymous).await.is(200).body, "hello, anonymous");
    send(&world.app, "GET /me", &anonymous).await.is_problem(401, "missing_credentials");
}

#[tokio::test]
async fn invalid_cookie_is_anonymous_on_public_pages() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    native.send("POST /auth/logout").await.is(200);
    let (gone, wrong) = (format!("{ACCESS}={}", native.access), format!("{ACCESS}=x"));
    let only_refresh = format!("{REFRESH}={}", native.refresh);
    let twice = format!("{gone}; {gone}");
    for cookie in [gone, wrong, only_refresh, twice] {
        for page in ["GET /greet", "GET /greet-live"] {
            let response = send(&world.app, page, &[("cookie", &cookie)]).await;
            assert_eq!(response.is(200).body, "hello, anonymous", "{cookie}");
        }
    }
}

#[tokio::test]
async fn bearer_token_beside_cookie_is_refused() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, mut browser) = (world.native("alice").await, world.browser());
    browser.login("bob").await;
    world.events();
    let (access, refresh) =
        (format!("{ACCESS}={}", browser.access()), format!("{REFRESH}={}", browser.refresh_token()));
    let own = format!("{ACCESS}={}; {REFRESH}={}", native.access, native.refresh);
    let end = format!("DELETE /auth/sessions/{}", claims_of(&native.access)["sid"].as_str().expect("an id"));
    for cookies in
        [browser.cookies(), access.clone(), refresh, format!("{access}; {access}"), format!("{ACCESS}="), own]
    {
        // Valid or not, and of any user: which of them counts would be ambiguous.
        for bearer in [native.bearer(), "bearer x".to_owned()] {
            let headers = [("authorization", bearer), ("cookie", cookies.clone())];
            for what in PAGES {
                send(&world.app, what, &headers).await.is_problem(400, "invalid_request");
            }
            for what in ["POST /auth/refresh", "POST /auth/logout", "POST /auth/logout-all", &end] {
                send(&world.app, what, &headers).await.is_problem(400, "invalid_request");
            }
            assert_eq!(send(&world.app, "GET /why", &headers).await.body, "InvalidRequest");
        }
    }
    assert_eq!(world.events(), [], "no request changed a session");
    browser.refresh().await.is(200);
    native.send("GET /me").await.is(200);
}

#[tokio::test]
async fn several_bearer_tokens_are_refused() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let good = native.bearer();
    let with = |rest: &str| vec![("authorization", format!("{good}{rest}"))];
    let two = |second: &str| vec![("authorization", good.clone()), ("authorization", second.to_owned())];
    let only = |line: &str| vec![("authorization", line.to_owned())];
    for headers in [
        with(" B"),
        with(","),
        with(&format!(", {good}")),
        with("; charset=utf-8"),
        two(&good),
        two("Basic YTpi"),
        two(""),
        vec![("authorization", "Basic YTpi".to_owned()), ("authorization", good.clone())],
        only("Bearer"),
        only("bearer  "),
        only("Bearer \"x\""),
        only("Bearer token=x"),
        only("Bearer ä"),
        only(&format!("Bearer\t{}", native.access)),
        only(&format!("Bearer:{}", native.access)),
    ] {
        for what in PAGES.iter().chain(&["POST /auth/refresh", "POST /auth/logout", "POST /auth/logout-all"]) {
            send(&world.app, what, &headers).await.is_problem(400, "invalid_request");
        }
    }
    native.send("GET /me").await.is(200);
}

#[tokio::test]
async fn bearer_tokens_in_query_and_body_are_ignored() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let (access, refresh) = (&native.access, &native.refresh);
    for path in ["/me", "/live", "/auth/sessions"] {
        for name in ["access_token", "token", "bearer_token", ACCESS] {
            let what = format!("GET {path}?{name}={access}");
            send(&world.app, &what, &[("accept", "*/*")]).await.is_problem(401, "missing_credentials");
        }
    }
    let form = format!("access_token={access}&refresh_token={refresh}&token={access}");
    for what in ["POST /me", "POST /auth/refresh", "POST /auth/logout-all"] {
        send_form(&world.app, what, &form).await.is_problem(401, "missing_credentials");
        let what = format!("{what}?{form}");
        send(&world.app, &what, &[("accept", "*/*")]).await.is_problem(401, "missing_credentials");
    }
    send_form(&world.app, "POST /auth/logout", &form).await.is(200);
    assert_eq!(world.count("alice").await, 1, "the logout ended no session");
    // Other headers are not read either.
    for name in ["proxy-authorization", "x-authorization", "x-access-token", "access-token", "sec-websocket-protocol"] {
        let headers = [(name, native.bearer())];
        send(&world.app, "GET /me", &headers).await.is_problem(401, "missing_credentials");
    }
}

/// Samples that show the same verification: `attacks` and `forgery` use cookies.
#[tokio::test]
async fn forged_and_expired_bearer_tokens_are_refused() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let forge = || Forgery::of(&native.access, ACCESS_SECRET);
    let mut bad = respelled(&native.access);
    bad.retain(|token| !token.contains(['"', '%', ' ']) && !token[..token.len() - 1].contains('='));
    bad.push(forge().header(r#"{"alg":"none"}"#).unsigned());
    bad.push(forge().claim("\"sub\":\"alice\"", "\"sub\":\"root\"").unsigned() + "AAAA");
    bad.push(forge().claim("\"aud\":\"https://app.test\"", "\"aud\":\"https://api.test\"").signed());
    bad.push("A".repeat(64 * 1024));
    for token in bad {
        let headers = [("authorization", format!("Bearer {token}"))];
        send(&world.app, "GET /me", &headers).await.is_problem(401, "invalid_token");
        send(&world.app, "GET /greet", &headers).await.is_problem(401, "invalid_token");
    }
    world.sessions.expire_access("alice").await.expect("access expires");
    native.send("GET /me").await.is_problem(401, "invalid_token");
    native.send("GET /greet").await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn logout_ends_session_of_bearer_token() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, other) = (world.native("alice").await, world.native("alice").await);
    world.events();
    for _ in 0..2 {
        assert_eq!(native.send("POST /auth/logout").await.is(200).json(), json!({ "success": true }));
    }
    assert_eq!(world.events(), [Event::Ended(EndReason::LoggedOut)]);
    native.send("GET /me").await.is_problem(401, "invalid_token");
    native.ask().await.is_oauth_error("invalid_grant");
    other.send("GET /me").await.is(200);
    // Invalid tokens are not an error of revocation (RFC 7009, section 2.2).
    send(&world.app, "POST /auth/logout", &[("authorization", "Bearer x")]).await.is(200);
}

#[tokio::test]
async fn logout_with_expired_bearer_token_ends_session() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    world.clock.advance(hours(2));
    native.send("POST /auth/logout").await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

#[tokio::test]
async fn companion_routes_accept_bearer_token() {
    let world = World::for_natives(Backend::Memory).await;
    let (here, there, mut browser) = (world.native("alice").await, world.native("alice").await, world.browser());
    browser.login("alice").await;
    let listed = here.send("GET /auth/sessions").await.is(200).json();
    let rows = listed["sessions"].as_array().expect("a list");
    let own = &claims_of(&here.access)["sid"];
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["current"] == json!(row["id"] == *own)), "{listed}");
    let id = claims_of(&there.access)["sid"].as_str().expect("an id").to_owned();
    here.send(&format!("DELETE /auth/sessions/{id}")).await.is(200);
    there.send("GET /me").await.is_problem(401, "invalid_token");
    // An access token is not accepted as a refresh token.
    here.send("POST /auth/refresh").await.is_problem(401, "missing_credentials");
    send(&world.app, "POST /auth/logout-all", &[("authorization", "Bearer x")]).await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 2);
    here.send("POST /auth/logout-all").await.is(200);
    assert_eq!(world.count("alice").await, 0);
    browser.get("/me").await.is_problem(401, "invalid_token");
    here.send("GET /me").await.is_problem(401, "invalid_token");
}

#[tokio::test]
async fn login_replaces_session_of_bearer_token() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let response = send_body(&world.app, "POST /native/alice", &[("authorization", native.bearer())], "").await;
    assert_ne!(
        claims_of(tokens(&response)["access_token"].as_str().expect("a token"))["sid"],
        claims_of(&native.access)["sid"]
    );
    assert_eq!(world.count("alice").await, 1);
    native.send("GET /me").await.is_problem(401, "invalid_token");
}

/// Credentials in two places authenticate no request, but do not prevent a login, which ends all of their sessions.
#[tokio::test]
async fn login_ends_all_presented_sessions() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, mut browser) = (world.native("alice").await, world.browser());
    browser.login("bob").await;
    let headers = [("authorization", native.bearer()), ("cookie", browser.cookies())];
    tokens(&send_body(&world.app, "POST /native/carol", &headers, "").await);
    assert_eq!((world.count("alice").await, world.count("bob").await, world.count("carol").await), (0, 0, 1));
    native.send("GET /me").await.is_problem(401, "invalid_token");
    browser.get("/me").await.is_problem(401, "invalid_token");
    let mut browser = world.browser();
    browser.login("bob").await;
    let twice = format!("{}, x", native.bearer());
    browser.send("POST /login/bob", &[("authorization", &*twice)]).await.is(200);
    assert_eq!(world.count("bob").await, 1);
}

#[tokio::test]
async fn bearer_token_is_presented_to_each_of_two_managers() {
    let (members, guests) = (World::for_natives(Backend::Memory).await, World::for_natives(Backend::Memory).await);
    let of_guests = builder::<()>(&guests.store, &guests.clock)
        .issuer("https://guests.test")
        .cookies(CookieConfig::new().names("guest", "guest-refresh"))
        .accept_bearer_tokens();
    let of_guests = build(of_guests).await;
    let app = Router::new()
        .route("/member", get(async |session: Option<Session<Claims>>| session.is_some().to_string()))
        .route("/guest", get(async |session: Option<Session>| session.is_some().to_string()))
        .route(
            "/both",
            get(async |member: Result<Session<Claims>, SessionRejection>, guest: Result<Session, SessionRejection>| {
                format!("{} {}", member.is_ok(), guest.is_ok())
            }),
        )
        .layer(of_guests.layer())
        .layer(members.sessions.layer());
    let guest = of_guests.login("alice").tokens().await.expect("tokens");
    let member = members.sessions.login("alice").tokens().await.expect("tokens");
    for (tokens, own, other, both) in
        [(member, "GET /member", "GET /guest", "true false"), (guest, "GET /guest", "GET /member", "false true")]
    {
        let headers = [("authorization", format!("Bearer {}", tokens.access_token()))];
        assert_eq!(send(&app, own, &headers).await.is(200).body, "true");
        send(&app, other, &headers).await.is_problem(401, "invalid_token");
        assert_eq!(send(&app, "GET /both", &headers).await.is(200).body, both);
    }
}

#[tokio::test]
async fn stale_node_that_fails_closed_refuses_bearer_token_with_503() {
    use tower_jwt_sessions::revocation::StalePolicy;
    let clock = tower_jwt_sessions::testing::TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    store.set_down(true);
    let sessions = builder::<()>(&store, &clock)
        .accept_bearer_tokens()
        .when_stale(StalePolicy::FailClosedAfter(seconds(0)))
        .build()
        .expect("a valid configuration");
    let giving = builder::<()>(&TestStore::open(Backend::Memory, &clock).await, &clock).build().expect("another");
    let tokens = giving.login("alice").tokens().await.expect("tokens");
    let app = app(&sessions).merge(native_routes(&sessions));
    let headers = [("authorization", format!("Bearer {}", tokens.access_token()))];
    for page in PAGES {
        send(&app, page, &headers).await.is_problem(503, "revocations_unknown");
    }
}

/// The companion router verifies tokens itself.
#[tokio::test]
async fn companion_routes_verify_bearer_token_without_layer() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let bare: axum::Router = world.sessions.router();
    let headers = [("authorization", native.bearer())];
    send(&bare, "GET /sessions", &headers).await.is(200);
    send(&bare, "POST /logout", &headers).await.is(200);
    send(&bare, "GET /sessions", &headers).await.is_problem(401, "invalid_token");
}
