//! The service.

use std::{
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response};
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::{ResponseFuture, context};
use crate::verifier::Verifier;

/// The service that [`SessionLayer`](super::SessionLayer) makes.
pub struct SessionService<S, C> {
    inner: S,
    verifier: Verifier<C>,
}

impl<S, C> SessionService<S, C> {
    pub(super) const fn new(inner: S, verifier: Verifier<C>) -> Self {
        Self { inner, verifier }
    }
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
        context::leave(request.extensions_mut(), &self.verifier, verified);
        ResponseFuture::new(self.inner.call(request))
    }
}

impl<S: Clone, C> Clone for SessionService<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.verifier.clone())
    }
}

impl<S: fmt::Debug, C> fmt::Debug for SessionService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
