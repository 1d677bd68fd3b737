//! A service that verifies tokens with public keys and has no store.

use std::time::{Duration, SystemTime};

use axum::{Router, body::Body, routing::get};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tower_jwt_sessions::{
    KeyRing, PresentedTokens, Session, SessionLayer, SessionManager, Verifier,
    auth::{SessionRejection, SessionRejectionKind, VerifierBuilder, VerifyError},
    clock::Clock as _,
    cookie::CookieConfig,
    error::ConfigErrorKind,
    keys::{VerificationKey, VerificationKeys},
    revocation::StalePolicy,
    testing::TestClock,
};

use crate::keys::support::{browser, builder, eddsa, minutes, world};

fn issuing() -> (SessionManager, TestClock) {
    let (store, clock) = world();
    let keys = KeyRing::new(eddsa(7));
    (builder(&store, &clock).access_keys(keys).audience("https://api.test").build().unwrap(), clock)
}

fn reading(node: &SessionManager, clock: &TestClock) -> VerifierBuilder<()> {
    let jwks = node.access_keys().public_jwks().unwrap();
    Verifier::builder()
        .keys(VerificationKeys::from_jwks(jwks).unwrap())
        .issuer("https://app.test")
        .audience("https://api.test")
        .clock(clock.clone())
}

async fn me(session: Session) -> String {
    format!("{}", session.user_id())
}

async fn maybe(session: Option<Session>) -> String {
    session.map_or("anonymous".into(), |session| session.user_id().to_string())
}

async fn reason(session: Result<Session, SessionRejection>) -> String {
    match session.map_err(|rejection| rejection.kind()) {
        Ok(session) => session.user_id().to_string(),
        Err(SessionRejectionKind::Unauthenticated(reason)) => format!("{reason:?}"),
        Err(other) => format!("{other:?}"),
    }
}

async fn presented(presented: PresentedTokens) -> String {
    format!("{} {}", presented.session().is_some(), presented.has_refresh_token())
}

fn app(verifier: Verifier<()>) -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/maybe", get(maybe))
        .route("/reason", get(reason))
        .route("/presented", get(presented))
        .layer(SessionLayer::new(verifier))
}

