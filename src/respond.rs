//! Everything that becomes a response or part of one.

use axum_core::{
    body::Body,
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use http::{HeaderValue, header};
use serde_json::json;

use crate::{
    cookie::{SessionCookies, keep_private},
    error::Error,
    event::LOG_TARGET,
    problem::{Problem, Renderer},
    tokens::SessionTokens,
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
            tracing::error!(target: LOG_TARGET, error = %self, kind = ?self.kind(), "session operation failed");
        }
        self.renderer().render(&self.problem())
    }
}

/// The JSON of RFC 6749, section 5.1, which nothing may store.
impl IntoResponse for SessionTokens {
    fn into_response(self) -> Response {
        let mut body = json!({
            "access_token": self.access_token(),
            "token_type": "Bearer",
            "expires_in": self.expires_in().as_secs(),
        });
        if let (Some(refresh), Some(members)) = (self.refresh_token(), body.as_object_mut()) {
            members.insert("refresh_token".to_owned(), refresh.into());
        }
        let mut response = Response::new(Body::from(body.to_string()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        keep_private(&mut response);
        response
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
