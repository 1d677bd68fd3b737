//! Guards: conditions and recent logins, as layers over a nested router and inside handlers.

use std::{convert::Infallible, sync::Mutex};

use axum::{
    Router,
    body::Bytes,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{Request, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_jwt_sessions::{
    Session,
    auth::{SessionRejection, SessionRejectionKind},
    error::Problem,
    guard::{require, require_recent_login},
    revocation::StalePolicy,
};

use crate::support::*;

on_every_store!(changed_role_counts_at_once, login_must_be_recent,);

fn is_admin(session: &Session<Claims>) -> bool {
    session.claims().role == "admin"
}

/// An admin section that layers guard, and beside it one whose handlers guard themselves.
fn with_admin(world: &World) -> Router {
    let recent = require_recent_login::<Claims>(seconds(600));
    let by_layers = Router::new()
        .route("/users", get(async || "the users"))
        .route("/role", post(async |_: Session<Claims>| "changed").layer(recent))
        .layer(require(is_admin));
    let users = async |session: Session<Claims>| -> Result<&str, SessionRejection> {
        session.require(is_admin)?;
        Ok("the users")
    };
    let role = async |session: Session<Claims>| -> Result<&str, SessionRejection> {
        session.require(|session| session.claims().role == "admin")?;
        session.require_recent_login(seconds(600))?;
        Ok("changed")
    };
    let by_handlers = Router::new().route("/users", get(users)).route("/role", post(role));
    let admin = Router::new().nest("/admin", by_layers).nest("/self", by_handlers).layer(world.sessions.layer());
    world.app.clone().merge(admin)
}

/// What an admin sees and does, in both sections.
const SECTIONS: [(&str, &str); 2] = [("GET /admin/users", "POST /admin/role"), ("GET /self/users", "POST /self/role")];

/// A world with the admin section, and a browser of this user.
async fn scene(backend: Backend, user: &str) -> (World, Browser) {
    let mut world = World::new(backend).await;
    world.users.set_role("alice", "admin");
    world.app = with_admin(&world);
    let mut browser = world.browser();
    browser.login(user).await;
    (world, browser)
}

#[tokio::test]
async fn admin_section_is_for_admins_alone() {
    let (world, mut admin) = scene(Backend::Memory, "alice").await;
    let mut member = world.browser();
    member.login("bob").await;
    for (see, change) in SECTIONS {
        assert_eq!(admin.send(see, &[]).await.is(200).body, "the users");
        assert_eq!(admin.send(change, &[]).await.is(200).body, "changed");
        for what in [see, change] {
            let refused = member.send(what, &[]).await;
            refused.is_problem(403, "insufficient_scope");
            assert_eq!(refused.header("www-authenticate"), r#"Bearer realm="session", error="insufficient_scope""#);
            // As the extractor rejects it.
            world.browser().send(what, &[]).await.is_problem(401, "missing_credentials");
            let forged = [("cookie", &*format!("{ACCESS}=x"))];
            send(&world.app, what, &forged).await.is_problem(401, "invalid_token");
        }
    }
    member.get("/me").await.is(200);
}

async fn changed_role_counts_at_once(backend: Backend) {
    let (world, mut browser) = scene(backend, "alice").await;
    for (see, _) in SECTIONS {
        world.users.set_role("alice", "admin");
        world.sessions.expire_access("alice").await.expect("a store that answers");
        browser.refresh().await.is(200);
        browser.send(see, &[]).await.is(200);
        world.users.set_role("alice", "member");
        world.sessions.expire_access("alice").await.expect("a store that answers");
        browser.send(see, &[]).await.is_problem(401, "invalid_token");
        browser.refresh().await.is(200);
        browser.send(see, &[]).await.is_problem(403, "insufficient_scope");
    }
}

async fn login_must_be_recent(backend: Backend) {
    let (world, mut browser) = scene(backend, "alice").await;
    for (see, change) in SECTIONS {
        browser.login("alice").await;
        world.clock.advance(seconds(599));
        browser.send(change, &[]).await.is(200);
        world.clock.advance(seconds(2));
        let refused = browser.send(change, &[]).await;
        refused.is_problem(401, "insufficient_user_authentication");
        assert_eq!(
            refused.header("www-authenticate"),
            r#"Bearer realm="session", error="insufficient_user_authentication", max_age="600""#
        );
        // The session lives, and a refresh is no login.
        browser.send(see, &[]).await.is(200);
        browser.refresh().await.is(200);
        browser.send(change, &[]).await.is_problem(401, "insufficient_user_authentication");
        browser.login("alice").await;
        browser.send(change, &[]).await.is(200);
    }
}

/// It depends on neither the lifetime of a token nor that of a session.
#[tokio::test]
async fn login_of_week_ago_can_be_recent() {
    let mut world = World::new(Backend::Memory).await;
    let old = require_recent_login::<Claims>(hours(24 * 10));
    let routes = Router::new().route("/old", get(async || "in").layer(old)).layer(world.sessions.layer());
    world.app = world.app.merge(routes);
    let mut browser = world.browser();
    browser.login("alice").await;
    for _ in 0..2 {
        world.clock.advance(hours(24 * 5 - 1));
        browser.refresh().await.is(200);
        browser.get("/old").await.is(200);
    }
    world.clock.advance(hours(3));
    browser.refresh().await.is(200);
    browser.get("/old").await.is_problem(401, "insufficient_user_authentication");
}

#[tokio::test]
async fn rejections_of_guards_are_rendered_by_application() {
    let render =
        |problem: &Problem, _: Option<&Parts>| -> Response { format!("<h1>{}</h1>", problem.code()).into_response() };
    let mut world = World::with(Backend::Memory, |builder| builder.render_errors(render)).await;
    world.app = with_admin(&world);
    world.users.set_role("alice", "admin");
    let mut admin = world.browser();
    admin.login("alice").await;
    let mut member = world.browser();
    member.login("bob").await;
    world.clock.advance(seconds(601));
    for (see, change) in SECTIONS {
        let anonymous = world.browser().send(see, &[]).await;
        assert_eq!(anonymous.is(401).body, "<h1>missing_credentials</h1>");
        assert_eq!(member.send(see, &[]).await.is(403).body, "<h1>insufficient_scope</h1>");
        let old = admin.send(change, &[]).await;
        assert_eq!(old.is(401).body, "<h1>insufficient_user_authentication</h1>");
        assert!(old.header("www-authenticate").ends_with(r#"max_age="600""#));
    }
}

#[tokio::test]
async fn guard_outside_of_layer_is_500_that_names_help() {
    let (world, mut browser) = scene(Backend::Memory, "alice").await;
    let page = Router::new().route("/page", get(async || "in"));
    let bare = page.clone().layer(require(is_admin));
    let reversed = page.clone().layer(world.sessions.layer()).layer(require_recent_login::<Claims>(seconds(60)));
    let other_claims = page.layer(require(|_: &Session<u8>| true)).layer(world.sessions.layer());
    for app in [bare, reversed, other_claims] {
        browser.visit(&app);
        browser.get("/page").await.is_problem(500, "internal_error");
        send(&app, "GET /page", &[("accept", "*/*")]).await.is_problem(500, "internal_error");
    }
}

/// A guard asks for a session, so what is unknown of revocations is `503` there too.
#[tokio::test]
async fn guards_fail_closed_as_their_layer_does() {
    let world = World::new(Backend::Memory).await;
    let strict = world.sessions.layer().when_stale(StalePolicy::FailClosedAfter(seconds(0)));
    let app = Router::new().route("/page", get(async || "in")).layer(require(|_: &Session<Claims>| true)).layer(strict);
    let mut browser = world.browser();
    browser.login("alice").await;
    browser.visit(&app);
    browser.get("/page").await.is(200);
    world.store.set_down(true);
    let mut feed = world.sessions.revocation_feed().clone();
    while feed.status() == tower_jwt_sessions::revocation::FeedStatus::UpToDate {
        feed.changed().await;
    }
    world.clock.advance(seconds(1));
    browser.get("/page").await.is_problem(503, "revocations_unknown");
}

#[tokio::test]
async fn guards_work_on_any_tower_service() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("bob").await;
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"in"))))
    });
    for (role, status, body) in [("member", 200, "in"), ("admin", 403, "insufficient_scope")] {
        let guard = require(move |session: &Session<Claims>| session.claims().role == role);
        let service = world.sessions.layer().layer(guard.layer(inner));
        let request = Request::get("/").header("cookie", browser.cookies()).body(Full::default()).expect("a request");
        let response = service.oneshot(request).await.expect("infallible");
        assert_eq!(response.status().as_u16(), status);
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        assert!(String::from_utf8_lossy(&bytes).contains(body), "{bytes:?}");
    }
}

#[tokio::test]
async fn handlers_see_reason() {
    let session = Session::for_test("alice", ()).expect("a user id");
    session.require(|session| session.user_id().as_str() == "alice").expect("it is alice");
    session.require_recent_login(seconds(60)).expect("logged in just now");
    let asked = Mutex::new(0);
    let rejection = session.require(|_| {
        *asked.lock().expect("unpoisoned") += 1;
        false
    });
    let rejection = rejection.expect_err("the condition does not hold");
    assert_eq!((rejection.kind(), *asked.lock().expect("unpoisoned")), (SessionRejectionKind::NotPermitted, 1));
    assert_eq!(rejection.into_response().status(), StatusCode::FORBIDDEN);
}
