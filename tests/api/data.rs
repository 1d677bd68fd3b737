//! Data that stays on the server with its session.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_jwt_sessions::{Error, PresentedTokens, Session, SessionCookies, SessionManager};

use crate::support::*;

on_every_store!(
    data_version_counts_writes,
    concurrent_data_updates_are_not_lost,
    data_belongs_to_one_session,
    data_update_of_ended_session_is_refused,
    data_of_another_type_is_error_and_stays,
    data_of_older_release_is_read_and_updated_as_newer_type,
    data_of_older_release_can_be_discarded,
    data_is_unavailable_during_store_outage,
);

type Manager = State<SessionManager<Claims>>;

async fn read(State(sessions): Manager, session: Session<Claims>) -> Result<Json<Value>, Error> {
    let data = sessions.data::<Value>(&session).await?;
    Ok(Json(json!({ "value": data.value, "version": data.version })))
}

async fn put(
    State(sessions): Manager,
    session: Session<Claims>,
    Path((version, value)): Path<(u64, String)>,
) -> Result<String, Error> {
    Ok(sessions.put_data(&session, version, &value).await?.to_string())
}

async fn count(State(sessions): Manager, session: Session<Claims>) -> Result<String, Error> {
    Ok(sessions.update_data(&session, |n: Option<u32>| n.unwrap_or(0) + 1).await?.to_string())
}

/// Ends the session before the handler writes to it.
async fn too_late(
    State(sessions): Manager,
    session: Session<Claims>,
    presented: PresentedTokens<Claims>,
) -> Result<String, Error> {
    let _cookies = sessions.logout(&presented).await?;
    sessions.put_data(&session, 0, &"late").await.map(|version| version.to_string())
}

/// The type that a later release of the application stores instead of a list of names.
#[derive(Serialize, Deserialize)]
struct Basket {
    items: BTreeMap<String, u32>,
}

fn older_basket(json: &[u8]) -> Option<Basket> {
    let names = serde_json::from_slice::<Vec<String>>(json).ok()?;
    Some(Basket { items: names.into_iter().map(|name| (name, 1)).collect() })
}

async fn strict_basket(State(sessions): Manager, session: Session<Claims>) -> Result<Json<Value>, Error> {
    let data = sessions.data::<Basket>(&session).await?;
    Ok(Json(json!({ "basket": data.value, "version": data.version })))
}

async fn basket(State(sessions): Manager, session: Session<Claims>) -> Result<Json<Value>, Error> {
    let data = sessions.data_or_else(&session, older_basket).await?;
    Ok(Json(json!({ "basket": data.value, "version": data.version })))
}

async fn add(
    State(sessions): Manager,
    session: Session<Claims>,
    Path(name): Path<String>,
) -> Result<Json<Basket>, Error> {
    let add = |basket: Option<Basket>| {
        let mut basket = basket.unwrap_or_else(|| Basket { items: BTreeMap::new() });
        *basket.items.entry(name.clone()).or_default() += 1;
        basket
    };
    Ok(Json(sessions.update_data_or_else(&session, older_basket, add).await?))
}

async fn begin_again(State(sessions): Manager, session: Session<Claims>) -> Result<Json<Value>, Error> {
    let given_up = sessions.data_or_else::<Basket, _>(&session, |_| None).await?;
    let was_there = given_up.value.is_some();
    let version = sessions.put_data(&session, given_up.version, &Basket { items: BTreeMap::new() }).await?;
    Ok(Json(json!({ "was_there": was_there, "version": version })))
}

async fn login_with_basket(State(sessions): Manager) -> Result<SessionCookies, Error> {
    sessions.login("alice").data(&json!(["apple"])).await
}

async fn world(backend: Backend) -> World {
    let mut world = World::new(backend).await;
    let data = Router::new()
        .route("/data", get(read))
        .route("/put/{version}/{value}", post(put))
        .route("/count", post(count))
        .route("/too-late", post(too_late))
        .route("/login-with-basket", post(login_with_basket))
        .route("/strict-basket", get(strict_basket))
        .route("/basket", get(basket))
        .route("/basket/{name}", post(add))
        .route("/begin-again", post(begin_again))
        .layer(world.sessions.layer())
        .with_state(world.sessions.clone());
    world.app = world.app.merge(data);
    world
}

async fn data_version_counts_writes(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    assert_eq!(browser.get("/data").await.json(), json!({ "value": null, "version": 0 }));
    browser.post("/put/1/early").await.is_problem(409, "data_conflict");
    assert_eq!(browser.post("/put/0/one").await.is(200).body, "1");
    browser.post("/put/0/other").await.is_problem(409, "data_conflict");
    assert_eq!(browser.get("/data").await.json(), json!({ "value": "one", "version": 1 }));
    assert_eq!(browser.post("/put/1/%C3%BC%00%22").await.is(200).body, "2");
    browser.post("/put/1/other").await.is_problem(409, "data_conflict");
    browser.post(&format!("/put/{}/x", u64::MAX)).await.is_problem(409, "data_conflict");
    browser.refresh().await.is(200);
    assert_eq!(browser.get("/data").await.json(), json!({ "value": "ü\0\"", "version": 2 }));
}

