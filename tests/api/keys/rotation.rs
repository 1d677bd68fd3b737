//! Rotation on a running node: which changes are rejected, and what a key does in each of its states.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use tower_jwt_sessions::{
    ConfigError, KeyRing, SessionManager, auth::VerifyError, clock::Clock as _, error::ConfigErrorKind,
    keys::SigningKey, policy::MAX_CLOCK_SKEW,
};

use crate::keys::support::{P256_PRIVATE, accepts, browser, builder, cookie, eddsa, hs256, minutes, world};

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn publishing(ring: KeyRing, key: &SigningKey) -> KeyRing {
    ring.with_verification_key(key.verification_key().clone()).unwrap()
}

fn header(token: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
}

async fn login_header(node: &SessionManager) -> String {
    header(&cookie(&browser(node.login("alice").await.unwrap(), None), "__Host-access"))
}

#[tokio::test]
async fn key_verifies_before_activation_and_until_retirement() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    // Nodes that sign with the next key already, and with the old one still.
    let ahead = builder(&store, &clock).access_keys(publishing(KeyRing::new(eddsa(7)), &hs256(1))).build().unwrap();
    let behind = builder(&store, &clock).build().unwrap();
    let early = browser(ahead.login("alice").await.unwrap(), None);
    assert_eq!(node.verifier().verify(&early).unwrap_err(), VerifyError::InvalidToken);

    node.replace_access_keys(publishing(node.access_keys(), &eddsa(7))).unwrap();
    assert!(accepts(&node, &early), "next: verifies");
    assert!(login_header(&node).await.contains("HS256"), "the published key does not sign");

    let until = SystemTime::from(clock.now()) + 2 * HOUR;
    node.replace_access_keys(node.access_keys().activate(eddsa(7), until).unwrap()).unwrap();
    assert!(login_header(&node).await.contains("EdDSA"), "active: signs");
    clock.advance(2 * HOUR - Duration::from_millis(1));
    let late = browser(behind.login("alice").await.unwrap(), None);
    assert!(accepts(&node, &late), "retiring: the old key verifies");
    clock.advance(Duration::from_millis(1));
    assert!(accepts(&behind, &late));
    assert_eq!(
        node.verifier().verify(&late).unwrap_err(),
        VerifyError::InvalidToken,
        "retired: the old key is rejected"
    );
    assert_eq!(node.access_keys().public_jwks().unwrap().matches("kid").count(), 1);
    assert!(!format!("{:?}", node.access_keys()).contains("HS256"), "the retired key is dropped");
}

#[tokio::test]
async fn successive_rotations_keep_sessions() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let mut sessions = vec![browser(node.login("0").await.unwrap(), None)];
    let es256 = SigningKey::es256_pem(P256_PRIVATE).unwrap();
    for next in [SigningKey::hs512([9; 64]).unwrap(), es256, eddsa(9)] {
        node.replace_access_keys(publishing(node.access_keys(), &next)).unwrap();
        let until = SystemTime::from(clock.now()) + HOUR + MAX_CLOCK_SKEW;
        node.replace_access_keys(node.access_keys().activate(next, until).unwrap()).unwrap();
        clock.advance(minutes(10));
        sessions.push(browser(node.login("1").await.unwrap(), None));
        assert!(sessions.iter().all(|headers| accepts(&node, headers)));
    }
    clock.advance(minutes(29));
    assert!(sessions.iter().all(|headers| accepts(&node, headers)), "each token is accepted until it expires");
}

#[tokio::test]
async fn activating_unpublished_key_is_rejected() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let until = SystemTime::from(clock.now()) + WEEK + HOUR;
    for unknown in [hs256(3), eddsa(7), hs256(1).with_key_id("another-name").unwrap()] {
        for replace in [SessionManager::replace_access_keys, SessionManager::replace_refresh_keys] {
            let ring = KeyRing::new(unknown.clone());
            let ring = ring.with_retiring_key(hs256(1).verification_key().clone(), until).unwrap();
            let ring = publishing(ring, &hs256(2));
            let error = replace(&node, ring).unwrap_err();
            assert!(
                error.kind() == ConfigErrorKind::InvalidKeyChange && error.to_string().contains("was not published"),
                "{error:?}"
            );
            assert!(error.to_string().contains("on every node first"), "{error}");
        }
    }
    assert!(
        login_header(&node).await.contains(hs256(1).verification_key().key_id()),
        "a rejected change has no effect"
    );

    // A retired key is as unknown as one that was never published.
    node.replace_access_keys(publishing(node.access_keys(), &eddsa(7))).unwrap();
    let until = SystemTime::from(clock.now()) + 2 * HOUR;
    node.replace_access_keys(node.access_keys().activate(eddsa(7), until).unwrap()).unwrap();
    // Activating the previous key again is accepted as long as it verifies.
    let back = || node.access_keys().activate(hs256(1), until).unwrap();
    node.replace_access_keys(back()).unwrap();
    node.replace_access_keys(node.access_keys().activate(eddsa(7), until).unwrap()).unwrap();
    clock.advance(2 * HOUR);
    assert!(
        node.replace_access_keys(back()).is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKeyChange
            && error.to_string().contains("was not published"))
    );
}

