//! `StoreChecked<Session>`: the store decides.

use std::sync::atomic::Ordering::SeqCst;

use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::IntoResponse as _,
};
use http::{Request, StatusCode, request::Parts};
use tower::{Layer as _, Service as _};
use tower_jwt_sessions::{
    Session, SessionManager, StoreChecked,
    auth::{SessionRejection, SessionRejectionKind},
    testing::TestClock,
};

use crate::{
    support::TestStore,
    world::{Jar, node},
};

/// Returns the request as a handler under the layer of this node receives it.
async fn arrived(node: &SessionManager, jar: &Jar) -> Parts {
    let service = tower::service_fn(async |request: Request<()>| {
        let mut response = http::Response::new(());
        response.extensions_mut().insert(request.into_parts().0);
        Ok::<_, std::convert::Infallible>(response)
    });
    let mut request = Request::new(());
    *request.headers_mut() = jar.headers();
    let mut response = node.layer().layer(service).call(request).await.unwrap();
    response.extensions_mut().remove().unwrap()
}

async fn live(node: &SessionManager, jar: &Jar) -> Result<StoreChecked<Session>, SessionRejection> {
    extracted(&mut arrived(node, jar).await).await
}

async fn extracted(parts: &mut Parts) -> Result<StoreChecked<Session>, SessionRejection> {
    <StoreChecked<Session> as FromRequestParts<()>>::from_request_parts(parts, &()).await
}

async fn optional(node: &SessionManager, jar: &Jar) -> Result<Option<StoreChecked<Session>>, SessionRejection> {
    let mut parts = arrived(node, jar).await;
    <StoreChecked<Session> as OptionalFromRequestParts<()>>::from_request_parts(&mut parts, &()).await
}

fn status_and_code(rejection: &SessionRejection) -> (u16, &'static str) {
    let problem = rejection.problem();
    (problem.status().as_u16(), problem.code())
}

fn two_nodes() -> (TestStore, SessionManager, SessionManager) {
    let clock = TestClock::new();
    let store = TestStore::memory(&clock);
    let build = || node(store.clone(), &clock).build().unwrap();
    (store.clone(), build(), build())
}

#[tokio::test]
async fn live_session_is_accepted_with_one_read() {
    let (store, here, there) = two_nodes();
    let jar = Jar::of(here.login("alice").await.unwrap());
    assert_eq!(live(&there, &jar).await.unwrap().user_id().as_str(), "alice");
    assert_eq!(optional(&there, &jar).await.unwrap().unwrap().into_inner().user_id().as_str(), "alice");
    assert_eq!(store.finds(), 2);
    assert!(jar.visit(&there).is_some());
    assert_eq!(store.finds(), 2, "a plain session reads nothing");
}

#[tokio::test]
async fn end_unknown_to_node_is_found_in_store() {
    let (store, here, there) = two_nodes();
    let mut jar = Jar::of(here.login("alice").await.unwrap());
    store.switches.log_is_lost.store(true, SeqCst);

    here.expire_access("alice").await.unwrap();
    assert!(jar.visit(&there).is_some(), "this node has not read the end");
    assert_eq!(status_and_code(&live(&there, &jar).await.unwrap_err()), (401, "invalid_token"));
    assert!(optional(&there, &jar).await.unwrap().is_none());
    jar.refresh(&here).await.unwrap();
    assert!(live(&there, &jar).await.is_ok());

    here.end_all("alice").await.unwrap();
    assert!(jar.visit(&there).is_some(), "this node has not read the end");
    assert_eq!(status_and_code(&live(&there, &jar).await.unwrap_err()), (401, "invalid_token"));
    assert!(optional(&there, &jar).await.unwrap().is_none());
}

#[tokio::test]
async fn unavailable_store_is_503() {
    let (store, here, _) = two_nodes();
    let jar = Jar::of(here.login("alice").await.unwrap());
    store.set_down(true);
    let rejection = live(&here, &jar).await.unwrap_err();
    assert_eq!(rejection.kind(), SessionRejectionKind::StoreUnavailable);
    assert_eq!(status_and_code(&rejection), (503, "store_unavailable"));
    assert_eq!(optional(&here, &jar).await.unwrap_err().kind(), SessionRejectionKind::StoreUnavailable);
    let response = rejection.into_response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(http::header::RETRY_AFTER));
    assert!(!response.headers().contains_key(http::header::SET_COOKIE));
}

#[tokio::test]
async fn end_known_to_node_is_refused_without_store() {
    let (store, here, _) = two_nodes();
    let jar = Jar::of(here.login("alice").await.unwrap());
    let mut parts = arrived(&here, &jar).await;
    here.end_all("alice").await.unwrap();
    store.set_down(true);
    assert_eq!(status_and_code(&extracted(&mut parts).await.unwrap_err()), (401, "invalid_token"));
    assert_eq!(status_and_code(&live(&here, &Jar::default()).await.unwrap_err()), (401, "missing_credentials"));
    assert_eq!(store.finds(), 0);
}

#[tokio::test]
async fn store_checked_without_store_is_500() {
    let mut parts = Request::new(()).into_parts().0;
    parts.extensions.insert(Session::for_test("alice", ()).unwrap());
    let rejection = extracted(&mut parts).await.unwrap_err();
    assert_eq!(rejection.kind(), SessionRejectionKind::NoStore);
    assert_eq!(status_and_code(&rejection), (500, "internal_error"));
    assert_eq!(StoreChecked::for_test(Session::for_test("bob", ()).unwrap()).user_id().as_str(), "bob");
}
