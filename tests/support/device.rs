//! A browser that binds its sessions to a device, as Chromium does, with a key in software.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::Router;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_jwt_sessions::testing::TestClock;

use super::{ACCESS, Browser, TestResponse};

pub(crate) const OFFER: &str = "secure-session-registration";
pub(crate) const CHALLENGE: &str = "secure-session-challenge";
pub(crate) const PROOF: &str = "secure-session-response";
pub(crate) const ID: &str = "sec-secure-session-id";

/// The key of a device.
pub(crate) struct DeviceKeyPair(EcdsaKeyPair);

impl DeviceKeyPair {
    pub(crate) fn generate() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    /// The public key, as a registration has it.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "crv": "P-256", "kty": "EC", "x": encode(&point[1..33]), "y": encode(&point[33..]) })
    }

    /// Signs a header and a payload.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    pub(crate) fn registration(&self, challenge: &str) -> String {
        let header = json!({ "alg": "ES256", "jwk": self.jwk(), "typ": "dbsc+jwt" });
        self.sign(&header.to_string(), &json!({ "jti": challenge }).to_string())
    }

    pub(crate) fn proof(&self, challenge: &str) -> String {
        self.sign(r#"{"alg":"ES256","typ":"dbsc+jwt"}"#, &json!({ "jti": challenge }).to_string())
    }
}

/// The text between these.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

/// The challenge of an offer, and the path to register at.
pub(crate) fn offered(response: &TestResponse) -> Option<(String, String)> {
    let offer = response.header(OFFER);
    assert!(offer.is_empty() || offer.starts_with("(ES256);path=\"/"), "{offer}");
    Some((between(offer, "challenge=\"", "\"")?.to_owned(), between(offer, "path=\"", "\"")?.to_owned()))
}

/// The challenge that a response brings for the next refresh.
pub(crate) fn challenge(response: &TestResponse) -> Option<String> {
    Some(between(response.header(CHALLENGE), "\"", "\";id=\"")?.to_owned())
}

/// What the browser knows of a bound session.
pub(crate) struct Bound {
    pub(crate) id: String,
    pub(crate) key: DeviceKeyPair,
    pub(crate) refresh_url: String,
    pub(crate) challenge: Option<String>,
}

/// A browser that speaks the protocol.
pub(crate) struct BoundBrowser {
    pub(crate) browser: Browser,
    pub(crate) bound: Option<Bound>,
}

impl BoundBrowser {
    pub(crate) fn new(app: &Router, clock: &TestClock) -> Self {
        Self { browser: Browser::new(app, clock), bound: None }
    }

    /// Logs in and registers a key, which must succeed.
    pub(crate) async fn login(&mut self, user: &str) -> TestResponse {
        let response = self.browser.login(user).await;
        self.register(&response).await.is(200);
        response
    }

    /// Accepts the offer of a response.
    pub(crate) async fn register(&mut self, response: &TestResponse) -> TestResponse {
        let (challenge, path) = offered(response).expect("an offer");
        let key = DeviceKeyPair::generate();
        let response = self.browser.send(&format!("POST {path}"), &[(PROOF, &key.registration(&challenge))]).await;
        if response.status == 200 {
            self.keep(key, &response);
        }
        response
    }

    /// Keeps the session that the response to a registration describes.
    pub(crate) fn keep(&mut self, key: DeviceKeyPair, response: &TestResponse) {
        let document = response.json();
        let text = |name: &str| document[name].as_str().expect("a text").to_owned();
        self.bound = Some(Bound {
            id: text("session_identifier"),
            key,
            refresh_url: text("refresh_url"),
            challenge: self::challenge(response),
        });
    }

    /// Refreshes, also with a challenge that it gets on the way, and returns the last response.
    pub(crate) async fn refresh(&mut self) -> TestResponse {
        let mut response = self.try_refresh().await;
        for _ in 0..2 {
            if response.status != 403 || challenge(&response).is_none() {
                break;
            }
            response = self.try_refresh().await;
        }
        response
    }

    /// Sends one request to refresh, and does with the response what a browser does.
    pub(crate) async fn try_refresh(&mut self) -> TestResponse {
        let bound = self.bound.as_ref().expect("a bound session");
        let proof = bound.challenge.as_ref().map(|challenge| bound.key.proof(challenge));
        let mut headers = vec![(ID, bound.id.as_str())];
        headers.extend(proof.as_deref().map(|proof| (PROOF, proof)));
        let response = self.browser.send(&format!("POST {}", bound.refresh_url), &headers).await;
        self.heed(&response);
        response
    }

    /// Keeps the next challenge, and forgets a session that has ended.
    pub(crate) fn heed(&mut self, response: &TestResponse) {
        if let (Some(bound), Some(challenge)) = (&mut self.bound, challenge(response)) {
            bound.challenge = Some(challenge);
        }
        let keeps = matches!(response.status, 200..=399 | 403 | 407 | 429 | 500..);
        let is_over = response.status == 200 && response.body.contains("\"continue\":false");
        if is_over || !keeps {
            self.bound = None;
        }
    }

    /// Opens a page, after a refresh if the access cookie is missing.
    pub(crate) async fn get(&mut self, path: &str) -> TestResponse {
        if self.bound.is_some() && self.browser.cookie(ACCESS).is_none() {
            self.refresh().await;
        }
        self.browser.get(path).await
    }

    /// Logs in, registers and gives the first proof, after which others are refused.
    pub(crate) async fn bind(&mut self, user: &str) {
        self.login(user).await;
        self.refresh().await.is(200);
    }
}
