//! The signature cache: altered, expired and revoked tokens, and those of replaced keys, are rejected.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{
    KeyRing, SessionManager, Verifier,
    auth::VerifyError,
    clock::Clock as _,
    error::ConfigErrorKind,
    keys::{SigningKey, VerificationKeys},
    manager::SessionManagerBuilder,
};

use crate::keys::support::{P256_PRIVATE, accepts, browser, builder, cookie, eddsa, minutes, world};

const ACCESS: &str = "__Host-access";

fn caching(builder: SessionManagerBuilder<()>, key: SigningKey) -> SessionManager {
    builder.access_keys(KeyRing::new(key)).cache_signatures(100).build().unwrap()
}

fn with_token(token: &[u8]) -> HeaderMap {
    let value = [ACCESS.as_bytes(), b"=", token].concat();
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(&value).unwrap())])
}

fn refusal(node: &SessionManager, headers: &HeaderMap) -> Option<VerifyError> {
    node.verifier().verify(headers).err()
}

/// Both algorithms whose signatures are cached, and a secret, whose are not.
fn signing_keys() -> [SigningKey; 3] {
    [eddsa(7), SigningKey::es256_pem(P256_PRIVATE).unwrap(), SigningKey::hs256([7; 32]).unwrap()]
}

#[tokio::test]
async fn altered_token_misses_cache_and_is_rejected() {
    for key in signing_keys() {
        let (store, clock) = world();
        let node = caching(builder(&store, &clock), key);
        let alice = browser(node.login("alice").await.unwrap(), None);
        let bob = browser(node.login("bob").await.unwrap(), None);
        let (token, other) = (cookie(&alice, ACCESS).into_bytes(), cookie(&bob, ACCESS).into_bytes());
        for _ in 0..2 {
            assert_eq!(node.verifier().verify(&alice).unwrap().user_id().as_str(), "alice");
            assert_eq!(node.verifier().verify(&bob).unwrap().user_id().as_str(), "bob");
        }
        for at in 0..token.len() {
            for changed in [b'A', b'B', b'.'].into_iter().filter(|byte| *byte != token[at]) {
                let mut forged = token.clone();
                forged[at] = changed;
                assert_eq!(refusal(&node, &with_token(&forged)), Some(VerifyError::InvalidToken), "byte {at}");
            }
        }
        // The claims of one with the signature of the other.
        let signed = token.rsplitn(2, |byte| *byte == b'.').nth(1).unwrap();
        let signature = other.rsplit(|byte| *byte == b'.').next().unwrap();
        assert!(!accepts(&node, &with_token(&[signed, b".", signature].concat())));
        assert!(!accepts(&node, &with_token(&[&*token, b"A"].concat())));
        assert!(!accepts(&node, &with_token(&token[..token.len() - 1])));
        assert!(accepts(&node, &alice));
    }
}

#[tokio::test]
async fn cached_token_expires_and_is_revoked() {
    for key in signing_keys() {
        let (store, clock) = world();
        let (node, elsewhere) = (caching(builder(&store, &clock), key.clone()), caching(builder(&store, &clock), key));
        let (alice, bob) =
            (browser(node.login("alice").await.unwrap(), None), browser(node.login("bob").await.unwrap(), None));
        for node in [&node, &elsewhere] {
            assert!(accepts(node, &alice) && accepts(node, &bob));
        }
        let ended = elsewhere.verifier().verify(&alice).unwrap();
        node.end_all("alice").await.unwrap();
        ended.ended().await;
        for node in [&node, &elsewhere] {
            assert_eq!(refusal(node, &alice), Some(VerifyError::Revoked));
        }
        clock.advance(minutes(60) - Duration::from_millis(1));
        assert!(accepts(&node, &bob));
        clock.advance(Duration::from_millis(1));
        assert_eq!(refusal(&node, &bob), Some(VerifyError::Expired));
    }
}

#[tokio::test]
async fn cached_token_is_rejected_after_key_retired() {
    let (store, clock) = world();
    let node = caching(builder(&store, &clock), eddsa(7));
    let alice = browser(node.login("alice").await.unwrap(), None);
    assert!(accepts(&node, &alice));
    let ring = node.access_keys().with_verification_key(eddsa(8).verification_key().clone()).unwrap();
    node.replace_access_keys(ring).unwrap();
    let until = SystemTime::from(clock.now()) + Duration::from_secs(2 * 3600);
    node.replace_access_keys(node.access_keys().activate(eddsa(8), until).unwrap()).unwrap();
    clock.advance(minutes(59));
    // Another node, which issues with the old key until it retires.
    let behind = caching(builder(&store, &clock), eddsa(7));
    clock.advance(minutes(60));
    let late = browser(behind.login("alice").await.unwrap(), None);
    assert!(accepts(&node, &late));
    clock.advance(minutes(1));
    assert!(accepts(&behind, &late));
    assert_eq!(refusal(&node, &late), Some(VerifyError::InvalidToken), "the key has retired");
}

#[tokio::test]
async fn cached_token_is_rejected_after_key_replaced() {
    let (store, clock) = world();
    let node = builder(&store, &clock).access_keys(KeyRing::new(eddsa(7))).build().unwrap();
    let verifier = Verifier::<()>::builder()
        .keys(VerificationKeys::from_jwks(node.access_keys().public_jwks().unwrap()).unwrap())
        .issuer("https://app.test")
        .cache_signatures(1)
        .clock(clock.clone())
        .build()
        .unwrap();
    let alice = browser(node.login("alice").await.unwrap(), None);
    assert!(verifier.verify(&alice).is_ok() && verifier.verify(&alice).is_ok());
    // With the same kid, so that the header of the token is still accepted.
    let kid = eddsa(7).verification_key().key_id().to_owned();
    let other = eddsa(8).verification_key().clone().with_key_id(kid).unwrap();
    verifier.replace_keys(&VerificationKeys::new(other)).unwrap();
    assert_eq!(verifier.verify(&alice).unwrap_err(), VerifyError::InvalidToken);
}

#[tokio::test]
async fn oversized_cache_is_rejected() {
    let (store, clock) = world();
    let manager = |tokens| builder(&store, &clock).cache_signatures(tokens).build();
    let verifier = |tokens| {
        let keys = VerificationKeys::new(eddsa(7).verification_key().clone());
        Verifier::<()>::builder().keys(keys).issuer("https://app.test").cache_signatures(tokens).build()
    };
    for tokens in [(1 << 20) + 1, usize::MAX] {
        for error in [manager(tokens).unwrap_err(), verifier(tokens).unwrap_err()] {
            assert_eq!(error.kind(), ConfigErrorKind::InvalidOption);
            assert!(error.to_string().contains("exceeds 1048576"), "{error}");
            assert!(error.to_string().contains("twice the number of users who are active"), "{error}");
        }
    }
    assert!(manager(1 << 20).is_ok() && verifier(0).is_ok());
}