async fn ask(app: &Router, path: &str, headers: &HeaderMap) -> (StatusCode, String) {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.headers_mut().clone_from(headers);
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn bearer_token_is_accepted_when_enabled() {
    let (node, clock) = issuing();
    let tokens = node.login("alice").tokens().await.unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {}", tokens.access_token()).parse().unwrap())]);
    let without = app(reading(&node, &clock).build().unwrap());
    assert_eq!(ask(&without, "/reason", &headers).await.1, "NoCredentials");
    let with = app(reading(&node, &clock).accept_bearer_tokens().build().unwrap());
    for path in ["/me", "/maybe", "/reason"] {
        assert_eq!(ask(&with, path, &headers).await, (StatusCode::OK, "alice".into()), "{path}");
    }
    assert_eq!(ask(&with, "/presented", &headers).await.1, "true false");
    clock.advance(minutes(60));
    for path in ["/me", "/maybe"] {
        assert_eq!(ask(&with, path, &headers).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    let cookie = browser(node.login("bob").await.unwrap(), None);
    let both = headers.into_iter().chain(cookie).filter_map(|(name, value)| Some((name?, value))).collect();
    for path in ["/me", "/maybe"] {
        assert_eq!(ask(&with, path, &both).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn layer_and_extractors_need_only_public_keys() {
    let (node, clock) = issuing();
    let app = app(reading(&node, &clock).build().unwrap());
    let alice = browser(node.login("alice").await.unwrap(), None);
    let anonymous = HeaderMap::new();

    assert_eq!(ask(&app, "/me", &alice).await, (StatusCode::OK, "alice".into()));
    assert_eq!(ask(&app, "/me", &anonymous).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&app, "/maybe", &alice).await.1, "alice");
    assert_eq!(ask(&app, "/maybe", &anonymous).await.1, "anonymous");
    assert_eq!(ask(&app, "/reason", &anonymous).await.1, "NoCredentials");
    // A refresh token was sent, too, but only the service that issued it can verify it.
    assert_eq!(ask(&app, "/presented", &alice).await.1, "true false");

    clock.advance(minutes(60));
    assert_eq!(ask(&app, "/reason", &alice).await.1, "Expired");
    assert_eq!(ask(&app, "/presented", &alice).await.1, "false false");
}

/// As the documentation warns.
#[tokio::test]
async fn verifier_without_store_ignores_revocations() {
    let (node, clock) = issuing();
    let verifier = reading(&node, &clock).build().unwrap();
    let strict = verifier.clone().when_stale(StalePolicy::FailClosedAfter(Duration::ZERO));
    let alice = browser(node.login("alice").await.unwrap(), None);
    node.end_all("alice").await.unwrap();
    assert_eq!(node.verifier().verify(&alice).unwrap_err(), VerifyError::Revoked);
    for verifier in [verifier, strict] {
        assert!(verifier.verify(&alice).is_ok());
    }
}

#[tokio::test]
async fn other_issuer_audience_key_or_lifetime_is_rejected() {
    let (node, clock) = issuing();
    let alice = browser(node.login("alice").await.unwrap(), None);
    let other_key = VerificationKeys::new(eddsa(9).verification_key().clone());
    let same_name = eddsa(9).with_key_id(eddsa(7).verification_key().key_id()).unwrap();
    let same_name = VerificationKeys::new(same_name.verification_key().clone());
    for verifier in [
        reading(&node, &clock).issuer("https://other.test"),
        reading(&node, &clock).audience("https://other.test"),
        reading(&node, &clock).keys(other_key),
        reading(&node, &clock).keys(same_name),
        // A token that lives longer than the verifier's limit.
        reading(&node, &clock).max_access_lifetime(minutes(59)),
    ] {
        let refused = verifier.build().unwrap().verify(&alice).unwrap_err();
        assert_eq!(refused, VerifyError::InvalidToken);
    }
    let elsewhere = reading(&node, &clock).cookies(CookieConfig::new().names("a", "b")).build().unwrap();
    assert_eq!(elsewhere.verify(&alice).unwrap_err(), VerifyError::NoCredentials);
    // A refresh token in the access cookie is not an access token.
    let refresh = crate::keys::support::cookie(&alice, "__Host-refresh");
    let mut swapped = HeaderMap::new();
    swapped.insert(http::header::COOKIE, format!("__Host-access={refresh}").parse().unwrap());
    let refused = reading(&node, &clock).build().unwrap().verify(&swapped).unwrap_err();
    assert_eq!(refused, VerifyError::InvalidToken);
}

#[tokio::test]
async fn replaced_keys_apply_to_running_layer() {
    let (node, clock) = issuing();
    let verifier = reading(&node, &clock).build().unwrap();
    let app = app(verifier.clone());
    let fetch =
        || verifier.replace_keys(&VerificationKeys::from_jwks(node.access_keys().public_jwks().unwrap()).unwrap());
    let old = browser(node.login("old").await.unwrap(), None);

    let ring = node.access_keys().with_verification_key(eddsa(8).verification_key().clone()).unwrap();
    node.replace_access_keys(ring).unwrap();
    fetch().unwrap();
    let until = SystemTime::from(clock.now()) + Duration::from_secs(2 * 3600);
    node.replace_access_keys(node.access_keys().activate(eddsa(8), until).unwrap()).unwrap();
    let new = browser(node.login("new").await.unwrap(), None);
    // Without fetching again: the key was published before it signed.
    assert_eq!(ask(&app, "/me", &new).await.1, "new");
    assert_eq!(ask(&app, "/me", &old).await.1, "old");
    clock.advance(minutes(120));
    fetch().unwrap();
    assert_eq!(
        ask(&app, "/reason", &old).await.1,
        "InvalidToken",
        "the layer has the new keys, without the retired one"
    );
    let new = browser(node.login("new").await.unwrap(), None);
    assert_eq!(ask(&app, "/me", &new).await.1, "new");
}

#[tokio::test]
async fn keys_of_manager_cannot_be_replaced_through_verifier() {
    let (node, _) = issuing();
    let keys = VerificationKeys::new(eddsa(9).verification_key().clone());
    let error = node.verifier().replace_keys(&keys).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::InvalidKeyChange);
    assert!(error.to_string().contains("replace_access_keys"), "{error}");
    let alice = browser(node.login("alice").await.unwrap(), None);
    assert!(node.verifier().verify(&alice).is_ok());
}

#[test]
fn invalid_settings_are_rejected_without_runtime() {
    let keys = || VerificationKeys::new(eddsa(7).verification_key().clone());
    let builder = || Verifier::<()>::builder().keys(keys()).issuer("https://app.test");
    builder().build().unwrap();
    assert!(Verifier::<()>::builder().build().is_err_and(
        |error| error.kind() == ConfigErrorKind::MissingOption && error.to_string().contains("keys was not called")
    ));
    assert!(
        Verifier::<()>::builder()
            .keys(keys())
            .build()
            .is_err_and(|error| error.kind() == ConfigErrorKind::MissingOption
                && error.to_string().contains("issuer was not called"))
    );
    assert!(builder().issuer("").build().is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidOption && error.to_string().contains("invalid issuer")
    ));
    assert!(builder().audience("").build().is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidOption && error.to_string().contains("invalid audience")
    ));
    assert!(
        builder()
            .cookies(CookieConfig::new().names("", "b"))
            .build()
            .is_err_and(|error| error.kind() == ConfigErrorKind::InvalidCookie)
    );
    for wrong in [Duration::ZERO, Duration::MAX] {
        let refused = builder().max_access_lifetime(wrong).build();
        assert!(refused.is_err_and(|error| error.kind() == ConfigErrorKind::InvalidLifetime
            && error.to_string().contains("max_access_lifetime")));
    }
    let twice = keys().with_key(eddsa(7).verification_key().clone());
    assert!(twice.is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    let shown = format!("{:?}", builder().keys(VerificationKeys::new(VerificationKey::hs256([7; 32]).unwrap())));
    assert!(shown.contains("[redacted]"), "{shown}");
}

/// Public knowledge must not become the secret of a MAC (RFC 8725, section 2.1).
#[tokio::test]
async fn token_signed_with_public_key_as_secret_is_rejected() {
    let (node, clock) = issuing();
    let (public, kid) = (eddsa(7), eddsa(7).verification_key().key_id().to_owned());
    let jwks = node.access_keys().public_jwks().unwrap();
    let set: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    let jwk = set["keys"][0].to_string();
    let x = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
    let spki = [&b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"[..], &x].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    assert_eq!(VerificationKey::eddsa_pem(&pem).unwrap().key_id(), public.verification_key().key_id());
    let verifier = reading(&node, &clock).build().unwrap();
    for secret in [x, spki, pem.into_bytes(), jwk.into_bytes(), jwks.into_bytes()] {
        let forged = tower_jwt_sessions::keys::SigningKey::hs256(secret).unwrap().with_key_id(&kid).unwrap();
        let (store, _) = world();
        let attacker = builder(&store, &clock).access_keys(KeyRing::new(forged)).audience("https://api.test");
        let forged = browser(attacker.build().unwrap().login("admin").await.unwrap(), None);
        assert_eq!(verifier.verify(&forged).unwrap_err(), VerifyError::InvalidToken);
        assert_eq!(node.verifier().verify(&forged).unwrap_err(), VerifyError::InvalidToken);
    }
}
