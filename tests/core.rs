//! The core without features: a layer on a plain tower stack, with its own body type.

#[path = "support/cookies.rs"]
#[allow(dead_code, reason = "the other tests use all of it")]
mod cookies;

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use cookies::browser;
use http::{HeaderMap, Request, Response, StatusCode};
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_jwt_sessions::{KeyRing, MemoryStore, Session, SessionManager};

fn sessions() -> SessionManager {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .store(MemoryStore::new())
        .build()
        .unwrap()
}

/// A body that is neither cloneable nor axum's.
struct Body(&'static str);

async fn greet(request: Request<Body>) -> Result<Response<String>, Infallible> {
    assert_eq!(request.body().0, "untouched");
    Ok(Response::new(match request.extensions().get::<Session>() {
        Some(session) => format!("hello {}", session.user_id()),
        None => "hello anonymous".to_owned(),
    }))
}

fn request(cookies: HeaderMap) -> Request<Body> {
    let mut request = Request::get("/").body(Body("untouched")).unwrap();
    *request.headers_mut() = cookies;
    request
}

#[tokio::test]
async fn layer_works_on_any_service() {
    let sessions = sessions();
    let mut service = ServiceBuilder::new().layer(sessions.layer()).service(service_fn(greet));
    let cookies = browser(sessions.login("alice").await.unwrap());

    let anonymous = service.ready().await.unwrap().call(request(HeaderMap::new())).await.unwrap();
    assert_eq!(anonymous.body(), "hello anonymous");
    let known = service.ready().await.unwrap().call(request(cookies.clone())).await.unwrap();
    assert_eq!(known.body(), "hello alice");

    sessions.end_all("alice").await.unwrap();
    let ended = service.ready().await.unwrap().call(request(cookies.clone())).await.unwrap();
    assert_eq!((ended.status(), ended.body().as_str()), (StatusCode::OK, "hello anonymous"));
}

#[tokio::test]
async fn verifier_works_without_layer() {
    let sessions = sessions();
    let cookies = browser(sessions.login(42).await.unwrap());
    let session = sessions.verifier().verify(request(cookies).headers()).unwrap();
    assert_eq!(session.user_id().as_str(), "42");
}

/// A service that must be polled ready before each call, as tower requires.
#[derive(Clone, Default)]
struct Strict {
    ready: bool,
}

impl Service<Request<Body>> for Strict {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being polled ready");
        std::future::ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn polled_service_is_called() {
    let mut service = ServiceBuilder::new().layer(sessions().layer()).service(Strict::default());
    service.ready().await.unwrap().call(request(HeaderMap::new())).await.unwrap();
    service.ready().await.unwrap().call(request(HeaderMap::new())).await.unwrap();
}
