//! Everything that becomes a response or part of one.

use axum_core::response::{IntoResponse, IntoResponseParts, Response, ResponseParts};

use crate::{
    cookie::SessionCookies,
    error::Error,
    event::LOG_TARGET,
    problem::{Problem, Renderer},
};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Renderer::default().render(&self)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        // What store and claims source fail at is logged once an outage, where it happens. These are mistakes to be mended.
        if self.problem() == Problem::INTERNAL_ERROR {
            tracing::error!(target: LOG_TARGET, error = %self, kind = ?self.kind(), "a session operation failed");
        }
        self.renderer().render(&self.problem())
    }
}

impl IntoResponseParts for SessionCookies {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        // The parts lend headers and extensions one at a time.
        let mut extensions = std::mem::take(parts.extensions_mut());
        self.write_to(parts.headers_mut(), &mut extensions);
        *parts.extensions_mut() = extensions;
        Ok(parts)
    }
}

impl IntoResponse for SessionCookies {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }
}
