//! The tokens of a session as a value and a response, for clients without a cookie store.

use std::{fmt, time::Duration};

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde_json::json;

use crate::cookie::forbid_storage;

/// The tokens of a session in plain text, for a client that keeps no cookies: from
/// [`Login::tokens`](crate::manager::Login::tokens) or
/// [`SessionManager::refresh_with_token`](crate::SessionManager::refresh_with_token).
///
/// They grant access to the session, and are for native clients, which keep them in the credential storage of their
/// system. Never give them to a page in a browser, where every script can read them: cookies are for that.
///
/// It is a response, the JSON of RFC 6749, section 5.1, with `Cache-Control: no-store`:
///
/// ```json
/// {"access_token":"…","token_type":"Bearer","expires_in":3600,"refresh_token":"…"}
/// ```
///
/// `refresh_token` is missing if the client keeps the one that it has: see [`refresh_token`](Self::refresh_token). The
/// type is not `Serialize`, and `Debug` prints no token.
#[must_use = "the tokens must be sent to the client"]
#[derive(Clone)]
pub struct SessionTokens {
    access: IssuedToken,
    refresh: Option<IssuedToken>,
    /// How they are put into cookies.
    cookies: CookieTerms,
}

/// What is said of the cookies of tokens.
#[derive(Clone, Default)]
pub(crate) struct CookieTerms {
    /// Whether they outlast the browser.
    pub(crate) is_persistent: bool,
    /// Whether the browser has to notice that the access token expires.
    pub(crate) is_access_timed: bool,
    /// The offer to bind the session to a device.
    pub(crate) registration: Option<HeaderValue>,
}

/// A token and its lifetime, in whole seconds.
#[derive(Clone)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) lives: Duration,
}

impl SessionTokens {
    pub(crate) const fn new(access: IssuedToken, refresh: Option<IssuedToken>, cookies: CookieTerms) -> Self {
        Self { access, refresh, cookies }
    }

    pub(crate) fn into_parts(self) -> (IssuedToken, Option<IssuedToken>, CookieTerms) {
        (self.access, self.refresh, self.cookies)
    }

    /// Has browsers notice when the access token expires.
    #[cfg(feature = "dbsc")]
    pub(crate) fn timed(mut self) -> Self {
        // The browser is about to prove that it has its key, and needs no further offer.
        self.cookies.registration = None;
        self.cookies.is_access_timed = true;
        self
    }

    /// The access token, for `Authorization: Bearer`.
    pub fn access_token(&self) -> &str {
        &self.access.token
    }

    /// The lifetime of the access token. A duration and not a point in time, since the clock of the client may be
    /// wrong.
    pub const fn expires_in(&self) -> Duration {
        self.access.lives
    }

    /// The new refresh token, which replaces the previous one. `None` if the presented token remains the newest,
    /// because another refresh was answered a moment ago: then the client keeps its token.
    ///
    /// Always `Some` after a login.
    pub fn refresh_token(&self) -> Option<&str> {
        self.refresh.as_ref().map(|refresh| &*refresh.token)
    }

    /// The lifetime of the new refresh token.
    pub fn refresh_expires_in(&self) -> Option<Duration> {
        self.refresh.as_ref().map(|refresh| refresh.lives)
    }
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTokens")
            .field("access_token", &"[redacted]")
            .field("expires_in", &self.expires_in())
            .field("refresh_token", &self.refresh.as_ref().map(|_| "[redacted]"))
            .field("refresh_expires_in", &self.refresh_expires_in())
            .finish()
    }
}

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
        forbid_storage(&mut response);
        response
    }
}
