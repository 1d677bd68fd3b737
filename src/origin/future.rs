//! The future of a guarded response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum_core::response::Response;
use http::{HeaderValue, header};
use pin_project_lite::pin_project;

use super::plain_http;
use crate::cookie::Once;

pin_project! {
    /// The answer of the service behind the guard, or the refusal.
    #[derive(Debug)]
    pub struct GuardedFuture<F> {
        #[pin]
        kind: Kind<F>,
        // Whether the answer depends on where the request came from.
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
            // To be logged if the answer sets cookies.
            warning: Option<Once>,
        },
        Refused {
            response: Option<Response>,
        },
    }
}

impl<F> GuardedFuture<F> {
    pub(super) const fn passed(inner: F, warning: Option<Once>, depends: bool) -> Self {
        Self { kind: Kind::Passed { inner, warning }, depends }
    }

    pub(super) const fn refused(response: Response) -> Self {
        Self { kind: Kind::Refused { response: Some(response) }, depends: true }
    }
}

impl<F, E> Future for GuardedFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = match this.kind.project() {
            KindProj::Passed { inner, warning } => {
                let answer = ready!(inner.poll(cx));
                if let (Ok(response), Some(warning)) = (&answer, warning) {
                    plain_http::warn_of(response, warning);
                }
                answer
            }
            KindProj::Refused { response } => match response.take() {
                Some(response) => Ok(response),
                // It was ready before, and may not be polled again.
                None => return Poll::Pending,
            },
        };
        if let (Ok(response), true) = (&mut answer, *this.depends) {
            // Beside what the answer depends on already (W3C Fetch Metadata, section 5.1).
            response.headers_mut().append(header::VARY, HeaderValue::from_static("Sec-Fetch-Site, Origin"));
        }
        Poll::Ready(answer)
    }
}
