//! The cookies that tests without a browser keep: names and values, and nothing that browsers do with attributes.

use std::collections::BTreeMap;

use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{Claims, Session, SessionCookies, SessionManager, error::Error};

/// A client that talks to managers, not to routes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    pub(crate) fn of(cookies: SessionCookies) -> Self {
        let mut jar = Self::default();
        jar.keep(cookies);
        jar
    }

    pub(crate) fn keep(&mut self, cookies: SessionCookies) {
        for line in cookies.into_response().headers().get_all(header::SET_COOKIE) {
            let (name, value) = line.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
        headers
    }

    /// The generations of the access and the refresh token.
    pub(crate) fn generations(&self) -> (u64, u64) {
        (self.claim("__Host-access", "gen"), self.claim("__Host-refresh", "gen"))
    }

    pub(crate) fn claim(&self, cookie: &str, name: &str) -> u64 {
        let payload = self.0[cookie].split('.').nth(1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        claims[name].as_u64().unwrap()
    }

    /// Sends a request to a private page.
    pub(crate) fn visit<C: Claims>(&self, node: &SessionManager<C>) -> Option<Session<C>> {
        node.verifier().verify(&self.headers()).ok()
    }

    /// Refreshes without keeping the response.
    pub(crate) async fn ask<C: Claims>(&self, node: &SessionManager<C>) -> Result<SessionCookies, Error> {
        node.refresh(&node.verifier().present(&self.headers())).await
    }

    /// Refreshes and keeps the response.
    pub(crate) async fn refresh<C: Claims>(&mut self, node: &SessionManager<C>) -> Result<(), Error> {
        let cookies = self.ask(node).await?;
        self.keep(cookies);
        Ok(())
    }
}

/// The headers of a request with the cookies of a login or refresh.
pub(crate) fn browser(cookies: SessionCookies) -> HeaderMap {
    Jar::of(cookies).headers()
}
