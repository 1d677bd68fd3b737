//! Asking tower-http about a request without handing the request over.
//!
//! Its service decides and calls what is behind it in one; we decide more, so behind it there is nothing but a yes.

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use tower_http::csrf::{Csrf, CsrfLayer, DefaultResponseForProtectionError, ProtectionError, ProtectionErrorKind};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::error::ConfigError;

/// tower-http's judgement.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    csrf: Csrf<Yes, DefaultResponseForProtectionError>,
}

impl Asked {
    /// Lets these origins pass.
    pub(super) fn new<'a>(mut origins: impl Iterator<Item = &'a String>) -> Result<Self, ConfigError> {
        let layer = origins.try_fold(CsrfLayer::new(), |layer, origin| {
            layer.add_trusted_origin(origin).map_err(|_| ConfigError::InvalidOrigin { origin: origin.clone() })
        })?;
        Ok(Self { csrf: layer.layer(Yes) })
    }

    /// Why a request to this address with these headers is refused if it changes something.
    pub(super) fn refuses(&self, uri: &Uri, headers: &HeaderMap) -> Option<&'static str> {
        let mut question = Request::new(());
        *question.method_mut() = Method::POST;
        uri.clone_into(question.uri_mut());
        for name in [header::HOST, header::ORIGIN, header::HeaderName::from_static("sec-fetch-site")] {
            if let Some(value) = headers.get(&name) {
                question.headers_mut().insert(name, value.clone());
            }
        }
        // Nothing in there waits for anything.
        let answer = pin!(self.csrf.clone().call(question)).poll(&mut Context::from_waker(Waker::noop()));
        match answer {
            Poll::Ready(Ok(answer)) if answer.status() == StatusCode::OK => None,
            Poll::Ready(Ok(answer)) => Some(match answer.extensions().get().map(ProtectionError::kind) {
                Some(ProtectionErrorKind::CrossOriginRequestFromOldBrowser) => "Origin is not that of the Host",
                _ => "Sec-Fetch-Site says so",
            }),
            Poll::Ready(Err(never)) => match never {},
            Poll::Pending => Some("no judgement"),
        }
    }
}

/// Answers whatever gets through.
#[derive(Clone, Copy, Debug)]
struct Yes;

impl Service<Request<()>> for Yes {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(())))
    }
}