#[tokio::test]
async fn overlap_shorter_than_longest_token_is_rejected() {
    let (store, clock) = world();
    for (max_access, refresh) in [(HOUR, WEEK), (3 * HOUR, 4 * HOUR)] {
        let node = builder(&store, &clock).max_access_lifetime(max_access).refresh_lifetime(refresh).build().unwrap();
        node.replace_access_keys(publishing(node.access_keys(), &eddsa(7))).unwrap();
        node.replace_refresh_keys(publishing(node.refresh_keys(), &eddsa(8))).unwrap();
        let at = |overlap| SystemTime::from(clock.now()) + overlap;
        let refused = |result: Result<(), ConfigError>, expected: Duration| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::InvalidKeyChange);
            let needed = format!("tokens that it signed may live for {expected:?}: keep it with with_retiring_key");
            assert!(error.to_string().contains(&needed), "{error}");
        };
        let access = |overlap| node.replace_access_keys(node.access_keys().activate(eddsa(7), at(overlap)).unwrap());
        let renew = |overlap| node.replace_refresh_keys(node.refresh_keys().activate(eddsa(8), at(overlap)).unwrap());
        let (long_access, long_refresh) = (max_access + MAX_CLOCK_SKEW, refresh + MAX_CLOCK_SKEW);
        for too_short in [Duration::ZERO, Duration::from_millis(1)] {
            refused(access(long_access - too_short - Duration::from_millis(1)), long_access);
            refused(renew(long_refresh - too_short - Duration::from_millis(1)), long_refresh);
        }
        // Nor may it be left out, in any state.
        refused(node.replace_access_keys(KeyRing::new(eddsa(7))), long_access);
        refused(node.replace_access_keys(KeyRing::new(hs256(1))), long_access);
        refused(node.replace_refresh_keys(KeyRing::new(eddsa(8))), long_refresh);
        access(long_access).unwrap();
        renew(long_refresh).unwrap();

        // Nor may it be shortened later. It need not be extended.
        clock.advance(minutes(30));
        let left = long_access - minutes(30);
        let with_old = |until| KeyRing::new(eddsa(7)).with_retiring_key(hs256(1).verification_key().clone(), until);
        refused(node.replace_access_keys(KeyRing::new(eddsa(7))), left);
        refused(node.replace_access_keys(with_old(at(left - Duration::from_secs(1))).unwrap()), left);
        node.replace_access_keys(with_old(at(left + HOUR)).unwrap()).unwrap();
        node.replace_access_keys(with_old(at(max_access + MAX_CLOCK_SKEW)).unwrap()).unwrap();
        // After its retirement it may be left out or kept: it verifies no more.
        clock.advance(long_access);
        node.replace_access_keys(KeyRing::new(eddsa(7))).unwrap();
    }
}

#[tokio::test]
async fn rings_that_share_key_are_rejected() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let access = node.replace_access_keys(publishing(node.access_keys(), &hs256(2)));
    assert!(access.is_err_and(|error| error.kind() == ConfigErrorKind::SharedKey));
    let renamed = hs256(1).with_key_id("renamed").unwrap();
    let refresh = node.replace_refresh_keys(publishing(node.refresh_keys(), &renamed));
    assert!(refresh.is_err_and(|error| error.kind() == ConfigErrorKind::SharedKey));
    // Nor one that only the other ring has published.
    node.replace_access_keys(publishing(node.access_keys(), &eddsa(7))).unwrap();
    let refresh = node.replace_refresh_keys(publishing(node.refresh_keys(), &eddsa(7)));
    assert!(refresh.is_err_and(|error| error.kind() == ConfigErrorKind::SharedKey));
    node.replace_refresh_keys(publishing(node.refresh_keys(), &eddsa(8))).unwrap();
}

#[tokio::test]
async fn es256_refresh_keys_are_rejected() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let es256 = SigningKey::es256_pem(P256_PRIVATE).unwrap();
    let refused = node.replace_refresh_keys(publishing(node.refresh_keys(), &es256));
    assert!(refused.is_err_and(|error| error.kind() == ConfigErrorKind::UnsupportedAlgorithm
        && error.to_string().contains("unsupported algorithm ES256")));
}

#[test]
fn duplicate_kid_in_ring_is_rejected() {
    let until = SystemTime::UNIX_EPOCH;
    let ring = publishing(KeyRing::new(hs256(1)), &eddsa(7));
    let again = ring.clone().with_retiring_key(eddsa(7).verification_key().clone(), until);
    assert!(again.is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    // Another key with the name of a published one does not replace it.
    let other_key = eddsa(9).with_key_id(eddsa(7).verification_key().key_id()).unwrap();
    assert!(ring.clone().activate(other_key, until).is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    let other_key = eddsa(9).with_key_id(hs256(1).verification_key().key_id()).unwrap();
    assert!(ring.clone().activate(other_key, until).is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    // Activating the active key changes nothing.
    assert_eq!(format!("{:?}", ring.clone().activate(hs256(1), until).unwrap()), format!("{ring:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_succeed_during_rotation() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let headers = browser(node.login("alice").await.unwrap(), None);
    let (stop, requests) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(accepts(&node, &headers));
                requests.fetch_add(1, Ordering::Relaxed);
            }
        });
        let until = SystemTime::from(clock.now()) + WEEK;
        node.replace_access_keys(publishing(node.access_keys(), &eddsa(7))).unwrap();
        let mut changes = 0;
        while (changes < 100 || requests.load(Ordering::Relaxed) < 100) && !reader.is_finished() {
            node.replace_access_keys(node.access_keys().activate(eddsa(7), until).unwrap()).unwrap();
            node.replace_access_keys(node.access_keys().activate(hs256(1), until).unwrap()).unwrap();
            changes += 1;
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}
