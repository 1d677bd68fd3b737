//! Values that this release cannot read: junk, truncated ones, and those of other programs.

use std::time::Instant;

use fred::{clients::Client, types::Value};
use tower_jwt_sessions::{SessionId, clock::SystemClock};

use crate::{
    scene::Scene,
    support::{
        Browser, RedisServer,
        admin::{admin, command, try_command},
        millis,
        nodes::{PATIENCE, soon_works},
        owner::{data_key, owner, sessions_key},
    },
};

/// A user whose values are damaged.
const USER: &str = "victim";

async fn type_in(admin: &Client, name: &'static str, args: &[Value]) {
    try_command(admin, name, args.to_vec()).await.expect("the command works");
}

/// Runs a row that damages the values of a user. Others notice nothing.
async fn row(damage: impl AsyncFnOnce(&Scene, &Client, &mut Browser, Value)) {
    let server = RedisServer::start();
    let admin = admin(&server.url()).await;
    let scene = Scene::begin(&server.url()).await;
    let mut browser = Browser::new(&scene.shared.apps[0], &SystemClock);
    works(&mut browser, &format!("POST /login/{USER}")).await;
    let session = browser.get("/me").await.json();
    let id = session["id"].as_str().and_then(|id| id.parse::<SessionId>().ok()).expect("an id");
    scene.during(damage(&scene, &admin, &mut browser, Value::from(id.as_bytes().as_slice()))).await;
    // The remedy of the operations page, where the value is not of another type. On the node where an end may be
    // unfinished: it is tried again until it succeeds, and ends a session that began within the doubt about clocks.
    soon_works(async || scene.nodes[0].end_all(USER).await.is_ok()).await;
    let mut again = Browser::new(&scene.shared.apps[1], &SystemClock);
    works(&mut again, &format!("POST /login/{USER}")).await;
    works(&mut again, "POST /auth/refresh").await;
    // Not 200, in any case.
    assert!([401, 503].contains(&browser.refresh().await.status), "the session has ended");
    scene.ends().await;
}

/// Sends a request that must succeed, unless the machine is so busy that a step takes longer than its limit.
async fn works(browser: &mut Browser, what: &str) {
    let begun = Instant::now();
    while browser.send(what, &[]).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "{what} fails");
    }
}

/// Both nodes serve the access token, and answer a refresh with 503.
async fn is_unavailable(scene: &Scene, browser: &mut Browser) {
    for app in &scene.shared.apps {
        browser.visit(app);
        browser.get("/me").await.is(200);
        browser.refresh().await.is_problem(503, "store_unavailable");
    }
    scene.goes_on(20).await;
}

#[tokio::test]
async fn unreadable_records() {
    row(async |scene, admin, browser, id| {
        let key = Value::from(sessions_key("", &owner(USER)));
        let mut future = vec![0; 62];
        future[0] = 2;
        for record in [b"junk".to_vec(), Vec::new(), vec![1; 61], vec![255; 62], future, vec![7; 10_000]] {
            type_in(admin, "HSET", &[key.clone(), id.clone(), Value::from(&record[..])]).await;
            is_unavailable(scene, browser).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sessions_of_another_type() {
    row(async |scene, admin, browser, _| {
        let key = Value::from(sessions_key("", &owner(USER)));
        type_in(admin, "SET", &[key.clone(), "text".into()]).await;
        is_unavailable(scene, browser).await;
        type_in(admin, "DEL", std::slice::from_ref(&key)).await;
        type_in(admin, "RPUSH", &[key.clone(), "item".into()]).await;
        is_unavailable(scene, browser).await;
        type_in(admin, "DEL", &[key]).await;
    })
    .await;
}

#[tokio::test]
async fn data_of_another_type() {
    row(async |scene, admin, _, _| {
        let key = Value::from(data_key("", &owner(USER)));
        type_in(admin, "SET", &[key.clone(), "text".into()]).await;
        assert!(scene.nodes[0].end_all(USER).await.is_err());
        scene.goes_on(20).await;
        type_in(admin, "DEL", std::slice::from_ref(&key)).await;
        for field in ["x", "e", "t", "p"] {
            for junk in [&b""[..], b"junk", &[255; 100]] {
                type_in(admin, "HSET", &[key.clone(), field.into(), Value::from(junk)]).await;
            }
        }
        scene.goes_on(20).await;
    })
    .await;
}

#[tokio::test]
async fn unreadable_log_entries() {
    row(async |scene, admin, _, _| {
        for entry in [
            [&b"junk"[..], b"1"],
            [b"r", b""],
            [b"r", b"short"],
            [b"r", &[255; 21]],
            [b"\xff", b"\xfe"],
            [b"k", b"junk"],
            [b"r", &[0; 10_000]],
        ] {
            let entry = entry.map(Value::from);
            type_in(admin, "XADD", &["sessions:log".into(), "*".into(), entry[0].clone(), entry[1].clone()]).await;
            scene.goes_on(10).await;
        }
    })
    .await;
}

#[tokio::test]
async fn log_deleted() {
    row(async |scene, admin, _, _| {
        for _ in 0..3 {
            type_in(admin, "DEL", &["sessions:log".into()]).await;
            scene.goes_on(30).await;
        }
    })
    .await;
}

#[tokio::test]
async fn log_of_another_type() {
    let server = RedisServer::start();
    let admin = admin(&server.url()).await;
    let scene = Scene::begin(&server.url()).await;
    // So that there is a log.
    soon_works(async || scene.nodes[0].login(USER).await.is_ok()).await;
    soon_works(async || scene.nodes[0].end_all(USER).await.is_ok()).await;
    scene
        .during(async {
            command(&admin, "RENAME", &["sessions:log", "kept"]).await;
            command(&admin, "SET", &["sessions:log", "text"]).await;
            let begun = Instant::now();
            while scene.shared.ledger.state().unavailable == 0 {
                assert!(begun.elapsed() < PATIENCE, "no logout fails");
                tokio::time::sleep(millis(5)).await;
            }
            tokio::time::sleep(millis(300)).await;
            command(&admin, "RENAME", &["kept", "sessions:log"]).await;
        })
        .await;
    scene.ends().await;
}
