//! Rotation over several nodes in the documented order keeps all sessions.

use std::time::{Duration, SystemTime};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::Value;
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionManager, clock::Clock as _, keys::SigningKey, testing::TestClock,
};

use crate::keys::support::{accepts, browser, builder, cookie, eddsa, hs256, minutes, refresh, world};

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn publish(node: &SessionManager, access: &SigningKey, refresh: &SigningKey) {
    let ring = node.access_keys().with_verification_key(access.verification_key().clone()).unwrap();
    node.replace_access_keys(ring).unwrap();
    let ring = node.refresh_keys().with_verification_key(refresh.verification_key().clone()).unwrap();
    node.replace_refresh_keys(ring).unwrap();
}

fn activate(node: &SessionManager, clock: &TestClock, access: SigningKey, refresh: SigningKey) {
    let now = SystemTime::from(clock.now());
    node.replace_access_keys(node.access_keys().activate(access, now + 3 * HOUR).unwrap()).unwrap();
    node.replace_refresh_keys(node.refresh_keys().activate(refresh, now + WEEK + 3 * HOUR).unwrap()).unwrap();
}

/// Browsers that logged in at some point, and use either node since.
struct Crowd {
    nodes: [SessionManager; 2],
    browsers: Vec<HeaderMap>,
}

impl Crowd {
    /// New logins on both nodes; each browser refreshes on one and returns to the other, with or without the new
    /// cookies.
    async fn live_on(&mut self, clock: &TestClock) {
        for node in &self.nodes {
            self.browsers.push(browser(node.login("alice").await.unwrap(), None));
        }
        // No browser refreshed for longer than the replay window.
        clock.advance(minutes(10));
        for (at, headers) in self.browsers.iter_mut().enumerate() {
            let [here, there] = [&self.nodes[at % 2], &self.nodes[1 - at % 2]];
            assert!(accepts(here, headers) && accepts(there, headers), "browser {at}");
            let fresh = refresh(there, headers).await;
            assert!(accepts(here, &fresh) && accepts(there, &fresh), "browser {at} refreshed");
            // Its response was lost, so it repeats the request at the other node.
            let repeated = refresh(here, headers).await;
            assert!(accepts(here, &repeated) && accepts(there, &repeated), "browser {at} repeated");
            assert_eq!(generation(&repeated), generation(&fresh));
            *headers = if at % 3 == 0 { fresh } else { repeated };
        }
    }
}

fn claims(headers: &HeaderMap, name: &str) -> Value {
    let token = cookie(headers, name);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn generation(headers: &HeaderMap) -> u64 {
    claims(headers, "__Host-refresh")["gen"].as_u64().unwrap()
}

fn algorithm(headers: &HeaderMap, name: &str) -> String {
    let token = cookie(headers, name);
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    header["alg"].as_str().unwrap().to_owned()
}

async fn change(store: &MemoryStore, clock: &TestClock, access: SigningKey, renew: SigningKey) -> Crowd {
    let node = || builder(store, clock).session_limit(None).build().unwrap();
    let mut crowd = Crowd { nodes: [node(), node()], browsers: Vec::new() };
    let [a, b] = crowd.nodes.clone();
    crowd.live_on(clock).await;
    publish(&a, &access, &renew);
    crowd.live_on(clock).await;
    publish(&b, &access, &renew);
    crowd.live_on(clock).await;
    activate(&a, clock, access.clone(), renew.clone());
    // B still signs with the old keys.
    crowd.live_on(clock).await;
    crowd.live_on(clock).await;
    activate(&b, clock, access, renew);
    crowd.live_on(clock).await;
    crowd
}

#[tokio::test]
async fn documented_rotation_order_keeps_all_sessions() {
    let (store, clock) = world();
    let mut crowd = change(&store, &clock, hs256(3), hs256(4)).await;
    // Past the time of the old access keys, and then of the old refresh keys.
    for _ in 0..20 {
        clock.advance(minutes(15));
        crowd.live_on(&clock).await;
    }
    clock.advance(WEEK - HOUR);
    let headers = &crowd.browsers[0];
    assert!(crowd.nodes[0].refresh(&crowd.nodes[0].verifier().present(headers)).await.is_ok());
    clock.advance(4 * HOUR);
    for node in &crowd.nodes {
        assert_eq!(
            format!("{:?}", node.refresh_keys()).matches("VerificationKey(").count(),
            1,
            "the old key is dropped"
        );
    }
}

#[tokio::test]
async fn algorithm_change_keeps_all_sessions() {
    let (store, clock) = world();
    let mut crowd = change(&store, &clock, eddsa(3), eddsa(4)).await;
    for _ in 0..20 {
        clock.advance(minutes(15));
        crowd.live_on(&clock).await;
    }
    for headers in &crowd.browsers {
        assert_eq!(algorithm(headers, "__Host-access"), "EdDSA");
        assert_eq!(algorithm(headers, "__Host-refresh"), "EdDSA");
    }
}

#[tokio::test]
async fn replayed_refresh_after_rotation_keeps_generation() {
    let (store, clock) = world();
    let node = builder(&store, &clock).build().unwrap();
    let first = browser(node.login("alice").await.unwrap(), None);
    clock.advance(minutes(1));
    let before = refresh(&node, &first).await;
    publish(&node, &eddsa(3), &eddsa(4));
    activate(&node, &clock, eddsa(3), eddsa(4));
    clock.advance(Duration::from_secs(5));
    let after = refresh(&node, &first).await;
    assert_eq!(
        (algorithm(&before, "__Host-refresh"), algorithm(&after, "__Host-refresh")),
        ("HS256".into(), "EdDSA".into())
    );
    assert_eq!(
        claims(&before, "__Host-refresh"),
        claims(&after, "__Host-refresh"),
        "the token follows from the record alone"
    );
    assert_eq!(generation(&after), 2);

    // Both are the current token of the session: using one after the other is not reuse.
    clock.advance(minutes(1));
    let next = refresh(&node, &before).await;
    assert_eq!(generation(&refresh(&node, &after).await), 3);
    assert!(accepts(&node, &next));
}

#[tokio::test]
async fn node_restarted_within_overlap_accepts_both_keys() {
    let (store, clock) = world();
    let crowd = change(&store, &clock, eddsa(3), eddsa(4)).await;
    let until = SystemTime::from(clock.now()) + 3 * HOUR;
    let old = |byte| hs256(byte).verification_key().clone();
    let restarted = builder(&store, &clock)
        .access_keys(KeyRing::new(eddsa(3)).with_retiring_key(old(1), until).unwrap())
        .refresh_keys(KeyRing::new(eddsa(4)).with_retiring_key(old(2), until + WEEK).unwrap())
        .build()
        .unwrap();
    assert!(crowd.browsers.iter().all(|headers| accepts(&restarted, headers)));
}
