//! Tokens in the body of a response, for clients that keep no cookies: issued and refreshed only where the application
//! enables it, with the rotation that browsers have.

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::post,
};
use tower_jwt_sessions::{
    Error,
    error::ErrorKind,
    event::{EndReason, RefreshKind, SessionEventKind as Event},
    policy::ReplayWindow,
};

use crate::support::*;

fn generation(token: &str) -> u64 {
    claims_of(token)["gen"].as_u64().expect("a number")
}

#[tokio::test]
async fn login_returns_access_and_refresh_token() {
    let world = World::for_natives(Backend::Memory).await;
    let tokens = world.sessions.login("alice").user_agent("cli/1").tokens().await.expect("tokens");
    assert_eq!(tokens.expires_in(), hours(1));
    assert_eq!(tokens.refresh_expires_in(), Some(hours(7 * 24)));
    let refresh = tokens.refresh_token().expect("a login returns a refresh token");
    let (access, refresh) = (claims_of(tokens.access_token()), claims_of(refresh));
    assert_eq!((&access["sid"], &access["sub"], &access["role"]), (&refresh["sid"], &"alice".into(), &"member".into()));
    assert_eq!(world.sessions.list("alice").await.expect("a list")[0].user_agent.as_deref(), Some("cli/1"));
    assert_eq!(world.events(), [Event::Created]);

    let response = send_body::<&str>(&world.app, "POST /native/alice", &[], "").await;
    let json = crate::support::tokens(&response);
    assert_eq!(json["expires_in"], 3600);
    assert!(json["refresh_token"].is_string());
    world.users.delete("bob");
    let response = send_body::<&str>(&world.app, "POST /native/bob", &[], "").await;
    response.is_problem(403, "user_not_found");
}

/// A session is independent of what carries its tokens.
#[tokio::test]
async fn session_is_shared_by_cookies_and_native_tokens() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let mut browser = world.browser();
    browser.plant(ACCESS, &native.access);
    browser.plant(REFRESH, &native.refresh);
    browser.get("/me").await.is(200);
    browser.refresh().await.is(200);
    assert_eq!(generation(&browser.refresh_token()), 2);
    // The native client then presents the preceding token, and gets the same successor.
    let mut late = native.clone();
    assert!(late.refresh().await);
    assert_eq!(late.refresh, browser.refresh_token());
}

#[tokio::test]
async fn native_refresh_rotates_token() {
    let world = World::for_natives(Backend::Memory).await;
    let mut native = world.native("alice").await;
    world.events();
    for generation_before in 1..4 {
        world.clock.advance(seconds(60));
        let before = native.clone();
        assert!(native.refresh().await, "each refresh returns a new refresh token");
        assert_eq!(generation(&native.refresh), generation_before + 1);
        assert_ne!(native.access, before.access);
        native.send("GET /me").await.is(200);
    }
    assert_eq!(world.events(), [Event::Refreshed(RefreshKind::Rotated); 3]);
    // Until the session's absolute end, and not after it.
    for _ in 0..4 {
        world.clock.advance(hours(6 * 24));
        native.refresh().await;
    }
    world.clock.advance(hours(6 * 24));
    native.ask().await.is_oauth_error("invalid_grant");
}

#[tokio::test]
async fn native_refresh_repeated_in_window_returns_same_token() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    world.events();
    let lost = tokens(&native.ask().await);
    for _ in 0..3 {
        world.clock.advance(seconds(3));
        let again = tokens(&native.ask().await);
        assert_eq!(again["refresh_token"], lost["refresh_token"], "byte for byte");
    }
    let repeated = Event::Refreshed(RefreshKind::Repeated);
    assert_eq!(world.events(), [Event::Refreshed(RefreshKind::Rotated), repeated, repeated, repeated]);
}

/// The response then has no refresh token: the client keeps its own.
#[tokio::test]
async fn native_refresh_of_current_token_returns_no_refresh_token() {
    let world = World::for_natives(Backend::Memory).await;
    let mut native = world.native("alice").await;
    assert!(native.refresh().await);
    let newest = native.refresh.clone();
    world.clock.advance(seconds(3));
    let response = native.ask().await;
    assert!(tokens(&response).get("refresh_token").is_none(), "and not null: {}", response.body);
    assert!(!native.refresh().await);
    assert_eq!((generation(&native.access), &native.refresh), (2, &newest));
    native.send("GET /me").await.is(200);
    let direct = world.sessions.refresh_with_token(&newest).await.expect("tokens");
    assert_eq!((direct.refresh_token(), direct.refresh_expires_in()), (None, None));
    // It is still accepted.
    world.clock.advance(seconds(60));
    assert!(native.refresh().await);
    assert_eq!(generation(&native.refresh), 3);
}

