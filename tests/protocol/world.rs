//! Managers, browsers, and the passing of time.

use std::{collections::BTreeMap, time::Duration};

use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{
    Claims, Error, KeyRing, Session, SessionCookies, SessionManager,
    manager::SessionManagerBuilder,
    revocation::{Ended, FeedStatus},
    store::SessionStore,
    testing::TestClock,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn node(store: impl SessionStore, clock: &TestClock) -> SessionManagerBuilder<()> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
        .clock(clock.clone())
        .store(store)
}

/// Moves both clocks: that of the protocol and that of the timers.
pub(crate) async fn pass(clock: &TestClock, time: Duration) {
    clock.advance(time);
    tokio::time::advance(time).await;
    settle().await;
}

/// Lets every task do what it can. The timers move a little.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

pub(crate) async fn is_over(ended: &mut Ended) -> bool {
    settle().await;
    tokio::time::timeout(Duration::from_millis(1), ended).await.is_ok()
}

/// Waits until the feed of a node is in this state.
pub(crate) async fn feed_becomes(node: &SessionManager, expected: fn(FeedStatus) -> bool) {
    let mut feed = node.revocation_feed().clone();
    while !expected(feed.status()) {
        feed.changed().await;
    }
}

/// Somebody's cookie jar.
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

    /// Refreshes without keeping the answer.
    pub(crate) async fn ask<C: Claims>(&self, node: &SessionManager<C>) -> Result<SessionCookies, Error> {
        node.refresh(&node.verifier().present(&self.headers())).await
    }

    /// Refreshes and keeps the answer.
    pub(crate) async fn refresh<C: Claims>(&mut self, node: &SessionManager<C>) -> Result<(), Error> {
        let cookies = self.ask(node).await?;
        self.keep(cookies);
        Ok(())
    }
}
