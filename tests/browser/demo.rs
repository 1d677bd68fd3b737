//! The page of the demo, by the names that its documentation promises: inputs `username` and `password`, and buttons with
//! `data-action`.

use crate::{
    chromium::{Chromium, Tab},
    program::Program,
};

pub(crate) const ACCESS: &str = "__Host-access";
pub(crate) const REFRESH: &str = "__Host-refresh";

/// Whether the page shows a user, or the login form.
pub(crate) const IS_LOGGED_IN: &str = "document.querySelector('[data-action=logout]')?.checkVisibility()";
pub(crate) const IS_LOGGED_OUT: &str = "document.querySelector('input[name=username]')?.checkVisibility() && \
     !document.querySelector('[data-action=logout]')?.checkVisibility()";

pub(crate) fn demo() -> Program {
    Program::start("demo", &[])
}

impl Tab {
    /// Logs in as Alice at the page of the demo.
    pub(crate) async fn log_in(&self, url: &str) {
        self.log_in_as(url, "alice", "wonderland").await;
    }

    pub(crate) async fn log_in_as(&self, url: &str, username: &str, password: &str) {
        self.open(url).await;
        self.until(IS_LOGGED_OUT).await;
        self.type_into("username", username).await;
        self.type_into("password", password).await;
        self.click("[data-action=login]").await;
        self.until(IS_LOGGED_IN).await;
    }

    /// Sends a request to the server of the page, and returns the status.
    pub(crate) async fn status_of(&self, method: &str, path: &str) -> u64 {
        let status = self.run(&format!("return (await fetch('{path}', {{ method: '{method}' }})).status;")).await;
        status.as_u64().expect("a status")
    }

    /// Asserts that the page shows a user, also after it was loaded again, and that the server knows the session.
    pub(crate) async fn is_still_logged_in(&self, url: &str) {
        self.until(IS_LOGGED_IN).await;
        self.open(url).await;
        self.until(IS_LOGGED_IN).await;
        assert_eq!(self.status_of("GET", "/me").await, 200);
    }
}

/// A browser in which Alice has logged in.
pub(crate) async fn alice(url: &str) -> (Chromium, Tab) {
    let chromium = Chromium::start().await;
    let tab = chromium.first_tab().await;
    tab.log_in(url).await;
    (chromium, tab)
}
