//! The layer, its service and its future.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use axum_core::response::{IntoResponse, Response};
use http::Request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::requirement::Requirement;
use crate::auth::{Session, SessionRejection};

/// Rejects requests whose session does not meet a requirement, and those without a session:
/// [`require`](super::require) and [`require_recent_login`](super::require_recent_login).
#[must_use]
pub struct RequireLayer<C, R> {
    requirement: R,
    claims: PhantomData<fn() -> C>,
}

impl<C, R> RequireLayer<C, R> {
    pub(super) const fn new(requirement: R) -> Self {
        Self { requirement, claims: PhantomData }
    }
}

impl<S, C, R: Clone> Layer<S> for RequireLayer<C, R> {
    type Service = RequireService<S, C, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireService { inner, layer: self.clone() }
    }
}

impl<C, R: Clone> Clone for RequireLayer<C, R> {
    fn clone(&self) -> Self {
        Self::new(self.requirement.clone())
    }
}

impl<C, R: fmt::Debug> fmt::Debug for RequireLayer<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequireLayer").field(&self.requirement).finish()
    }
}

/// The service that [`RequireLayer`] makes: passes a request on unchanged, or rejects it.
///
/// The inner service may have any response that axum takes, which includes every `http::Response` with a body of bytes.
pub struct RequireService<S, C, R> {
    inner: S,
    layer: RequireLayer<C, R>,
}

impl<S, C, R, Body> Service<Request<Body>> for RequireService<S, C, R>
where
    S: Service<Request<Body>>,
    S::Response: IntoResponse,
    C: Send + Sync + 'static,
    R: Requirement<C>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = RequireFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let checked = request.extensions().get().map(|session: &Session<C>| self.layer.requirement.check(session));
        let rejection = match checked {
            Some(Ok(())) => return RequireFuture { kind: Kind::Passed { inner: self.inner.call(request) } },
            Some(Err(rejection)) => rejection.for_request(&request.into_parts().0),
            None => SessionRejection::without_session::<C>(&request.into_parts().0),
        };
        RequireFuture { kind: Kind::Rejected { response: Some(rejection.into_response()) } }
    }
}

impl<S: Clone, C, R: Clone> Clone for RequireService<S, C, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S: fmt::Debug, C, R: fmt::Debug> fmt::Debug for RequireService<S, C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireService").field("inner", &self.inner).field("layer", &self.layer).finish()
    }
}

pin_project! {
    /// The future of [`RequireService`]: the response of the inner service, or the rejection.
    #[derive(Debug)]
    pub struct RequireFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<F> {
        Passed {
            #[pin]
            inner: F,
        },
        Rejected {
            response: Option<Response>,
        },
    }
}

impl<F, A, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<A, E>>,
    A: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProj::Passed { inner } => inner.poll(cx).map_ok(IntoResponse::into_response),
            KindProj::Rejected { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled again after it was ready, which futures need not answer.
                None => Poll::Pending,
            },
        }
    }
}
