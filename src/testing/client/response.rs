//! The response to a test client.

use std::fmt;

use axum_core::response::Response;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;

/// A response with its whole body.
#[derive(Clone)]
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    target: String,
}

impl TestResponse {
    pub(super) async fn read(response: Response, target: String) -> Self {
        let (parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) => panic!("the body of the response to {target} broke off: {error}"),
        };
        Self { status: parts.status, headers: parts.headers, body, target }
    }

    /// Returns the status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Asserts the status, and shows the body if it is another one.
    ///
    /// # Panics
    ///
    /// If it is another one.
    #[track_caller]
    pub fn assert_status(&self, expected: u16) -> &Self {
        assert_eq!(self.status.as_u16(), expected, "{}: {}", self.target, String::from_utf8_lossy(&self.body));
        self
    }

    /// Returns the path and query of the request: of the last one, if redirects were followed.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the first value of a header; `None` if it is missing or no visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the values of the `Set-Cookie` headers, whether the browser took the cookies or not.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).collect()
    }

    /// Returns the body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body of the response to {} is no text: {error}", self.target),
        }
    }

    /// Reads the body as JSON.
    ///
    /// # Panics
    ///
    /// If it is no such JSON.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!(
                "the body of the response to {} ({}) is not the expected JSON: {error}: {}",
                self.target,
                self.status,
                String::from_utf8_lossy(&self.body)
            ),
        }
    }

    /// Where it leads, if it is a redirect.
    pub(super) fn redirect(&self) -> Option<&str> {
        matches!(self.status.as_u16(), 301 | 302 | 303 | 307 | 308).then(|| self.header("location"))?
    }
}

/// Without the values of the headers, which may be tokens.
impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestResponse")
            .field("target", &self.target)
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &String::from_utf8_lossy(&self.body))
            .finish()
    }
}
