//! Access tokens that strict checkers of RFC 9068 accept, and jwks.json for those who check.

use serde_json::Value;
use tower_jwt_sessions::{
    KeyRing, SessionLayer, Verifier,
    error::ConfigErrorKind,
    event::RefreshKind::{AccessOnly, Repeated, Rotated},
    event::SessionEventKind as Event,
};

use crate::support::*;

on_every_store!(
    strict_checker_accepts_every_access_token,
    same_token_has_same_jti_and_any_other_another,
    nodes_with_and_without_claims_accept_each_other,
);

/// Checks type and claims as RFC 9068, sections 2 and 4, require, all of them before any is used.
fn strictly_checked(token: &str) -> Result<Value, String> {
    let forgery = Forgery::of(token, "");
    let header: Value = serde_json::from_str(&forgery.header).map_err(|error| error.to_string())?;
    if header["typ"] != "at+jwt" {
        return Err(format!("typ {}", header["typ"]));
    }
    let claims: Value = serde_json::from_str(&forgery.payload).map_err(|error| error.to_string())?;
    for name in ["iss", "aud", "sub", "client_id", "jti"] {
        if claims[name].as_str().is_none_or(str::is_empty) {
            return Err(format!("no {name}"));
        }
    }
    for name in ["exp", "iat"] {
        if !claims[name].is_u64() {
            return Err(format!("no {name}"));
        }
    }
    Ok(claims)
}

fn jti(token: &str) -> String {
    strictly_checked(token).expect("the claims of RFC 9068")["jti"].as_str().expect("a text").to_owned()
}

async fn strict_checker_accepts_every_access_token(backend: Backend) {
    let plain = World::new(backend).await;
    let mut browser = plain.browser();
    browser.login("alice").await;
    assert_eq!(strictly_checked(&browser.access()), Err("no client_id".to_owned()));

    let world = World::with(backend, |builder| builder.rfc9068_claims("web \"app\"")).await;
    let mut browser = world.browser();
    for user in ["alice", "älice \"quoted\" \u{1}"] {
        let path = format!("/login/{}", user.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>());
        browser.post(&path).await.is(200);
        for _ in 0..2 {
            let claims = strictly_checked(&browser.access()).expect("the claims of RFC 9068");
            let said = ["iss", "aud", "sub", "client_id"].map(|name| claims[name].as_str().expect("a text"));
            assert_eq!(said, [ISSUER, ISSUER, user, "web \"app\""]);
            assert_eq!(claims["role"], "member");
            assert_eq!(browser.get("/me").await.is(200).json()["user"], user);
            assert_eq!(strictly_checked(&browser.refresh_token()), Err("typ \"rt+jwt\"".to_owned()));
            world.clock.advance(seconds(60));
            browser.refresh().await.is(200);
        }
        let old = browser.access();
        browser.post("/auth/logout").await.is(200);
        send(&world.app, "GET /me", &[("cookie", &format!("{ACCESS}={old}"))]).await.is_problem(401, "invalid_token");
    }
}

async fn same_token_has_same_jti_and_any_other_another(backend: Backend) {
    let world = World::with(backend, |builder| builder.rfc9068_claims("web")).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let first = browser.access();
    world.events();

    // The response is lost, and the refresh repeated within the same second.
    let lost = browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(ACCESS).expect("a token");
    let again = browser.send_only("POST /auth/refresh", &[]).await.is(200).cookie(ACCESS).expect("a token");
    assert_eq!(world.events(), [Event::Refreshed(Rotated), Event::Refreshed(Repeated)]);
    assert_eq!(again, lost, "the same token, with the same jti");
    assert_ne!(jti(&first), jti(&lost));

    // A second later it is another token of the same generation.
    world.clock.advance(seconds(1));
    let later = browser.refresh().await.is(200).cookie(ACCESS).expect("a token");
    assert_eq!(world.events(), [Event::Refreshed(Repeated)]);
    assert_ne!(jti(&later), jti(&lost));

    // Claims that differ make another token, in the same second, too.
    world.users.set_role("alice", "admin");
    let promoted = browser.refresh().await.is(200).cookie(ACCESS).expect("a token");
    assert_eq!(world.events(), [Event::Refreshed(AccessOnly)]);
    let (before, after) = (claims_of(&later), claims_of(&promoted));
    assert_eq!(before["iat"], after["iat"]);
    assert_ne!(before["jti"], after["jti"]);
}