async fn concurrent_data_updates_are_not_lost(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let writers: Vec<_> = (0..24)
        .map(|_| {
            let tab = browser.clone();
            tokio::spawn(async move { tab.send_only("POST /count", &[]).await.is(200).body.clone() })
        })
        .collect();
    let mut seen = Vec::new();
    for writer in writers {
        seen.push(writer.await.expect("a response").parse::<u32>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=24).collect::<Vec<_>>(), "each request wrote a different number");
    assert_eq!(browser.get("/data").await.json(), json!({ "value": 24, "version": 24 }));
}

async fn data_belongs_to_one_session(backend: Backend) {
    let world = world(backend).await;
    let (mut phone, mut laptop) = (world.browser(), world.browser());
    phone.post("/login-with-basket").await.is(200);
    laptop.login("alice").await;
    assert_eq!(phone.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
    assert_eq!(laptop.get("/data").await.json(), json!({ "value": null, "version": 0 }));
    // A login that replaces a session does not carry its data over by default.
    phone.login("alice").await;
    assert_eq!(phone.get("/data").await.json(), json!({ "value": null, "version": 0 }));
    world.browser().get("/data").await.is_problem(401, "missing_credentials");
}

async fn data_update_of_ended_session_is_refused(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.post("/too-late").await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 0);
    browser.refresh().await.is_problem(401, "invalid_refresh_token");

    // On a node that has not read the revocation yet, the store refuses the write.
    let node = world.node(|builder| builder).await;
    browser.login("alice").await;
    let headers = http::HeaderMap::from_iter([(http::header::COOKIE, browser.cookies().parse().expect("a header"))]);
    let session = node.sessions.verifier().verify(&headers).expect("a session");
    browser.post("/auth/logout").await.is(200);
    let late = node.sessions.update_data(&session, |_: Option<u8>| 1).await;
    assert_eq!(late.err().map(|error| error.problem().code()), Some("invalid_token"));
    let late = node.sessions.data::<u8>(&session).await;
    assert_eq!(late.err().map(|error| error.problem().code()), Some("invalid_token"));
    assert_eq!(world.count("alice").await, 0);
}

async fn data_of_another_type_is_error_and_stays(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.post("/login-with-basket").await.is(200);
    browser.post("/count").await.is_problem(500, "internal_error");
    assert_eq!(browser.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
}

async fn data_of_older_release_is_read_and_updated_as_newer_type(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.post("/login-with-basket").await.is(200);
    browser.get("/strict-basket").await.is_problem(500, "internal_error");
    assert_eq!(browser.get("/basket").await.json(), json!({ "basket": { "items": { "apple": 1 } }, "version": 1 }));
    // Reading does not convert the stored value: nodes of the older release still read it.
    assert_eq!(browser.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
    // The change reads the older type once, and does not overwrite another writer's change.
    let tabs: Vec<_> = (0..12)
        .map(|_| {
            let tab = browser.clone();
            tokio::spawn(async move { tab.send_only("POST /basket/apple", &[]).await.is(200).body.clone() })
        })
        .collect();
    for tab in tabs {
        tab.await.expect("a response");
    }
    let newer = json!({ "basket": { "items": { "apple": 13 } }, "version": 13 });
    assert_eq!(browser.get("/basket").await.json(), newer);
    assert_eq!(browser.get("/strict-basket").await.json(), newer, "the value was written as the newer type");
    // No older value: the default.
    browser.login("bob").await;
    assert_eq!(browser.get("/basket").await.json(), json!({ "basket": null, "version": 0 }));
    assert_eq!(browser.post("/basket/pear").await.json(), json!({ "items": { "pear": 1 } }));
}

async fn data_of_older_release_can_be_discarded(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.post("/login-with-basket").await.is(200);
    assert_eq!(browser.post("/begin-again").await.json(), json!({ "was_there": false, "version": 2 }));
    assert_eq!(browser.get("/strict-basket").await.json(), json!({ "basket": { "items": {} }, "version": 2 }));
    // The conversion function discards values of neither type.
    assert_eq!(browser.post("/put/2/neither").await.is(200).body, "3");
    assert_eq!(browser.get("/basket").await.json(), json!({ "basket": null, "version": 3 }));
    assert_eq!(browser.post("/basket/pear").await.json(), json!({ "items": { "pear": 1 } }));
    world.store.set_down(true);
    browser.get("/basket").await.is_problem(503, "store_unavailable");
    browser.post("/basket/pear").await.is_problem(503, "store_unavailable");
}

async fn data_is_unavailable_during_store_outage(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.post("/login-with-basket").await.is(200);
    world.store.set_down(true);
    browser.get("/data").await.is_problem(503, "store_unavailable");
    browser.post("/put/1/x").await.is_problem(503, "store_unavailable");
    browser.post("/count").await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    assert_eq!(browser.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
}
