//! A header that stands there twice says nothing: which one counts is for an attacker to choose.

use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use tower_service::Service;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Makes a request whose origin is told twice one from another site, for the guard behind it to refuse.
#[derive(Clone, Debug)]
pub struct Unambiguous<S> {
    inner: S,
}

impl<S> Unambiguous<S> {
    pub(super) const fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S: Service<Request<Body>>, Body> Service<Request<Body>> for Unambiguous<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let headers = request.headers();
        // What is not guarded reaches its handler as it came.
        if !request.method().is_safe() && (is_twice(headers, &SEC_FETCH_SITE) || is_twice(headers, &header::ORIGIN)) {
            let headers = request.headers_mut();
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static("cross-site"));
            // Or it could be one that is trusted.
            headers.remove(header::ORIGIN);
        }
        self.inner.call(request)
    }
}

fn is_twice(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}
