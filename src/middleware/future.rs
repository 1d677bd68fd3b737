//! The future of a response.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::cookie::assert_cookies;

pin_project! {
    /// The future of [`SessionService`](super::SessionService): the inner one, and the last word on session cookies.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) const fn new(inner: F) -> Self {
        Self { inner }
    }
}

impl<F, Body, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut polled = self.project().inner.poll(cx);
        // In place: a response is large, and most have nothing to assert.
        if let Poll::Ready(Ok(response)) = &mut polled {
            assert_cookies(response);
        }
        polled
    }
}
