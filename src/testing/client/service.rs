//! The application of a client, with its type erased, so that the types of tests do not name it.

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::Request;
use tower_service::Service;

type Answer = Pin<Box<dyn Future<Output = Result<Response, Box<dyn Error + Send + Sync>>> + Send>>;

#[derive(Clone)]
pub(super) struct App(Arc<dyn Fn(Request<Body>) -> Answer + Send + Sync>);

impl App {
    pub(super) fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>> + Clone + Send + 'static,
        S::Response: IntoResponse,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        // Services may be cloned, but need not be shared between threads.
        let service = Mutex::new(service);
        Self(Arc::new(move |request| {
            let mut service = service.lock().unwrap_or_else(PoisonError::into_inner).clone();
            Box::pin(async move {
                poll_fn(|context| service.poll_ready(context)).await.map_err(Into::into)?;
                service.call(request).await.map(IntoResponse::into_response).map_err(Into::into)
            })
        }))
    }

    pub(super) async fn call(&self, request: Request<Body>) -> Result<Response, Box<dyn Error + Send + Sync>> {
        (self.0)(request).await
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("App")
    }
}