#[tokio::test]
async fn native_refresh_with_superseded_token_ends_session() {
    let world = World::for_natives(Backend::Memory).await;
    let mut victim = world.native("alice").await;
    let thief = victim.clone();
    victim.refresh().await;
    world.clock.advance(seconds(30));
    world.events();
    thief.ask().await.is_oauth_error("invalid_grant");
    assert_eq!(world.events(), [Event::RefreshTokenReused, Event::Ended(EndReason::RefreshTokenReused)]);
    victim.ask().await.is_oauth_error("invalid_grant");
    victim.send("GET /me").await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 0);
}

/// A token whose successor is unused stays valid, as for browsers.
#[tokio::test]
async fn native_refresh_with_unconfirmed_successor_is_accepted_a_day_later() {
    let until_confirmed = ReplayWindow::UntilConfirmed(seconds(10));
    let world = World::for_natives_with(Backend::Memory, |builder| builder.replay_window(until_confirmed)).await;
    let mut native = world.native("alice").await;
    native.ask().await.is(200);
    world.clock.advance(hours(24));
    assert!(native.refresh().await);
    native.send("GET /me").await.is(200);
}

#[tokio::test]
async fn native_refresh_during_outage_changes_nothing() {
    let world = World::for_natives(Backend::Memory).await;
    let mut native = world.native("alice").await;
    world.events();
    world.store.set_down(true);
    for _ in 0..2 {
        native.ask().await.is_problem(503, "store_unavailable");
        native.revoke("x").await.is(200);
    }
    send_body::<&str>(&world.app, "POST /native/alice", &[], "").await.is_problem(503, "store_unavailable");
    native.send("GET /me").await.is(200);
    world.store.set_down(false);
    world.users.set_down(true);
    native.ask().await.is_problem(503, "claims_unavailable");
    world.users.set_down(false);
    assert_eq!(world.events(), []);
    world.clock.advance(hours(3));
    assert!(native.refresh().await, "the same token is still accepted");
    assert_eq!(generation(&native.refresh), 2);
    // A revocation that failed is reported as such, and can be repeated.
    world.store.set_down(true);
    native.revoke(&native.refresh).await.is_problem(503, "store_unavailable");
    native.send("GET /me").await.is_problem(503, "store_unavailable");
    native.ask().await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    native.revoke(&native.refresh).await.is(200);
    assert_eq!(world.count("alice").await, 0);
}

#[tokio::test]
async fn native_refresh_loads_claims() {
    let world = World::for_natives(Backend::Memory).await;
    let mut native = world.native("alice").await;
    world.users.set_role("alice", "admin");
    world.sessions.expire_access("alice").await.expect("access expires");
    native.send("GET /me").await.is_problem(401, "invalid_token");
    native.refresh().await;
    assert_eq!(native.send("GET /me").await.is(200).json()["claims"]["role"], "admin");
    world.users.delete("alice");
    native.ask().await.is_oauth_error("invalid_grant");
    assert_eq!(world.count("alice").await, 0);
}

#[tokio::test]
async fn invalid_native_refresh_tokens_are_refused() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, ended) = (world.native("alice").await, world.native("alice").await);
    ended.send("POST /auth/logout").await.is(200);
    world.events();
    let forge = || Forgery::of(&native.refresh, REFRESH_SECRET);
    let claimed = forge().claim("\"sub\":\"alice\"", "\"sub\":\"root\"");
    let never = forge().claim("\"sub\":\"alice\"", "\"sub\":\"carol\"").signed();
    for token in [
        "x".to_owned(),
        "%00%ff%0d%0a".to_owned(),
        "A".repeat(20_000),
        native.access.clone(),
        ended.refresh.clone(),
        claimed.unsigned(),
        Forgery::of(&native.refresh, ACCESS_SECRET).signed(),
        format!("{}=", native.refresh),
        format!("{}+", native.refresh),
        never,
    ] {
        let form = format!("grant_type=refresh_token&refresh_token={token}");
        send_form(&world.app, "POST /oauth/token", &form).await.is_oauth_error("invalid_grant");
        let error = world.sessions.refresh_with_token(&token).await.expect_err("an invalid token");
        assert_eq!(error.kind(), ErrorKind::InvalidRefreshToken);
    }
    assert_eq!(world.sessions.refresh_with_token("").await.expect_err("none").kind(), ErrorKind::InvalidRefreshToken);
    assert!(world.events().iter().all(|event| *event == Event::UsedAfterEnd));
    native.ask().await.is(200);
}

