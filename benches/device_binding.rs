//! A refresh of a bound session relative to a plain one: one more read of the store and one signature of ES256. Requests
//! to the companion router, in memory and on Redis over loopback.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::time::{Duration, Instant};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{Router, body::Body};
use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, header};
use tower::ServiceExt as _;
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionManager, dbsc::DeviceBinding, redis::RedisStore, store::SessionStore,
};

#[path = "../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests, which use all of it")]
mod redis_server;

const ROUNDS: usize = 200;
const CALLS: usize = 20;

#[tokio::main]
async fn main() {
    println!("| | plain refresh | bound refresh | ratio |\n|---|---|---|---|");
    measure("memory", MemoryStore::new()).await;
    let server = redis_server::RedisServer::start();
    measure("Redis", RedisStore::connect(&server.url()).await.expect("the server runs")).await;
}

async fn measure(name: &str, store: impl SessionStore) {
    let sessions: SessionManager = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("a long secret"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
        .issuer("https://app.test")
        .own_origin("https://app.test")
        .device_binding(DeviceBinding::new())
        .store(store)
        .build()
        .expect("a configuration that works");
    sessions.revocation_feed().caught_up().await;
    let plain = Browser::login(&sessions).await;
    let mut bound = Browser::login(&sessions).await;
    bound.register().await;
    let (mut plain_times, mut bound_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain_times.push(time(async || drop(plain.send("/auth/refresh", &[]).await)).await);
        bound_times.push(time(async || bound.refresh().await).await);
    }
    let (plain, bound) = (median(plain_times), median(bound_times));
    println!("| {name} | {plain:.1?} | {bound:.1?} | {:.2} |", bound.as_secs_f64() / plain.as_secs_f64());
}

async fn time(mut call: impl AsyncFnMut()) -> Duration {
    let begun = Instant::now();
    for _ in 0..CALLS {
        call().await;
    }
    begun.elapsed() / u32::try_from(CALLS).unwrap_or(u32::MAX)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A browser that keeps the cookies of its login: a refresh may be repeated within its window.
struct Browser {
    app: Router,
    cookies: String,
    offer: String,
    key: EcdsaKeyPair,
    id: String,
    /// Signed once, as browsers do when a response brings no next challenge.
    proof: String,
}

impl Browser {
    async fn login(sessions: &SessionManager) -> Self {
        let response = sessions.login("alice").await.expect("a login").into_response();
        let headers = response.headers();
        let lines = headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
        Self {
            app: Router::new().nest("/auth", sessions.router()),
            cookies: pairs.join("; "),
            offer: between(headers, "secure-session-registration", "challenge=\"", "\""),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            id: String::new(),
            proof: String::new(),
        }
    }

    async fn register(&mut self) {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let proof = self.sign(&format!(r#"{{"alg":"ES256","jwk":{jwk},"typ":"dbsc+jwt"}}"#), &self.offer);
        let headers = self.send("/auth/dbsc/register", &[("secure-session-response", &proof)]).await;
        self.id = between(&headers, "secure-session-challenge", "id=\"", "\"");
        let challenge = between(&headers, "secure-session-challenge", "\"", "\"");
        self.proof = self.sign(r#"{"alg":"ES256","typ":"dbsc+jwt"}"#, &challenge);
    }

    fn sign(&self, head: &str, challenge: &str) -> String {
        let payload = format!(r#"{{"jti":"{challenge}"}}"#);
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn refresh(&mut self) {
        let headers = [("sec-secure-session-id", self.id.as_str()), ("secure-session-response", &self.proof)];
        self.send("/auth/dbsc/refresh", &headers).await;
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)]) -> HeaderMap {
        let mut request =
            Request::post(path).header(header::COOKIE, &self.cookies).header("sec-fetch-site", "same-origin");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = self.app.clone().oneshot(request).await.expect("axum does not fail");
        assert_eq!(response.status(), 200, "{path}");
        response.headers().clone()
    }
}

/// The text of a header between these.
fn between(headers: &HeaderMap, name: &str, before: &str, after: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).expect("a header");
    let (_, rest) = value.split_once(before).expect("what precedes it");
    rest.split_once(after).expect("what follows it").0.to_owned()
}