async fn nodes_with_and_without_claims_accept_each_other(backend: Backend) {
    let plain = World::new(backend).await;
    let strict = plain.node(|builder| builder.rfc9068_claims("web")).await;
    let other = plain.node(|builder| builder.rfc9068_claims("another name")).await;
    let mut browser = plain.browser();
    browser.login("alice").await;
    for node in [&strict, &plain, &other, &strict, &other, &plain] {
        browser.visit(&node.app);
        assert_eq!(browser.get("/me").await.is(200).json()["user"], "alice");
        plain.clock.advance(seconds(60));
        browser.refresh().await.is(200);
        assert_eq!(strictly_checked(&browser.access()).is_ok(), !std::ptr::eq(node, &plain));
        browser.get("/me").await.is(200);
    }
}

#[tokio::test]
async fn changed_client_or_jti_invalidates_token() {
    let world = World::with(Backend::Memory, |builder| builder.rfc9068_claims("web")).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let good = Forgery::of(&browser.access(), ACCESS_SECRET);
    assert_eq!(good.signed(), browser.access());
    let jti = jti(&browser.access());
    let refused = async |token: String| {
        let cookie = format!("{ACCESS}={token}");
        send(&world.app, "GET /me", &[("cookie", &cookie)]).await.is_problem(401, "invalid_token");
    };
    refused(good.clone().claim("\"web\"", "\"app\"").unsigned()).await;
    // Signed, but not as the crate writes the two.
    for (from, to) in [
        (r#""client_id":"web","#, ""),
        (r#""client_id":"web""#, r#""client_id":7"#),
        (r#""client_id":"web""#, r#""client_id":"\u0077eb""#),
        (r#""client_id":"web""#, r#""client_id":"web","client_id":"web""#),
        (r#""client_id":"web""#, r#""client_id": "web""#),
        (&format!(r#","jti":"{jti}""#), ""),
        (&jti, "x"),
        (&jti[..1], "\""),
        (&jti[..1], "é"),
        (r#""role":"member""#, r#""role":"member","jti":"x""#),
        (r#""role":"member""#, r#""role":"member","client_id":"x""#),
    ] {
        let at_jti = from.len() == 1;
        let payload = match at_jti {
            true => good.payload.replacen(&jti, &jti.replacen(from, to, 1), 1),
            false => good.payload.replacen(from, to, 1),
        };
        assert_ne!(payload, good.payload, "{from}");
        refused(good.clone().payload(payload).signed()).await;
    }
    browser.get("/me").await.is(200);
}

#[tokio::test]
async fn services_with_only_keys_accept_the_claims() {
    let world = World::with(Backend::Memory, |builder| {
        builder.access_keys(KeyRing::new(crate::keys::support::eddsa(7))).rfc9068_claims("web")
    })
    .await;
    let jwks = send::<&str>(&world.app, "GET /auth/jwks.json", &[]).await.is(200).body.clone();
    let verifier = Verifier::<Claims>::builder()
        .keys(tower_jwt_sessions::keys::VerificationKeys::from_jwks(jwks).expect("keys"))
        .issuer(ISSUER)
        .clock(world.clock.clone())
        .build()
        .expect("a valid configuration");
    let me = async |session: tower_jwt_sessions::Session<Claims>| session.user_id().to_string();
    let there = axum::Router::new().route("/me", axum::routing::get(me)).layer(SessionLayer::new(verifier));
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.visit(&there);
    assert_eq!(browser.get("/me").await.is(200).body, "alice");
}

#[tokio::test]
async fn invalid_client_ids_are_refused() {
    let clock = tower_jwt_sessions::testing::TestClock::new();
    let store = TestStore::open(Backend::Memory, &clock).await;
    for client_id in ["", &"x".repeat(256), "wéb", "a\nb", "a\u{7f}"] {
        let error = builder::<()>(&store, &clock).rfc9068_claims(client_id).build().expect_err("refused");
        assert_eq!(error.kind(), ConfigErrorKind::InvalidOption);
        assert!(error.to_string().contains("use 1 to 255 printable ASCII characters"), "{error}");
    }
    for client_id in ["x", &"~".repeat(255), "my app"] {
        builder::<()>(&store, &clock).rfc9068_claims(client_id).build().expect("accepted");
    }
}