#[tokio::test]
async fn malformed_token_requests_are_refused() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    world.events();
    let good = format!("grant_type=refresh_token&refresh_token={}", native.refresh);
    let long = format!("{good}&x={}", "x".repeat(64 * 1024));
    for form in [
        "",
        "grant_type=refresh_token",
        "grant_type=refresh_token&refresh_token=",
        &format!("refresh_token={}", native.refresh),
        &format!("grant_type=&refresh_token={}", native.refresh),
        &format!("{good}&refresh_token={}", native.refresh),
        &format!("{good}&grant_type=refresh_token"),
        &format!("Grant_Type=refresh_token&refresh_token={}", native.refresh),
        &long,
    ] {
        send_form(&world.app, "POST /oauth/token", form).await.is_oauth_error("invalid_request");
    }
    let too_long = send_form(&world.app, "POST /oauth/token", &long).await;
    assert_eq!(too_long.json()["error_description"], "The form is longer than 32 KiB.");
    for grant in ["password", "authorization_code", "client_credentials", "REFRESH_TOKEN", "refresh_token "] {
        let form = format!("grant_type={grant}&refresh_token={}", native.refresh);
        send_form(&world.app, "POST /oauth/token", &form).await.is_oauth_error("unsupported_grant_type");
    }
    for form in ["", "token=", "token_type_hint=refresh_token", "token=x&token=x"] {
        send_form(&world.app, "POST /oauth/revoke", form).await.is_oauth_error("invalid_request");
    }
    let json = format!(r#"{{"grant_type":"refresh_token","refresh_token":"{}"}}"#, native.refresh);
    for (media_type, body) in [("application/json", &json), ("text/plain", &good), ("", &good)] {
        let response = send_body(&world.app, "POST /oauth/token", &[("content-type", media_type)], body).await;
        response.is_oauth_error("invalid_request");
    }
    assert_eq!(world.events(), []);
    // Unknown parameters are ignored (RFC 6749, section 3.2), and any character may be percent-encoded.
    let odd = format!("scope=admin&client_id=app&{}&x", good.replace('_', "%5F").replace('.', "%2e"));
    let media_type = [("content-type", "Application/X-WWW-Form-urlencoded ; charset=UTF-8")];
    let json = tokens(&send_body(&world.app, "POST /oauth/token", &media_type, &odd).await);
    assert_eq!(claims_of(json["access_token"].as_str().expect("a token"))["role"], "member");
}

#[tokio::test]
async fn token_request_reads_only_form() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, mut browser) = (world.native("alice").await, world.browser());
    browser.login("bob").await;
    world.events();
    let form = format!("grant_type=refresh_token&refresh_token={}", native.refresh);
    let media_type = ("content-type", "application/x-www-form-urlencoded".to_owned());
    for (headers, body) in [
        (vec![media_type.clone(), ("cookie", browser.cookies())], "grant_type=refresh_token"),
        (vec![media_type.clone(), ("authorization", format!("Bearer {}", native.refresh))], "grant_type=refresh_token"),
        (vec![media_type.clone()], ""),
    ] {
        let what = format!("POST /oauth/token?{form}");
        send_body(&world.app, &what, &headers, body).await.is_oauth_error("invalid_request");
    }
    assert_eq!(world.events(), []);
    // Cookies of another user are not a second credential here, and are not changed.
    let headers = [media_type, ("cookie", browser.cookies()), ("authorization", "Basic Y2xpZW50Og==".to_owned())];
    let json = tokens(&send_body(&world.app, "POST /oauth/token", &headers, &form).await);
    assert_eq!(claims_of(json["access_token"].as_str().expect("a token"))["sub"], "alice");
    browser.get("/me").await.is(200);
}

