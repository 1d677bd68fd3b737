//! From the login to the end of a bound session, as Chromium goes through it.

use serde_json::json;
use tower_jwt_sessions::{
    KeyRing,
    clock::Clock as _,
    event::{EndReason, Operation, RefreshKind, SessionEventKind as Event},
    policy::ReplayWindow,
    store::{RefreshAttempt, RotateOutcome, RotateSession, SessionStore as _},
};

use super::{binding, world};
use crate::support::{device::*, owner::owner, *};

on_every_store!(
    login_is_offered_to_be_bound,
    registration_describes_the_session,
    first_proof_binds,
    refresh_without_proof_is_challenged,
    access_tokens_of_bound_sessions_are_short,
    lists_show_bound_sessions,
    second_registration_changes_nothing,
    superseded_token_registers_nothing,
    sessions_are_offered_to_be_bound_for_minutes_only,
    ended_session_ends_at_the_next_proof,
    proof_of_another_key_is_reported,
    outage_is_no_end,
    expired_access_costs_one_refresh,
    refresh_token_that_cannot_be_verified_is_no_end,
    lost_key_is_not_replaced,
);

/// The `Max-Age` of a cookie that a response sets.
fn max_age(response: &TestResponse, name: &str) -> Option<u64> {
    let lines = response.set_cookies();
    let line = lines.iter().find(|line| line.starts_with(&format!("{name}=")))?;
    line.split("; ").find_map(|part| part.strip_prefix("Max-Age="))?.parse().ok()
}

