//! `Verifier::verify` relative to the unavoidable part: the bare signature over the same bytes, in the same run.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{convert::Infallible, hint::black_box, sync::OnceLock, time::Instant};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        ParsedPublicKey, VerificationAlgorithm,
    },
};
use axum_core::response::IntoResponse as _;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager, UserId, Verifier};

const SECRET: [u8; 32] = [1; 32];
const REVOKED: usize = 100_000;
const ROUNDS: usize = 60;
const CACHED: usize = 10_000;

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    name: String,
    role: String,
    tenant: u64,
    verified: bool,
    groups: Vec<String>,
}

async fn claims(_: UserId) -> Result<Option<Claims>, Infallible> {
    Ok(Some(Claims {
        name: "Alice Liddell".to_owned(),
        role: "administrator".to_owned(),
        tenant: 4_711,
        verified: true,
        groups: vec!["staff".to_owned(), "chess".to_owned()],
    }))
}

/// Checks only the signature of the token.
type Bare = Box<dyn Fn() -> bool + Send + Sync>;

struct Subject {
    name: &'static str,
    verifier: Verifier<Claims>,
    headers: HeaderMap,
    token_len: usize,
    /// Nanoseconds of a login in memory: it signs an access token with this key and a refresh token with a secret.
    login: f64,
    bare: Bare,
}

impl Subject {
    async fn new(
        name: &'static str,
        ring: KeyRing,
        cached: usize,
        bare: impl FnOnce(Vec<u8>, Vec<u8>) -> Bare,
    ) -> Self {
        let sessions = SessionManager::<Claims>::builder()
            .access_keys(ring)
            .cache_signatures(cached)
            .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
            .issuer("https://app.example")
            .session_limit(None)
            .store(MemoryStore::new())
            .claims_source(claims)
            .build()
            .expect("a configuration that works");
        for user in 0..REVOKED / 100 {
            for _ in 0..100 {
                let _cookies = sessions.login(user).await.expect("a login");
            }
            assert_eq!(sessions.end_all(user).await.expect("an end"), 100);
        }
        let mut logins = Vec::new();
        for user in 0..1_000 {
            let began = Instant::now();
            let _cookies = black_box(sessions.login(user).await.expect("a login"));
            logins.push(began.elapsed().as_nanos() as f64);
        }
        let response = sessions.login("alice").await.expect("a login").into_response();
        let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
        let token = pairs.iter().find_map(|pair| pair.strip_prefix("__Host-access=")).expect("an access cookie");
        let (signed, signature) = token.rsplit_once('.').expect("a token of three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let headers = HeaderMap::from_iter([(
            header::COOKIE,
            HeaderValue::from_str(&pairs.join("; ")).expect("cookies are ASCII"),
        )]);
        let bare = bare(signed.as_bytes().to_vec(), signature);
        let (token_len, login) = (token.len(), median(&mut logins));
        let subject = Self { name, verifier: sessions.verifier().clone(), headers, token_len, login, bare };
        assert!((subject.bare)() && subject.verify());
        subject
    }

    fn verify(&self) -> bool {
        self.verifier.verify(black_box(&self.headers)).is_ok()
    }
}

fn public_key<A: VerificationAlgorithm>(algorithm: &'static A, key: &[u8]) -> impl FnOnce(Vec<u8>, Vec<u8>) -> Bare {
    let key = ParsedPublicKey::new(algorithm, key).expect("a public key");
    move |signed, signature| Box::new(move || key.verify_sig(black_box(&signed), &signature).is_ok())
}

fn pem(pkcs8: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8))
}

fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let subjects = runtime.block_on(async {
            let mac = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
            let hs256 =
                Subject::new("HS256", KeyRing::hs256(SECRET).expect("a long secret"), 0, move |signed, signature| {
                    Box::new(move || hmac::verify(&mac, black_box(&signed), &signature).is_ok())
                });
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("the same key");
            let ring = KeyRing::eddsa_pem(pem(pkcs8.as_ref())).expect("an Ed25519 key");
            let public = pair.public_key().as_ref();
            let eddsa = Subject::new("EdDSA", ring.clone(), 0, public_key(&ED25519, public)).await;
            let cached = Subject::new("EdDSA, cached", ring, CACHED, public_key(&ED25519, public)).await;
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            let pkcs8 = pair.to_pkcs8v1().expect("a private key");
            let ring = KeyRing::es256_pem(pem(pkcs8.as_ref())).expect("a P-256 key");
            let public = public_key(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
            let es256 = Subject::new("ES256", ring, 0, public);
            vec![hs256.await, eddsa, es256.await, cached]
        });
        // The followers of the log run on it.
        std::mem::forget(runtime);
        subjects
    })
}

/// Returns the nanoseconds per call.
fn timed(repeat: usize, mut call: impl FnMut() -> bool) -> f64 {
    let began = Instant::now();
    for _ in 0..repeat {
        assert!(black_box(call()));
    }
    began.elapsed().as_nanos() as f64 / repeat as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures both in turn, so that other load on the machine affects both.
fn print_ratio(subject: &Subject) {
    let repeat = if subject.name == "HS256" { 5_000 } else { 300 };
    let (mut ratios, mut verify, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (all, signature) = (timed(repeat, || subject.verify()), timed(repeat, || (subject.bare)()));
        ratios.push(all / signature);
        verify.push(all);
        bare.push(signature);
    }
    println!(
        "{}: verify is {:.3} × the bare signature ({:.0} ns to {:.0} ns; token of {} bytes, {REVOKED} revocations); a login in \
         memory takes {:.0} ns",
        subject.name,
        median(&mut ratios),
        median(&mut verify),
        median(&mut bare),
        subject.token_len,
        subject.login,
    );
}

#[divan::bench(args = [0, 1, 2, 3])]
fn verify(bencher: divan::Bencher<'_, '_>, subject: usize) {
    let subject = &subjects()[subject];
    bencher.bench(|| subject.verify());
}

#[divan::bench(args = [0, 1, 2])]
fn bare_signature(bencher: divan::Bencher<'_, '_>, subject: usize) {
    let subject = &subjects()[subject];
    bencher.bench(|| (subject.bare)());
}

fn main() {
    subjects().iter().for_each(print_ratio);
    println!("\n0 is HS256, 1 EdDSA, 2 ES256, 3 EdDSA with a cache of signatures");
    divan::main();
}