/// A page of any origin can send the form, but has no token for it.
#[tokio::test]
async fn cross_site_token_request_gains_nothing() {
    let world = World::for_natives(Backend::Memory).await;
    let (native, mut browser) = (world.native("alice").await, world.browser());
    browser.login("bob").await;
    world.events();
    let mut headers = vec![
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("sec-fetch-site", "cross-site".to_owned()),
        ("origin", "https://evil.test".to_owned()),
        ("cookie", browser.cookies()),
    ];
    let form = "grant_type=refresh_token&refresh_token=guess";
    send_body(&world.app, "POST /oauth/token", &headers, form).await.is_oauth_error("invalid_grant");
    send_body(&world.app, "POST /oauth/revoke", &headers, "token=guess").await.is(200);
    assert_eq!(world.events(), []);
    // An app in a web view has an origin of its own and a token.
    headers[2].1 = "capacitor://localhost".to_owned();
    let form = format!("grant_type=refresh_token&refresh_token={}", native.refresh);
    tokens(&send_body(&world.app, "POST /oauth/token", &headers, &form).await);
}

#[tokio::test]
async fn revocation_route_ends_session() {
    let world = World::for_natives(Backend::Memory).await;
    let ends = Event::Ended(EndReason::LoggedOut);
    for which in ["refresh", "superseded", "access", "expired"] {
        let mut native = world.native("alice").await;
        let first = native.clone();
        if which == "superseded" {
            native.refresh().await;
            world.clock.advance(seconds(60));
        }
        if which == "expired" {
            world.clock.advance(hours(2));
        }
        world.events();
        let token = if which == "refresh" || which == "superseded" { &first.refresh } else { &first.access };
        for _ in 0..2 {
            assert_eq!(native.revoke(token).await.is(200).body, "", "{which}");
        }
        assert_eq!(world.events(), [ends], "{which}");
        native.ask().await.is_oauth_error("invalid_grant");
        native.send("GET /me").await.is_problem(401, "invalid_token");
    }
    let native = world.native("alice").await;
    assert!(world.sessions.end_with_token(&native.refresh).await.expect("the session ends"));
    assert!(!world.sessions.end_with_token(&native.refresh).await.expect("the session has ended"));
    assert!(!world.sessions.end_with_token("x").await.expect("no session to end"));
}

#[tokio::test]
async fn routes_refuse_other_methods() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let query = format!("grant_type=refresh_token&token={0}&refresh_token={0}", native.refresh);
    for path in ["/oauth/token", "/oauth/revoke"] {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"] {
            let response = send(&world.app, &format!("{method} {path}?{query}"), &[("accept", "*/*")]).await;
            response.is(405);
            assert_eq!((response.header("allow"), response.header("cache-control")), ("POST", "no-store"));
        }
    }
    native.ask().await.is(200);
}

/// Also where Bearer tokens are accepted.
#[tokio::test]
async fn companion_router_has_no_token_routes() {
    let world = World::for_natives(Backend::Memory).await;
    let native = world.native("alice").await;
    let form = format!("grant_type=refresh_token&token={0}&refresh_token={0}", native.refresh);
    for path in ["/auth/token", "/auth/revoke", "/token"] {
        send_form(&world.app, &format!("POST {path}"), &form).await.is(404);
    }
    // With cookies the tokens stay in the cookies.
    let mut browser = world.browser();
    browser.plant(REFRESH, &native.refresh);
    browser.refresh().await.is(200);
    // Without Bearer tokens the routes can serve another service, which accepts them.
    let plain = World::new(Backend::Memory).await;
    let app = plain.app.clone().merge(native_routes(&plain.sessions));
    let mut native = Native::login(&app, "alice").await;
    assert!(native.refresh().await);
    native.send("GET /me").await.is_problem(401, "missing_credentials");
}

#[tokio::test]
async fn token_responses_are_not_cached() {
    let world = World::for_natives(Backend::Memory).await;
    let sessions = world.sessions.clone();
    let login = async move || -> Result<Response, Error> {
        let tokens = sessions.login("alice").tokens().await?;
        Ok(([("cache-control", "public, max-age=3600")], tokens).into_response())
    };
    let app = Router::new().route("/login", post(login)).layer(world.sessions.layer());
    tokens(&send_body::<&str>(&app, "POST /login", &[], "").await);
}
