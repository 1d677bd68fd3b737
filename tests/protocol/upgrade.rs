//! The guard for WebSockets: requests of any method from other origins are refused.

use http::{Method, Request, StatusCode, header};
use tower::{Layer as _, Service as _};
use tower_jwt_sessions::{MemoryStore, testing::TestClock};

use crate::world::node;

/// Returns the status of a request, and the method that the service behind the guard receives.
async fn passes(method: Method, headers: &[(&str, &str)]) -> (StatusCode, Option<Method>) {
    let sessions =
        node(MemoryStore::new(), &TestClock::new()).trusted_origin("https://www.example.com").build().unwrap();
    let mut guarded = sessions.upgrade_guard().layer(tower::service_fn(async |request: Request<()>| {
        let mut response = http::Response::new(axum_core::body::Body::empty());
        response.extensions_mut().insert(request.method().clone());
        Ok::<_, std::convert::Infallible>(response)
    }));
    let mut request = Request::builder().method(method).uri("/ws").header(header::HOST, "api.example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = guarded.call(request.body(()).unwrap()).await.unwrap();
    (response.status(), response.extensions().get().cloned())
}

#[tokio::test]
async fn upgrade_from_own_and_trusted_origins_is_accepted() {
    for headers in [
        &[][..],
        &[("origin", "https://api.example.com")],
        &[("origin", "https://www.example.com")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://api.example.com")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://www.example.com")],
    ] {
        for method in [Method::GET, Method::CONNECT, Method::POST, Method::HEAD] {
            assert_eq!(passes(method.clone(), headers).await, (StatusCode::OK, Some(method)), "{headers:?}");
        }
    }
}

#[tokio::test]
async fn upgrade_from_other_origins_is_refused() {
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "https://api.example.com.evil.example")],
        &[("origin", "https://api.example.com:8443")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://other.example.com")],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://api.example.com")],
    ] {
        for method in [Method::GET, Method::CONNECT, Method::POST, Method::HEAD] {
            assert_eq!(passes(method, headers).await, (StatusCode::FORBIDDEN, None), "{headers:?}");
        }
    }
}
