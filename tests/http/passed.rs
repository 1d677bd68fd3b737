//! What extractors learn from the layers that a request has passed: none, others, or several of the same claims.

use std::convert::Infallible;

use axum::{Router, routing::get};
use http::HeaderValue;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tower_jwt_sessions::{
    CookieConfig, KeyRing, MemoryStore, PresentedTokens, Session, SessionManager, SessionManagerBuilder,
    SessionRejection, SessionRejectionKind, UserId,
};

use crate::support::*;

on_every_store!(layers_of_other_claims_are_named, the_innermost_layer_of_the_same_claims_counts);

/// For the layers of a single test: what a process has layers for is asked of all of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Elsewhere {}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Rendered {}

#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    desk: u8,
}

async fn layers_of_other_claims_are_named(backend: Backend) {
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
    let teapot = |_: &_| axum::response::Response::new(axum::body::Body::from("a teapot"));
    let (plain, custom) =
        (World::new(backend).await, World::with(backend, |builder| builder.render_errors(teapot)).await);
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
            // Of a request without credentials nobody knows, unless errors are the application's own.
            let expected = if cookie == "a=b" && !is_custom { "none" } else { "support::world::Claims" };
            assert!(found.ends_with(expected), "{found}");
            assert_eq!(send(&without, "GET /found", &headers).await.is(200).body, "none");
            assert_eq!(send(&with, "GET /proves", &headers).await.is(200).body, "false false");
            // A mistake to be mended, rendered as that layer renders errors.
            let answer = send(&with, "GET /strict", &headers).await;
            assert_eq!(answer.is(500).body == "a teapot", is_custom);
            send(&without, "GET /strict", &headers).await.is_problem(500, "internal_error");
        }
    }
    // A stranger is told in the application's own words, too.
    let answer = send(&custom.app, "GET /me", &[("cookie", "a=b")]).await;
    assert_eq!(answer.is(401).body, "a teapot");
}

/// A manager whose layer stands nowhere near the routes of [`outside`].
fn manager<C: Clone + Serialize + DeserializeOwned + Send + Sync + 'static>(
    claims: C,
    configure: impl FnOnce(SessionManagerBuilder<C>) -> SessionManagerBuilder<C>,
) -> SessionManager<C> {
    let builder = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("long enough"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("long enough"))
        .issuer("https://app.example")
        .store(MemoryStore::new())
        .claims_source(move |_: UserId| std::future::ready(Ok::<_, Infallible>(Some(claims.clone()))));
    let sessions = configure(builder).build().expect("a configuration that works");
    let _elsewhere: Router = Router::new().route("/", get(async || "")).layer(sessions.layer());
    sessions
}

fn outside<C: DeserializeOwned + Send + Sync + 'static>() -> Router {
    Router::new()
        .route("/must", get(async |_: Session<C>| "in"))
        .route("/may", get(async |session: Option<Session<C>>| format!("{}", session.is_some())))
        .route("/proves", get(async |presented: PresentedTokens<C>| format!("{}", presented.session().is_some())))
}

#[tokio::test]
async fn a_route_without_the_layer_is_found_out_by_whoever_has_credentials() {
    let sessions = manager(Elsewhere {}, SessionManagerBuilder::accept_bearer_tokens);
    let app = outside::<Elsewhere>();
    let tokens = sessions.login("alice").tokens().await.expect("a login");
    for header in [
        ("accept", "*/*".to_owned()),
        ("cookie", "theme=dark; __host-access=x; access=x".to_owned()),
        ("authorization", "Basic YTpi".to_owned()),
    ] {
        let headers = [(header.0, &*header.1)];
        send(&app, "GET /must", &headers).await.is_problem(401, "missing_credentials");
        assert_eq!(send(&app, "GET /may", &headers).await.is(200).body, "false");
        assert_eq!(send(&app, "GET /proves", &headers).await.is(200).body, "false");
    }
    for header in [
        ("cookie", format!("__Host-access={}", tokens.access_token())),
        ("cookie", "theme=dark; __Host-refresh=garbage".to_owned()),
        ("cookie", "__Host-access=".to_owned()),
        ("authorization", format!("Bearer {}", tokens.access_token())),
        ("authorization", "Bearer".to_owned()),
    ] {
        let headers = [(header.0, &*header.1)];
        send(&app, "GET /must", &headers).await.is_problem(500, "internal_error");
        send(&app, "GET /may", &headers).await.is_problem(500, "internal_error");
        assert_eq!(send(&app, "GET /proves", &headers).await.is(200).body, "false");
    }
}

/// Nobody else may render errors where the application does it itself.
#[tokio::test]
async fn where_errors_are_the_applications_own_everybody_finds_it_out() {
    let teapot = |_: &_| axum::response::Response::new(axum::body::Body::from("a teapot"));
    let _sessions = manager(Rendered {}, |builder| builder.render_errors(teapot));
    send(&outside::<Rendered>(), "GET /must", &[("accept", "*/*")]).await.is_problem(500, "internal_error");
    send(&outside::<Rendered>(), "GET /may", &[("accept", "*/*")]).await.is_problem(500, "internal_error");
}

async fn the_innermost_layer_of_the_same_claims_counts(backend: Backend) {
    let outer = World::new(backend).await;
    let inner = World::with(backend, |builder| {
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
        format!("{why:?} {}", presented.session().map_or("nobody", |session| session.user_id().as_str()))
    };
    let app = Router::new().route("/", get(why)).layer(inner.sessions.layer()).layer(outer.sessions.layer());
    let refused = |reason: &str| format!("Err(Unauthenticated({reason})) nobody");
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
