//! What a browser sends back, for tests that need no more of one.

use axum_core::response::IntoResponse as _;
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::SessionCookies;

/// The headers of a request with the cookies of a login or refresh.
pub(crate) fn browser(cookies: SessionCookies) -> HeaderMap {
    let response = cookies.into_response();
    let pairs: Vec<&str> = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .map(|line| line.to_str().unwrap().split(';').next().unwrap())
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
    headers
}
