//! `GET jwks.json` of the companion router.

use std::time::{Duration, SystemTime};

use axum::{Router, body::Body};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_jwt_sessions::{
    KeyRing, SessionManager,
    clock::Clock as _,
    keys::{SigningKey, VerificationKeys},
};

use crate::keys::support::{P256_PRIVATE, builder, eddsa, world};

async fn ask(node: &SessionManager, method: Method, site: Option<&str>) -> Response<Body> {
    let app: Router = Router::new().nest("/auth", node.router()).layer(node.layer());
    let mut request = Request::builder().method(method).uri("/auth/jwks.json");
    if let Some(site) = site {
        request = request.header("sec-fetch-site", site).header("origin", "https://elsewhere.test");
    }
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn jwks_route_returns_cacheable_public_keys() {
    let (store, clock) = world();
    let node = builder(&store, &clock).access_keys(KeyRing::new(eddsa(7))).build().unwrap();
    for site in [None, Some("cross-site")] {
        let response = ask(&node, Method::GET, site).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=300");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/jwk-set+json");
        assert!(!response.headers().contains_key(header::SET_COOKIE));
        let body = body(response).await;
        assert_eq!(Some(body.clone()), node.access_keys().public_jwks());
        VerificationKeys::from_jwks(body).unwrap();
    }
    assert_eq!(ask(&node, Method::HEAD, None).await.status(), StatusCode::OK);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(ask(&node, method, None).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    // The other routes still forbid caching.
    let app: Router = node.router();
    let sessions = app.oneshot(Request::get("/sessions").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(sessions.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn jwks_route_omits_secrets_and_refresh_keys() {
    let (store, clock) = world();
    let node = builder(&store, &clock).refresh_keys(KeyRing::new(eddsa(8))).build().unwrap();
    let response = ask(&node, Method::GET, None).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    // A cached 404 would outlive the publication of the first public key.
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let problem: Value = serde_json::from_str(&body(response).await).unwrap();
    assert_eq!(problem["code"], "no_public_keys");
    assert_eq!(problem["title"], "The access tokens are signed with a secret.");
}

#[tokio::test]
async fn jwks_route_omits_retired_keys() {
    let (store, clock) = world();
    let (secret, es256, next) =
        (KeyRing::hs256([5; 32]).unwrap(), SigningKey::es256_pem(P256_PRIVATE).unwrap(), eddsa(7));
    let kid = |key: &SigningKey| key.verification_key().key_id().to_owned();
    let node = builder(&store, &clock).access_keys(secret).build().unwrap();
    let published = async || {
        let set: Value = serde_json::from_str(&body(ask(&node, Method::GET, None).await).await).unwrap();
        let mut kids: Vec<_> =
            set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
        kids.sort();
        kids
    };
    let sorted = |mut kids: Vec<String>| {
        kids.sort();
        kids
    };
    let publish = |key: &SigningKey| {
        let ring = node.access_keys().with_verification_key(key.verification_key().clone()).unwrap();
        node.replace_access_keys(ring).unwrap();
    };
    let activate = |key: &SigningKey| {
        let until = SystemTime::from(clock.now()) + Duration::from_secs(2 * 3600);
        node.replace_access_keys(node.access_keys().activate(key.clone(), until).unwrap()).unwrap();
    };
    publish(&es256);
    assert_eq!(published().await, [kid(&es256)], "the first public key is published while a secret signs");
    activate(&es256);
    publish(&next);
    assert_eq!(published().await, sorted(vec![kid(&es256), kid(&next)]));
    activate(&next);
    assert_eq!(published().await, sorted(vec![kid(&es256), kid(&next)]), "the retiring key is published");
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(published().await, [kid(&next)]);
}
