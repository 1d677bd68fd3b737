//! Keys, tokens and sessions work although jsonwebtoken cannot choose between its backends.

use axum_core::response::IntoResponse as _;
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{KeyRing, MemoryStore, SessionCookies, SessionManager, Verifier, keys::{SigningKey, VerificationKey, VerificationKeys}};

const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
    -----END PUBLIC KEY-----\n";
const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPtym/bEfpfrRAQoH\n\
    4fg2AL20Pcs8uYEyYXR8lXpz31ChRANCAATDq1s8egT8GfoSu0SkXwJ+7vF2rKRf\n\
    Kc6byKOK/1dGQzWmvbWfxBDLK7oHX0HyLD7egbRiyuMoEyfks6qWF0fW\n\
    -----END PRIVATE KEY-----\n";

/// The precondition of the other tests.
#[test]
fn jsonwebtoken_itself_panics_here() {
    let outcome = std::panic::catch_unwind(|| {
        let key = jsonwebtoken::EncodingKey::from_secret(&[1; 32]);
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &(), &key).is_ok()
    });
    assert!(outcome.is_err());
}

fn headers(cookies: SessionCookies) -> HeaderMap {
    let response = cookies.into_response();
    let lines = response.headers().get_all(header::SET_COOKIE).iter();
    let pairs: Vec<_> = lines.map(|line| line.to_str().unwrap().split(';').next().unwrap()).collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
    headers
}

#[tokio::test]
async fn sessions_work_under_every_algorithm() {
    for ring in [
        KeyRing::hs256([1; 32]).unwrap(),
        KeyRing::hs384([1; 48]).unwrap(),
        KeyRing::hs512([1; 64]).unwrap(),
        KeyRing::eddsa_pem(ED25519_PRIVATE).unwrap(),
        KeyRing::es256_pem(P256_PRIVATE).unwrap(),
    ] {
        let sessions = SessionManager::<()>::builder()
            .access_keys(ring.clone())
            .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
            .issuer("https://app.test")
            .store(MemoryStore::new())
            .build()
            .unwrap();
        let alice = headers(sessions.login("alice").await.unwrap());
        assert_eq!(sessions.verifier().verify(&alice).unwrap().user_id().as_str(), "alice");
        let presented = sessions.verifier().present(&alice);
        let fresh = headers(sessions.refresh(&presented).await.unwrap());
        assert!(sessions.verifier().verify(&fresh).is_ok());

        if let Some(jwks) = ring.public_jwks() {
            let keys = VerificationKeys::from_jwks(jwks).unwrap();
            let elsewhere = Verifier::<()>::builder().keys(keys).issuer("https://app.test").build().unwrap();
            assert!(elsewhere.verify(&fresh).is_ok());
        }
    }
}

#[test]
fn keys_of_every_form_are_read() {
    let private = SigningKey::eddsa_pem(ED25519_PRIVATE).unwrap();
    assert_eq!(VerificationKey::eddsa_pem(ED25519_PUBLIC).unwrap().key_id(), private.verification_key().key_id());
    assert!(VerificationKey::es256_pem(ED25519_PUBLIC).is_err());
    SigningKey::from_jwk(
        r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    )
    .unwrap();
    // One backend of jsonwebtoken panics on these.
    for len in 0..100 {
        let _ = VerificationKey::eddsa_der(vec![7; len]);
        let _ = VerificationKey::es256_der(vec![4; len]);
        let _ = SigningKey::eddsa_der(vec![0x30; len]);
    }
}