async fn login_is_offered_to_be_bound(backend: Backend) {
    let world = world(backend).await;
    let response = world.browser().login("alice").await;
    let (challenge, path) = offered(&response).expect("an offer");
    assert_eq!(path, "/auth/dbsc/register");
    assert!(challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{challenge}");

    let plain = World::new(backend).await;
    let response = plain.browser().login("alice").await;
    assert_eq!(response.header(OFFER), "", "not where sessions are not bound");
    plain.browser().post("/auth/dbsc/register").await.is(404);
    plain.browser().post("/auth/dbsc/refresh").await.is(404);
}

async fn registration_describes_the_session(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    let before = (browser.browser.refresh_token(), world.sessions.list("alice").await.unwrap());
    let response = browser.register(&login).await;
    let id = response.json()["session_identifier"].as_str().expect("an identifier").to_owned();
    assert_eq!(
        response.is(200).json(),
        json!({
            "session_identifier": id,
            "refresh_url": "/auth/dbsc/refresh",
            "scope": { "origin": "https://app.test", "include_site": false, "scope_specification": [] },
            "credentials": [{
                "type": "cookie",
                "name": "__Host-access",
                "attributes": "Path=/; Secure; HttpOnly; SameSite=Strict",
            }],
        })
    );
    assert!(
        id.len() == 22 && !before.1.iter().any(|session| session.id.to_string() == id),
        "{id}: no identifier of ours"
    );
    assert_eq!(response.header(CHALLENGE), format!("\"{}\";id=\"{id}\"", challenge(&response).expect("a challenge")));
    let headers = ["content-type", "cache-control", "cross-origin-resource-policy", "x-frame-options", OFFER];
    let expected = ["application/json", "no-store", "same-origin", "DENY", ""];
    assert_eq!(headers.map(|name| response.header(name)), expected);
    // The browser notices soon that the access cookie goes, and proves that it has the key.
    assert_eq!(max_age(&response, ACCESS), Some(58));
    assert_eq!(response.set_cookies().len(), 1);
    assert_eq!(
        (browser.browser.refresh_token(), world.sessions.list("alice").await.unwrap()),
        before,
        "nothing is bound"
    );
    let events = world.whole_events();
    let kinds: Vec<_> = events.iter().map(|event| (event.kind, event.operation)).collect();
    assert_eq!(kinds, [(Event::Created, Operation::Login), (Event::DeviceRegistered, Operation::DeviceRegistration)]);
    browser.browser.get("/me").await.is(200);
}

async fn first_proof_binds(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.login("alice").await;
    // Until then everything is as for any other session, for however long.
    world.clock.advance(hours(1));
    browser.browser.refresh().await.is(200);
    world.clock.advance(hours(1));
    world.events();
    let response = browser.refresh().await;
    assert_eq!((response.is(200).body.as_str(), response.header("cache-control")), ("", "no-store"));
    assert_eq!(world.events(), [Event::Refreshed(RefreshKind::Rotated), Event::DeviceBound]);
    assert!(challenge(&response).is_some(), "the next refresh takes one request");

    browser.browser.refresh().await.is_problem(403, "proof_required");
    assert_eq!(world.events(), [Event::DeviceProofMissing]);
    let mut thief = world.browser();
    thief.plant(REFRESH, &browser.browser.refresh_token());
    for _ in 0..100 {
        thief.refresh().await.is_problem(403, "proof_required");
    }
    let told = world.sessions.refresh_with_token(&browser.browser.refresh_token()).await.unwrap_err();
    assert_eq!(told.kind(), tower_jwt_sessions::error::ErrorKind::ProofRequired);

    // The owner goes on, with one signature for each refresh.
    for _ in 0..5 {
        world.clock.advance(seconds(9 * 60));
        browser.try_refresh().await.is(200);
        browser.browser.get("/me").await.is(200);
    }
    assert_eq!(world.count("alice").await, 1);
}

async fn refresh_without_proof_is_challenged(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.login("alice").await;
    browser.bound.as_mut().expect("a session").challenge = None;
    let finds = world.store.finds();
    let response = browser.try_refresh().await;
    response.is_problem(403, "proof_required");
    assert!(challenge(&response).is_some());
    assert_eq!(world.store.finds(), finds, "the store was not asked");
    assert_eq!(browser.try_refresh().await.is(200).body, "");

    // As the draft spells both headers, which Chromium leaves bare.
    let bound = browser.bound.as_ref().expect("a session");
    let proof = format!("\"{}\"", bound.key.proof(bound.challenge.as_ref().expect("a challenge")));
    let id = format!("\"{}\"", bound.id);
    browser.browser.send("POST /auth/dbsc/refresh", &[(ID, &id), (PROOF, &proof)]).await.is(200);
}

async fn access_tokens_of_bound_sessions_are_short(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    assert_eq!(max_age(&browser.login("alice").await, ACCESS), Some(3600));
    world.clock.advance(seconds(60));
    let response = browser.refresh().await;
    assert_eq!(max_age(&response, ACCESS), Some(598), "gone a little before its token");
    assert_eq!(browser.browser.get("/me").await.json()["expires_in"], 600);

    // A copy of the cookies is good until then, and no longer.
    let mut thief = world.browser();
    thief.plant(ACCESS, &browser.browser.access());
    thief.plant(REFRESH, &browser.browser.refresh_token());
    world.clock.advance(seconds(599));
    thief.get("/me").await.is(200);
    assert_eq!(browser.browser.cookie(ACCESS), None);
    world.clock.advance(seconds(1));
    for _ in 0..100 {
        thief.get("/me").await.is_problem(401, "invalid_token");
        thief.refresh().await.is_problem(403, "proof_required");
    }
    browser.get("/me").await.is(200);
}

async fn lists_show_bound_sessions(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.login("alice").await;
    let bound = async |browser: &mut Browser| {
        let listed = browser.get("/auth/sessions").await.json();
        listed["sessions"][0]["bound"].clone()
    };
    assert_eq!(bound(&mut browser.browser).await, json!(false));
    browser.refresh().await.is(200);
    assert_eq!(bound(&mut browser.browser).await, json!(true));
}

async fn second_registration_changes_nothing(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.login("alice").await;
    world.clock.advance(seconds(60));
    let first = browser.bound.take();
    world.events();
    browser.register(&login).await.is_problem(403, "already_bound");
    assert_eq!(world.events(), [Event::DeviceRegistrationRefused]);
    browser.bound = first;
    browser.refresh().await.is(200);
    let first = browser.bound.take();
    let response = browser.register(&login).await;
    // Its challenge was for the refresh token of the login.
    response.is_problem(400, "invalid_device_proof");
    browser.bound = first;
    browser.refresh().await.is(200);
}

async fn superseded_token_registers_nothing(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    let mut copy = world.bound_browser();
    copy.browser = browser.browser.clone();
    browser.browser.refresh().await.is(200);
    world.clock.advance(seconds(20));
    let refreshed = browser.browser.refresh().await;
    copy.register(&login).await.is_problem(401, "invalid_refresh_token");
    assert!(!world.events().contains(&Event::DeviceRegistered));
    browser.register(&refreshed).await.is(200);
}

async fn sessions_are_offered_to_be_bound_for_minutes_only(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    world.clock.advance(seconds(299));
    let refreshed = browser.browser.refresh().await;
    assert!(offered(&refreshed).is_some(), "for five minutes");
    world.clock.advance(seconds(1));
    assert_eq!(offered(&browser.browser.refresh().await), None);
    browser.register(&login).await.is_problem(400, "invalid_device_proof");
    world.clock.advance(seconds(298));
    browser.register(&refreshed).await.is(200);

    // A challenge that anyone with the cookies gets at any time is no offer.
    let mut other = world.bound_browser();
    other.browser.login("bob").await;
    let id = browser.bound.as_ref().expect("a session").id.clone();
    browser.bound.as_mut().expect("a session").challenge = None;
    let challenged = browser.try_refresh().await;
    let challenge = challenge(challenged.is(403)).expect("a challenge");
    let proof = DeviceKeyPair::generate().registration(&challenge);
    let response = browser.browser.send("POST /auth/dbsc/register", &[(ID, &id), (PROOF, &proof)]).await;
    response.is_problem(400, "invalid_device_proof");
}

async fn ended_session_ends_at_the_next_proof(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    assert_eq!(world.sessions.end_all("alice").await.unwrap(), 1);
    assert_eq!(browser.try_refresh().await.is(200).json(), json!({ "continue": false }));

    // By its owner, whose cookies are gone; the former session of this browser is over, too.
    browser.bind("alice").await;
    let former = browser.bound.take();
    browser.bind("alice").await;
    let current = std::mem::replace(&mut browser.bound, former);
    assert_eq!(browser.try_refresh().await.is(200).json(), json!({ "continue": false }), "another session");
    browser.bound = current;
    browser.browser.post("/auth/logout").await.is(200);
    assert_eq!(browser.try_refresh().await.is(200).json(), json!({ "continue": false }));
    assert_eq!(world.events().last(), Some(&Event::Ended(EndReason::LoggedOut)));
    browser.browser.get("/me").await.is_problem(401, "missing_credentials");
}

async fn proof_of_another_key_is_reported(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    world.events();
    browser.bound.as_mut().expect("a session").key = DeviceKeyPair::generate();
    browser.try_refresh().await.is_problem(400, "invalid_device_proof");
    assert_eq!(world.events(), [Event::DeviceProofInvalid]);
    // A key is lost, and a login is all that it takes. It is no theft.
    browser.browser.refresh().await.is_problem(403, "proof_required");
    browser.bind("alice").await;
    browser.get("/me").await.is(200);
    assert!(!world.events().contains(&Event::RefreshTokenReused));
}

async fn outage_is_no_end(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    world.store.set_down(true);
    browser.register(&login).await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    browser.register(&login).await.is(200);
    for _ in 0..2 {
        world.store.set_down(true);
        browser.refresh().await.is_problem(503, "store_unavailable");
        world.store.set_down(false);
        world.users.set_down(true);
        browser.refresh().await.is_problem(503, "claims_unavailable");
        world.users.set_down(false);
        browser.refresh().await.is(200);
        world.clock.advance(seconds(60));
    }
}

/// A browser refreshes only where the access cookie is missing, and here it is still there.
async fn expired_access_costs_one_refresh(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let kept = browser.browser.cookie(REFRESH);
    world.sessions.expire_access("alice").await.unwrap();
    browser.get("/me").await.is_problem(401, "invalid_token");
    browser.browser.refresh().await.is_problem(403, "proof_required");
    assert_eq!((browser.browser.cookie(ACCESS), browser.browser.cookie(REFRESH)), (None, kept));
    browser.get("/me").await.is(200);
}

/// By a node whose keys are older than the token, or beside a cookie of the same name that something else has set. The
/// browser would forget its key.
async fn refresh_token_that_cannot_be_verified_is_no_end(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let good = browser.browser.refresh_token();
    let node = world.node(|builder| binding(builder).refresh_keys(KeyRing::hs256([7; 32]).unwrap())).await;
    let home = browser.browser.clone();
    browser.browser.visit(&node.app);
    browser.try_refresh().await.is_problem(503, "refresh_token_unverified");
    browser.browser = home;
    for copies in [2, 9] {
        let id = browser.bound.as_ref().expect("a session").id.clone();
        let several = (0..copies).map(|n| format!("{REFRESH}=x{n}")).collect::<Vec<_>>().join("; ");
        let cookies = format!("{several}; {REFRESH}={good}");
        let request = [("cookie", cookies.as_str()), (ID, &id), ("sec-fetch-site", "same-origin")];
        send(&world.app, "POST /auth/dbsc/refresh", &request).await.is_problem(503, "refresh_token_unverified");
    }
    browser.refresh().await.is(200);
    // Without any the browser is logged out.
    browser.browser.forget(REFRESH);
    assert_eq!(browser.try_refresh().await.is(200).json(), json!({ "continue": false }));
}

/// Otherwise a thief could bind the session again, where a store has lost the keys but not the records.
async fn lost_key_is_not_replaced(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    let session = world.sessions.list("alice").await.unwrap()[0].id;
    // As if it had been bound, and its key were gone.
    let window = ReplayWindow::default();
    let mut attempt = RefreshAttempt::new(1, world.clock.now().saturating_add(hours(1)), window, hours(1));
    attempt.is_proven = true;
    let proven = RotateSession::new(owner("alice"), session, attempt, hours(1));
    let RotateOutcome::Live { record, .. } = world.store.rotate(&proven).await.unwrap() else { panic!("it lives") };
    assert!(record.bound_at.is_some());
    browser.register(&login).await.is_problem(403, "already_bound");
}
