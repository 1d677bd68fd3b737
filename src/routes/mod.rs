//! The companion routers, ready to mount: refresh, logout and the list of sessions for browsers, the browser module with
//! its events, refresh and revocation for native clients.

mod browser;
mod client;
#[cfg(feature = "dbsc")]
mod device;
mod oauth;
mod route;

use http::{HeaderValue, header};

#[cfg(all(feature = "dbsc", feature = "utoipa"))]
pub(crate) use self::route::DeviceRoute;
#[cfg(feature = "utoipa")]
pub(crate) use self::route::{BrowserRoute, ClientRoute, TokenRoute};

/// Forbids to store responses about sessions (RFC 6749, section 5.1; RFC 9111, section 5.2.2.5).
async fn no_store(mut response: axum::response::Response) -> axum::response::Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
