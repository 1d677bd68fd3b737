//! Data that stays on the server with its session.

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde_json::{Value, json};
use tower_jwt_sessions::{Error, Presented, Session, SessionCookies, SessionManager};

use crate::support::*;

on_every_store!(
    versions_count_the_writes,
    writers_at_once_lose_nothing,
    it_belongs_to_one_session,
    an_ended_session_stays_ended,
    data_of_another_shape,
    while_the_store_is_away,
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

/// The session ends while this handler is about to write.
async fn too_late(
    State(sessions): Manager,
    session: Session<Claims>,
    presented: Presented<Claims>,
) -> Result<String, Error> {
    let _cookies = sessions.logout(&presented).await?;
    sessions.put_data(&session, 0, &"late").await.map(|version| version.to_string())
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
        .layer(world.sessions.layer())
        .with_state(world.sessions.clone());
    world.app = world.app.merge(data);
    world
}

async fn versions_count_the_writes(backend: Backend) {
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

async fn writers_at_once_lose_nothing(backend: Backend) {
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
        seen.push(writer.await.expect("an answer").parse::<u32>().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=24).collect::<Vec<_>>(), "everybody wrote a number of their own");
    assert_eq!(browser.get("/data").await.json(), json!({ "value": 24, "version": 24 }));
}

async fn it_belongs_to_one_session(backend: Backend) {
    let world = world(backend).await;
    let (mut phone, mut laptop) = (world.browser(), world.browser());
    phone.post("/login-with-basket").await.is(200);
    laptop.login("alice").await;
    assert_eq!(phone.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
    assert_eq!(laptop.get("/data").await.json(), json!({ "value": null, "version": 0 }));
    // A login that takes the place of a session takes nothing over that was not asked for.
    phone.login("alice").await;
    assert_eq!(phone.get("/data").await.json(), json!({ "value": null, "version": 0 }));
    world.browser().get("/data").await.is_problem(401, "missing_credentials");
}

async fn an_ended_session_stays_ended(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.post("/too-late").await.is_problem(401, "invalid_token");
    assert_eq!(world.count("alice").await, 0);
    browser.refresh().await.is_problem(401, "invalid_refresh_token");

    // On a node that has not heard of the end yet, the store has the last word all the same.
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

async fn data_of_another_shape(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.browser();
    browser.post("/login-with-basket").await.is(200);
    browser.post("/count").await.is_problem(500, "internal_error");
    assert_eq!(browser.get("/data").await.json(), json!({ "value": ["apple"], "version": 1 }));
}

async fn while_the_store_is_away(backend: Backend) {
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
