//! Two managers in one process: sessions and tokens of one are refused by the other.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tower_jwt_sessions::{
    Error, KeyRing, PresentedTokens, Session, SessionManager, StoreChecked, Verifier, auth::SessionRejection,
    cookie::CookieConfig, error::ErrorKind,
};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

/// Another manager with the same claims, store and keys, as built by mistake.
async fn two(backend: Backend) -> (World, World) {
    let customers = World::new(backend).await;
    let administrators = customers.node(|builder| builder).await;
    (customers, administrators)
}

fn headers_of(browser: &Browser) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::COOKIE, browser.cookies().parse().expect("cookies are ASCII"));
    headers
}

#[tokio::test]
async fn sessions_and_tokens_of_another_manager_are_refused() {
    let (customers, administrators) = two(Backend::Memory).await;
    let mut browser = customers.browser();
    browser.login("alice").await;
    let headers = headers_of(&browser);
    let presented = customers.sessions.verifier().present(&headers);
    let session = presented.session().expect("a session").clone();
    let asked = customers.users.asked();
    customers.events();
    administrators.events();

    let sessions = &administrators.sessions;
    let none = customers.sessions.verifier().present(&http::HeaderMap::new());
    let mut refused = vec![
        sessions.refresh(&presented).await.err(),
        sessions.logout(&presented).await.err(),
        sessions.logout_all(&presented).await.err(),
        sessions.login("alice").replacing(presented.clone()).await.err(),
        sessions.login("bob").replacing(presented.clone()).tokens().await.err(),
        sessions.end_others(&session).await.err(),
        sessions.list_for(&session).await.err(),
        sessions.data::<u8>(&session).await.err(),
        sessions.put_data(&session, 0, &1).await.err(),
        sessions.update_data(&session, |_: Option<u8>| 1).await.err(),
    ];
    // Found at the first request of a test, and not only when a browser has cookies.
    refused.push(sessions.logout(&none).await.err());
    for (n, error) in refused.into_iter().enumerate() {
        let error = error.unwrap_or_else(|| panic!("step {n} accepted foreign tokens"));
        assert_eq!(error.kind(), ErrorKind::WrongManager, "{n}");
        let response = error.into_response();
        assert_eq!(response.status(), 500);
        assert!(!response.headers().contains_key("set-cookie"));
    }
    assert_eq!((customers.users.asked(), customers.events(), administrators.events()), (asked, vec![], vec![]));
    assert_eq!(customers.count("alice").await, 1);
    browser.get("/me").await.is(200);
    assert!(customers.sessions.refresh(&presented).await.is_ok());
}

#[tokio::test]
async fn clones_of_manager_accept_each_others_sessions() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let verifier: Verifier<Claims> = world.sessions.clone().verifier().clone().when_stale(Default::default());
    let presented = verifier.present(&headers_of(&browser));
    let session = verifier.verify(&headers_of(&browser)).expect("a session");
    world.sessions.put_data(&session, 0, &1).await.expect("its data");
    assert_eq!(world.sessions.end_others(&session).await.expect("none"), 0);
    assert!(world.sessions.refresh(&presented).await.is_ok());
    assert!(world.sessions.clone().logout(&presented).await.is_ok());
}

#[tokio::test]
async fn innermost_layer_decides_manager_of_session() {
    let outer = World::new(Backend::Memory).await;
    let inner = World::with(Backend::Memory, |builder| {
        builder
            .access_keys(KeyRing::hs256("another access secret, for the inner one").expect("long enough"))
            .refresh_keys(KeyRing::hs256("another refresh secret, for the inner one").expect("long enough"))
            .cookies(CookieConfig::new().names("inner", "inner-refresh"))
    })
    .await;
    type Sessions = State<SessionManager<Claims>>;
    async fn logout(State(sessions): Sessions, presented: PresentedTokens<Claims>) -> Result<Response, Error> {
        Ok(sessions.logout(&presented).await?.into_response())
    }
    async fn others(State(sessions): Sessions, session: Session<Claims>) -> Result<String, Error> {
        Ok(sessions.end_others(&session).await?.to_string())
    }
    async fn live(session: Result<StoreChecked<Session<Claims>>, SessionRejection>) -> String {
        session.map_or_else(|rejection| format!("{rejection:?}"), |session| session.user_id().to_string())
    }
    let app = |manager: &World| {
        Router::new()
            .route("/logout", post(logout))
            .route("/others", post(others))
            .route("/live", get(live))
            .layer(inner.sessions.layer())
            .layer(outer.sessions.layer())
            .with_state(manager.sessions.clone())
    };
    let (right, wrong) = (app(&inner), app(&outer));
    let (mut alice, mut bob) = (outer.browser(), inner.browser());
    alice.login("alice").await;
    bob.login("bob").await;
    let both = format!("{}; {}", alice.cookies(), bob.cookies());
    let cookies = [("cookie", &both)];
    assert_eq!(send(&right, "GET /live", &cookies).await.is(200).body, "bob", "the inner manager's store is called");
    Log::capture(LevelFilter::ERROR);
    for what in ["POST /logout", "POST /others"] {
        send(&wrong, what, &cookies).await.is_problem(500, "internal_error");
    }
    let log = Log::captured();
    assert_eq!(log.matches("use the manager whose layer the route is under").count(), 2, "{log}");
    assert_eq!((outer.count("alice").await, inner.count("bob").await), (1, 1));
    send(&right, "POST /others", &cookies).await.is(200);
    send(&right, "POST /logout", &cookies).await.is(200);
    assert_eq!((outer.count("alice").await, inner.count("bob").await), (1, 0));
}

/// Those of tests of handlers.
#[tokio::test]
async fn test_sessions_are_accepted_by_any_manager() {
    let (one, two) = two(Backend::Memory).await;
    for sessions in [&one.sessions, &two.sessions] {
        let session = Session::for_test("alice", Claims { role: "member".to_owned() }).expect("a user id");
        assert_eq!(sessions.end_others(&session).await.expect("none"), 0);
        assert_eq!(sessions.data::<u8>(&session).await.expect_err("no record").kind(), ErrorKind::SessionEnded);
        assert!(sessions.logout(&PresentedTokens::default()).await.is_ok());
        let nothing = sessions.refresh(&PresentedTokens::default()).await.expect_err("no token");
        assert_eq!(nothing.kind(), ErrorKind::MissingRefreshToken);
        assert!(sessions.login("bob").replacing(PresentedTokens::default()).await.is_ok());
    }
}
