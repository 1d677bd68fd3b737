//! The layer, its service and its future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use serde::de::DeserializeOwned;
use tower_layer::Layer;
use tower_service::Service;

use super::{Verifier, outcome};
use crate::{cookie::assert_cookies, revocation::StalePolicy};

/// Verifies the access token of every request: [`SessionManager::layer`](crate::SessionManager::layer).
///
/// It inserts a [`Session<C>`](crate::Session) into the extensions of the request, or the reason why there is none. It
/// never rejects, never waits and does no I/O; extractors decide what a handler needs.
///
/// It fits on any tower service of `http` requests. Responses that log in, refresh or log out keep their session
/// cookies whatever the handler's other response parts do to `Set-Cookie`.
#[must_use]
pub struct SessionLayer<C = ()> {
    verifier: Verifier<C>,
}

impl<C> SessionLayer<C> {
    /// Makes a layer on this verifier.
    pub const fn new(verifier: Verifier<C>) -> Self {
        Self { verifier }
    }

    /// Sets what this layer does while the revocation log cannot be read, for example stricter than others on the
    /// routes of administrators.
    pub fn when_stale(self, policy: StalePolicy) -> Self
    where
        C: DeserializeOwned + Send + Sync + 'static,
    {
        Self { verifier: self.verifier.when_stale(policy) }
    }
}

impl<S, C> Layer<S> for SessionLayer<C> {
    type Service = SessionService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService { inner, verifier: self.verifier.clone() }
    }
}

impl<C> Clone for SessionLayer<C> {
    fn clone(&self) -> Self {
        Self::new(self.verifier.clone())
    }
}

impl<C> fmt::Debug for SessionLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionLayer").finish_non_exhaustive()
    }
}

/// The service that [`SessionLayer`] makes.
pub struct SessionService<S, C> {
    inner: S,
    verifier: Verifier<C>,
}

impl<S, C, Body, Answer> Service<Request<Body>> for SessionService<S, C>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    C: DeserializeOwned + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let verified = self.verifier.verify(request.headers());
        #[cfg(feature = "dbsc")]
        if verified.is_err() {
            self.verifier.note_skipped(request.headers(), request.extensions());
        }
        outcome::insert(request.extensions_mut(), &self.verifier, verified);
        ResponseFuture { inner: self.inner.call(request) }
    }
}

impl<S: Clone, C> Clone for SessionService<S, C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), verifier: self.verifier.clone() }
    }
}

impl<S: fmt::Debug, C> fmt::Debug for SessionService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`SessionService`]: that of the inner service, whose session cookies it restores at the end.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, Body, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut polled = self.project().inner.poll(cx);
        // In place: a response is large, and most have no session cookies.
        if let Poll::Ready(Ok(response)) = &mut polled {
            assert_cookies(response);
        }
        polled
    }
}
