//! Only one of the two ECDSA signatures of a token is accepted.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use serde_json::Value;
use tower_jwt_sessions::{
    KeyRing, SessionManager, Verifier,
    auth::VerifyError,
    keys::{SigningKey, VerificationKeys},
};

use crate::keys::support::{P256_PRIVATE, P256_X, P256_Y, browser, builder, cookie, world};

const ACCESS: &str = "__Host-access";
/// The order of P-256 in two halves, big-endian.
const ORDER: [u128; 2] = [0xffff_ffff_0000_0000_ffff_ffff_ffff_ffff, 0xbce6_faad_a717_9e84_f3b9_cac2_fc63_2551];

/// The same token with the other signature, which anyone can compute: (r, n - s) for (r, s).
fn twin(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let half = |at: usize| u128::from_be_bytes(signature[at..at + 16].try_into().unwrap());
    let (low, borrow) = ORDER[1].overflowing_sub(half(48));
    let high = ORDER[0] - half(32) - u128::from(borrow);
    signature.truncate(32);
    signature.extend([high.to_be_bytes(), low.to_be_bytes()].concat());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn with_token(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&format!("{ACCESS}={token}")).unwrap())])
}

/// Whether another implementation, without a rule for s, accepts a token.
#[expect(clippy::disallowed_methods, reason = "the oracle; the tests choose one backend")]
fn jsonwebtoken_accepts(token: &str) -> bool {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["https://app.test"]);
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_ec_components(P256_X, P256_Y).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
}

/// With and without a signature cache, which compares tokens byte by byte.
fn nodes() -> [SessionManager; 2] {
    [0, 100].map(|tokens| {
        let (store, clock) = world();
        let key = SigningKey::es256_pem(P256_PRIVATE).unwrap();
        builder(&store, &clock).access_keys(KeyRing::new(key)).cache_signatures(tokens).build().unwrap()
    })
}

#[tokio::test]
async fn es256_token_with_greater_s_is_rejected() {
    for node in nodes() {
        let jwks = node.access_keys().public_jwks().unwrap();
        let elsewhere = Verifier::<()>::builder().keys(VerificationKeys::from_jwks(jwks).unwrap());
        let elsewhere = elsewhere.issuer("https://app.test").build().unwrap();
        // Signatures are random: by chance every second one would have the greater s.
        for user in 0..32 {
            let token = cookie(&browser(node.login(user).await.unwrap(), None), ACCESS);
            let other = twin(&token);
            assert_ne!(token, other);
            assert_eq!(twin(&other), token);
            for _ in 0..2 {
                assert_eq!(node.verifier().verify(&with_token(&token)).unwrap().user_id().as_str(), user.to_string());
                let refused = node.verifier().verify(&with_token(&other)).err();
                assert_eq!(refused, Some(VerifyError::InvalidToken), "{other}");
            }
            assert!(elsewhere.verify(&with_token(&other)).is_err());
            assert!(jsonwebtoken_accepts(&token), "issued tokens are accepted");
            assert!(jsonwebtoken_accepts(&other), "the other signature is accepted without a rule for s");
        }
    }
}

/// Made once by this crate, for `alice` at the first second of 2026.
const GOLDEN: &str = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ilppa0RIeWhOSEE2bVh2eGdNMERNakFjVVBwNm85bDJWYTM0S0ly\
    Z0xrU2cifQ.eyJpc3MiOiJodHRwczovL2FwcC50ZXN0IiwiYXVkIjoiaHR0cHM6Ly9hcHAudGVzdCIsInN1YiI6ImFsaWNlIiwic\
    2lkIjoiZUxTMUprTGlWV1d0X3BKX3ZzNHV4ZyIsImdlbiI6MSwiZXBvY2giOjAsImF1dGhfdGltZSI6MTc2NzIyNTYwMCwiaWF0I\
    joxNzY3MjI1NjAwLCJleHAiOjE3NjcyMjkyMDB9.qJ0eXeR497wz8lXmPhPFYlGqbQWGuIGcFIdHRCl9ZAsfR49P7cqit0t1eSrE\
    hhrRLWcXEAD7uMtoe3iN73TURQ";

#[tokio::test]
async fn golden_es256_token_is_accepted_and_its_twin_rejected() {
    let (_, clock) = world();
    let keys = VerificationKeys::new(SigningKey::es256_pem(P256_PRIVATE).unwrap().verification_key().clone());
    let verifier = Verifier::<()>::builder().keys(keys).issuer("https://app.test").clock(clock).build().unwrap();
    assert_eq!(verifier.verify(&with_token(GOLDEN)).unwrap().user_id().as_str(), "alice");
    assert!(verifier.verify(&with_token(&twin(GOLDEN))).is_err());
}
