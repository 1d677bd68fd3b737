//! Nodes that start before Redis is reachable, and connect when it is.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use tower_jwt_sessions::{manager::SessionManagerBuilder, redis::RedisStore, revocation::FeedStatus};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

/// Far longer than connecting takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is stopped, and its address.
fn down() -> RedisServer {
    let mut server = RedisServer::start();
    server.kill();
    server
}

fn in_background(server: &RedisServer, world: &World) -> RedisStore {
    let store = RedisStore::connect_in_background(&server.url()).expect("a valid address");
    store.with_clock(world.clock.clone())
}

fn over(world: &World, store: RedisStore) -> SessionManagerBuilder<Claims> {
    let claims = async |(), _| Ok::<_, Infallible>(Some(Claims { role: "member".to_owned() }));
    builder::<Claims>(&world.store, &world.clock).claims_with((), claims).store(store)
}

/// Repeats a request until its response has another status than 503.
async fn response_after_outage(browser: &mut Browser, what: &str) -> TestResponse {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let response = browser.send(what, &[]).await;
        if response.status != 503 {
            return response;
        }
        assert!(Instant::now() < deadline, "{what}: Redis is reachable, and the response is still {response:?}");
        tokio::time::sleep(millis(5)).await;
    }
}

#[tokio::test]
async fn node_started_before_redis_is_unavailable_until_connected() {
    // A user who has logged in before, at a node with the same keys.
    let world = World::new(Backend::Memory).await;
    let mut early = world.browser();
    early.login("alice").await;

    let mut server = down();
    Log::capture(LevelFilter::TRACE);
    let begun = Instant::now();
    let sessions = over(&world, in_background(&server, &world)).build().expect("a valid configuration");
    assert!(begun.elapsed() < seconds(1), "it took {:?}", begun.elapsed());
    let node = app(&sessions);
    let mut browser = Browser::new(&node, &world.clock);
    for name in [ACCESS, REFRESH] {
        browser.plant(name, &early.cookie(name).expect("a cookie"));
    }
    while !Log::so_far().contains("still no connection to Redis") {
        assert!(begun.elapsed() < PATIENCE, "no further attempt to connect");
        tokio::time::sleep(millis(5)).await;
    }
    for _ in 0..3 {
        assert_eq!(sessions.revocation_feed().status(), FeedStatus::CatchingUp);
        browser.get("/me").await.is_problem(503, "revocations_unknown");
        send(&node, "GET /me", &[("cookie", "a=b")]).await.is_problem(401, "missing_credentials");
        for what in ["POST /login/bob", "POST /auth/refresh"] {
            let asked = Instant::now();
            Browser::clone(&browser).send(what, &[]).await.is_problem(503, "store_unavailable");
            assert!(asked.elapsed() < seconds(1), "{what} took {:?}", asked.elapsed());
        }
    }
    browser.post("/auth/logout").await.is_problem(503, "store_unavailable");

    server.restart();
    tokio::time::timeout(PATIENCE, sessions.revocation_feed().caught_up()).await.expect("the node connects");
    let mut bob = Browser::new(&node, &world.clock);
    response_after_outage(&mut bob, "POST /login/bob").await.is(200);
    bob.get("/me").await.is(200);
    bob.refresh().await.is(200);
    // This node refuses the session since its failed logout, which the next logout or the node's retry completes.
    assert_ne!(browser.get("/me").await.status, 200);
    Browser::clone(&browser).post("/auth/logout").await.is(200);
    browser.get("/me").await.is_problem(401, "invalid_token");
    browser.post("/auth/logout").await.is(200);
    bob.post("/auth/logout").await.is(200);
    let mut carol = Browser::new(&node, &world.clock);
    carol.login("carol").await;
    carol.get("/me").await.is(200);
}

#[tokio::test]
async fn node_started_before_redis_may_serve_signed_tokens() {
    let world = World::new(Backend::Memory).await;
    let mut early = world.browser();
    early.login("alice").await;
    let server = down();
    let builder = over(&world, in_background(&server, &world)).serve_before_catch_up();
    let sessions = builder.build().expect("a valid configuration");
    send(&app(&sessions), "GET /me", &[("cookie", &early.cookies())]).await.is(200);
    assert_eq!(sessions.revocation_feed().status(), FeedStatus::CatchingUp, "the status reports the missing log");
}

#[tokio::test]
async fn node_started_before_redis_learns_of_earlier_ends_first() {
    let world = World::new(Backend::Memory).await;
    let (mut ended, mut alive) = (world.browser(), world.browser());
    ended.login("alice").await;
    alive.login("bob").await;

    let mut server = down();
    let sessions = over(&world, in_background(&server, &world)).build().expect("a valid configuration");
    let node = app(&sessions);
    // Redis and another node are running again before this node connects.
    server.restart();
    let other = RedisStore::connect(&server.url()).await.expect("a connection").with_clock(world.clock.clone());
    let elsewhere = over(&world, other).build().expect("a valid configuration");
    elsewhere.revocation_feed().caught_up().await;
    let mut there = Browser::new(&app(&elsewhere), &world.clock);
    for name in [ACCESS, REFRESH] {
        there.plant(name, &ended.cookie(name).expect("a cookie"));
    }
    there.post("/auth/logout").await.is(200);

    // Either it has not caught up, or it has read the revocation.
    let mut status = 503;
    let deadline = Instant::now() + PATIENCE;
    while status == 503 {
        assert!(Instant::now() < deadline, "the node does not connect to Redis");
        status = send(&node, "GET /me", &[("cookie", &ended.cookies())]).await.status;
        tokio::time::sleep(millis(1)).await;
    }
    assert_eq!(status, 401);
    send(&node, "GET /me", &[("cookie", &alive.cookies())]).await.is(200);
}
