//! What extractors learn from the layers that a request has passed: none, others, or several of the same claims.

use axum::{Extension, Router, routing::get};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{
    KeyRing, PresentedTokens, Session, StoreChecked,
    auth::{SessionRejection, SessionRejectionKind},
    cookie::CookieConfig,
};

use crate::support::*;

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    desk: u8,
}

#[tokio::test]
async fn missing_layer_error_names_layers_of_other_claims() {
    async fn found<C>(session: Result<Session<C>, SessionRejection>) -> String {
        match session.map_err(|rejection| rejection.kind()) {
            Err(SessionRejectionKind::LayerMissing { asked, found }) => {
                assert!(asked.ends_with("passed::Asked"), "{asked}");
                found.unwrap_or("none").to_owned()
            }
            other => format!("{other:?}"),
        }
    }
    async fn proves(presented: PresentedTokens<Asked>) -> String {
        format!("{:?} {}", presented.session().is_some(), presented.has_refresh_token())
    }
    let teapot = |_: &_, _: Option<&_>| axum::response::Response::new(axum::body::Body::from("a teapot"));
    let (plain, custom) = (
        World::new(Backend::Memory).await,
        World::with(Backend::Memory, |builder| builder.render_errors(teapot)).await,
    );
    for (world, is_custom) in [(&plain, false), (&custom, true)] {
        let mut browser = world.browser();
        browser.login("alice").await;
        let routes = || {
            Router::new()
                .route("/found", get(found::<Asked>))
                .route("/proves", get(proves))
                .route("/strict", get(async |_: Session<Asked>| ""))
        };
        let (with, without) = (routes().layer(world.sessions.layer()), routes());
        for cookie in ["a=b", "__Host-access=garbage", &browser.cookies()] {
            let headers = [("cookie", cookie)];
            let found = send(&with, "GET /found", &headers).await.is(200).body.clone();
            // What is left for an anonymous request has no size, unless the application renders its errors.
            let expected = if cookie == "a=b" && !is_custom { "none" } else { "support::world::Claims" };
            assert!(found.ends_with(expected), "{found}");
            assert_eq!(send(&without, "GET /found", &headers).await.is(200).body, "none");
            // Rendered as that layer renders errors.
            for route in ["GET /strict", "GET /proves"] {
                let response = send(&with, route, &headers).await;
                assert_eq!(response.is(500).body == "a teapot", is_custom);
                send(&without, route, &headers).await.is_problem(500, "internal_error");
            }
        }
    }
    // The application renders the errors of anonymous requests, too.
    let response = send(&custom.app, "GET /me", &[("cookie", "a=b")]).await;
    assert_eq!(response.is(401).body, "a teapot");
}

/// Also where the process has such a layer elsewhere, and for requests without credentials.
#[tokio::test]
async fn route_outside_layer_returns_500() {
    let world = World::with(Backend::Memory, |builder| builder.accept_bearer_tokens()).await;
    let tokens = world.sessions.login("alice").tokens().await.expect("a login");
    let app = Router::new()
        .route("/must", get(async |_: Session<Claims>| "in"))
        .route("/may", get(async |session: Option<Session<Claims>>| format!("{}", session.is_some())))
        .route(
            "/may-checked",
            get(async |session: Option<StoreChecked<Session<Claims>>>| format!("{}", session.is_some())),
        )
        .route("/proves", get(async |presented: PresentedTokens<Claims>| format!("{}", presented.session().is_some())));
    for header in [
        ("accept", "*/*".to_owned()),
        ("cookie", "theme=dark; __host-access=x; access=x".to_owned()),
        ("authorization", "Basic YTpi".to_owned()),
        ("cookie", format!("__Host-access={}", tokens.access_token())),
        ("cookie", "theme=dark; __Host-refresh=garbage".to_owned()),
        ("cookie", "__Host-access=".to_owned()),
        ("authorization", format!("Bearer {}", tokens.access_token())),
        ("authorization", "Bearer".to_owned()),
    ] {
        let headers = [(header.0, &*header.1)];
        for route in ["GET /must", "GET /may", "GET /may-checked", "GET /proves"] {
            send(&app, route, &headers).await.is_problem(500, "internal_error");
        }
    }
}

/// A session of a test has no verifier that could read the headers.
#[tokio::test]
async fn presented_tokens_need_more_than_a_session_in_the_extensions() {
    let session = Session::<()>::for_test("alice", ()).expect("a user id");
    let app = Router::new()
        .route("/must", get(async |_: Session| "in"))
        .route("/proves", get(async |_: PresentedTokens| "in"))
        .layer(Extension(session));
    send(&app, "GET /must", &[("accept", "*/*")]).await.is(200);
    send(&app, "GET /proves", &[("accept", "*/*")]).await.is_problem(500, "internal_error");
}

#[tokio::test]
async fn innermost_layer_of_same_claims_is_used() {
    let outer = World::new(Backend::Memory).await;
    let inner = World::with(Backend::Memory, |builder| {
        builder
            .access_keys(KeyRing::hs256("another access secret, for the inner one").expect("long enough"))
            .refresh_keys(KeyRing::hs256("another refresh secret, for the inner one").expect("long enough"))
            .cookies(CookieConfig::new().names("inner", "inner-refresh"))
    })
    .await;
    let login = async |world: &World, user: &str| {
        let mut browser = world.browser();
        browser.login(user).await;
        browser.cookies()
    };
    let (alice, bob) = (login(&outer, "alice").await, login(&inner, "bob").await);
    let why = async |session: Result<Session<Claims>, SessionRejection>, presented: PresentedTokens<Claims>| {
        let why = session.map(|session| session.user_id().to_string()).map_err(|rejection| rejection.kind());
        format!("{why:?} {}", presented.session().map_or("anonymous", |session| session.user_id().as_str()))
    };
    let app = Router::new().route("/", get(why)).layer(inner.sessions.layer()).layer(outer.sessions.layer());
    let refused = |reason: &str| format!("Err(Unauthenticated({reason})) anonymous");
    for (cookie, expected) in [
        ("a=b".to_owned(), refused("NoCredentials")),
        (alice.clone(), refused("NoCredentials")),
        ("__Host-access=garbage".to_owned(), refused("NoCredentials")),
        ("__Host-inner=garbage".to_owned(), refused("InvalidToken")),
        (format!("{alice}; __Host-inner=garbage"), refused("InvalidToken")),
        (bob.clone(), r#"Ok("bob") bob"#.to_owned()),
        (format!("{alice}; {bob}"), r#"Ok("bob") bob"#.to_owned()),
        (format!("__Host-access=garbage; {bob}"), r#"Ok("bob") bob"#.to_owned()),
    ] {
        let cookie = HeaderValue::try_from(cookie).expect("cookies are ASCII");
        assert_eq!(send(&app, "GET /", &[("cookie", cookie.as_bytes())]).await.is(200).body, expected, "{cookie:?}");
    }
}
