//! The service of both guards.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum_core::response::Response;
use http::{Method, Request};
use tower_service::Service;

use super::{Guard, future::GuardedFuture, plain_http};

/// Lets requests through to a service, or refuses them. They reach it as they came.
#[derive(Clone, Debug)]
pub struct Guarded<S> {
    inner: S,
    guard: Arc<Guard>,
    every_method: bool,
}

impl<S> Guarded<S> {
    pub(super) const fn new(inner: S, guard: Arc<Guard>, every_method: bool) -> Self {
        Self { inner, guard, every_method }
    }
}

impl<S, Body> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = GuardedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Not `Method::is_safe`, which has TRACE among them.
        let is_guarded =
            self.every_method || !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if is_guarded && self.guard.refuses(request.method(), request.uri(), request.headers()) {
            return GuardedFuture::refused(self.guard.refusal());
        }
        let warning = match is_guarded {
            true => plain_http::warning(&self.guard.rules.cookies, request.headers()),
            false => None,
        };
        GuardedFuture::passed(self.inner.call(request), warning, is_guarded && !self.guard.reports_only)
    }
}
