//! The same refusal for requests of any method: a WebSocket begins with a `GET`.

use std::task::{Context, Poll};

use http::{Method, Request};
use tower_http::csrf::Csrf;
use tower_layer::Layer;
use tower_service::Service;

use super::{CrossSiteGuard, Refusal, Unambiguous};

/// Refuses requests of any method from other origins, for WebSockets:
/// [`SessionManager::upgrade_guard`](crate::SessionManager::upgrade_guard).
#[derive(Clone, Debug)]
#[must_use]
pub struct UpgradeGuard {
    guard: CrossSiteGuard,
}

impl UpgradeGuard {
    pub(crate) const fn new(guard: CrossSiteGuard) -> Self {
        Self { guard }
    }
}

impl<S> Layer<S> for UpgradeGuard {
    type Service = Disguise<Unambiguous<Csrf<Reveal<S>, Refusal>>>;

    fn layer(&self, inner: S) -> Self::Service {
        Disguise { inner: self.guard.layer(Reveal { inner }) }
    }
}

/// Makes every request look like one that changes something, so that the guard looks at it.
#[derive(Clone, Debug)]
pub struct Disguise<S> {
    inner: S,
}

/// Gives a request back the method that it had.
#[derive(Clone, Debug)]
pub struct Reveal<S> {
    inner: S,
}

#[derive(Clone)]
struct TrueMethod(Method);

impl<S: Service<Request<Body>>, Body> Service<Request<Body>> for Disguise<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = std::mem::replace(request.method_mut(), Method::POST);
        request.extensions_mut().insert(TrueMethod(method));
        self.inner.call(request)
    }
}

impl<S: Service<Request<Body>>, Body> Service<Request<Body>> for Reveal<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(TrueMethod(method)) = request.extensions_mut().remove() {
            *request.method_mut() = method;
        }
        self.inner.call(request)
    }
}
