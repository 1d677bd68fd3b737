//! The service of both guards, and its future.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum_core::response::{IntoResponse, Response};
use http::{HeaderValue, Method, Request, header};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{guard::Guard, plain_http};
use crate::cookie::WarnOnce;

/// The service of [`CrossSiteGuard`](super::CrossSiteGuard) and [`UpgradeGuard`](super::UpgradeGuard): passes a request
/// on unchanged, or refuses it.
///
/// The inner service may have any response that axum takes, which includes every `http::Response` with a body of bytes.
#[derive(Clone, Debug)]
pub struct GuardService<S> {
    inner: S,
    guard: Arc<Guard>,
    every_method: bool,
}

impl<S> GuardService<S> {
    pub(super) const fn new(inner: S, guard: Arc<Guard>, every_method: bool) -> Self {
        Self { inner, guard, every_method }
    }
}

impl<S, Body> Service<Request<Body>> for GuardService<S>
where
    S: Service<Request<Body>>,
    S::Response: IntoResponse,
{
    type Response = Response;
    type Error = S::Error;
    type Future = GuardFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Not `Method::is_safe`, which includes TRACE.
        let is_checked =
            self.every_method || !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_checked {
            return GuardFuture::passed(self.inner.call(request), None, false);
        }
        if self.guard.refuses(request.method(), request.uri(), request.headers()) {
            return GuardFuture::refused(self.guard.refusal(&request.into_parts().0));
        }
        let warning = self.guard.plain_http_warning(request.headers());
        GuardFuture::passed(self.inner.call(request), warning, self.guard.enforces())
    }
}

pin_project! {
    /// The future of [`GuardService`]: the response of the inner service, or the refusal.
    #[derive(Debug)]
    pub struct GuardFuture<F> {
        #[pin]
        kind: Kind<F>,
        // Whether the response depends on where the request came from.
        depends: bool,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<F> {
        Passed {
            #[pin]
            inner: F,
            // To be logged if the response sets cookies.
            warning: Option<WarnOnce>,
        },
        Refused {
            response: Option<Response>,
        },
    }
}

impl<F> GuardFuture<F> {
    const fn passed(inner: F, warning: Option<WarnOnce>, depends: bool) -> Self {
        Self { kind: Kind::Passed { inner, warning }, depends }
    }

    const fn refused(response: Response) -> Self {
        Self { kind: Kind::Refused { response: Some(response) }, depends: true }
    }
}

impl<F, R, E> Future for GuardFuture<F>
where
    F: Future<Output = Result<R, E>>,
    R: IntoResponse,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = match this.kind.project() {
            KindProj::Passed { inner, warning } => {
                let result = ready!(inner.poll(cx)).map(IntoResponse::into_response);
                if let (Ok(response), Some(warning)) = (&result, warning) {
                    plain_http::log(response, warning);
                }
                result
            }
            KindProj::Refused { response } => match response.take() {
                Some(response) => Ok(response),
                // Polled again after it was ready, which futures need not answer.
                None => return Poll::Pending,
            },
        };
        if let (Ok(response), true) = (&mut result, *this.depends) {
            // Appended, since the response may vary by other headers too (W3C Fetch Metadata, section 5.1).
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Sec-Fetch-Site, Origin"));
        }
        Poll::Ready(result)
    }
}
