//! A client that keeps cookies as browsers do.

use std::time::Duration;

use axum::Router;
use tower_jwt_sessions::{clock::Clock as _, testing::TestClock};

use super::{
    ACCESS, REFRESH, TestResponse,
    cookie_jar::{CookieJar, Place},
    response::{send_body, send_unchecked},
    send,
};

#[derive(Clone)]
pub(crate) struct Browser {
    app: Router,
    clock: TestClock,
    jar: CookieJar,
}

/// What browsers send when a user opens a page of the site from another one.
const NAVIGATION: [(&str, &str); 5] = [
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-user", "?1"),
];

/// The address of the application, as cookies see it.
const fn place(path: &str) -> Place<'_> {
    Place { https: true, host: "app.test", path }
}

impl Browser {
    pub(crate) fn new(app: &Router, clock: &TestClock) -> Self {
        Self { app: app.clone(), clock: clock.clone(), jar: CookieJar::default() }
    }

    /// Sends later requests, with the same cookies, to another application on the same host.
    pub(crate) fn visit(&mut self, app: &Router) {
        self.app = app.clone();
    }

    pub(crate) async fn get(&mut self, path: &str) -> TestResponse {
        self.send(&format!("GET {path}"), &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> TestResponse {
        self.send(&format!("POST {path}"), &[]).await
    }

    /// Opens a page as a user does who follows a link of the site.
    pub(crate) async fn navigate(&mut self, path: &str) -> TestResponse {
        self.send(&format!("GET {path}"), &NAVIGATION).await
    }

    /// Submits a form of the site.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> TestResponse {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let cookies = self.cookies_for(path);
        let mut headers = NAVIGATION.to_vec();
        headers.extend([("content-type", "application/x-www-form-urlencoded"), ("origin", "https://app.test")]);
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let response = send_body(&self.app, &format!("POST {path}"), &headers, &form).await;
        response.check();
        self.keep(&response);
        response
    }

    /// Logs in, which must succeed.
    #[track_caller]
    pub(crate) fn login(&mut self, user: &str) -> impl Future<Output = TestResponse> + use<'_> {
        let caller = std::panic::Location::caller();
        let path = format!("/login/{user}");
        async move {
            let response = self.post(&path).await;
            assert_eq!(response.status, 200, "login at {caller}: {}", response.body);
            response
        }
    }

    pub(crate) async fn refresh(&mut self) -> TestResponse {
        self.post("/auth/refresh").await
    }

    /// Sends a request with the cookies of the jar, and keeps those of the response.
    pub(crate) async fn send(&mut self, what: &str, headers: &[(&str, &str)]) -> TestResponse {
        let response = self.send_only(what, headers).await;
        self.keep(&response);
        response
    }

    /// Sends a request whose response is lost.
    pub(crate) async fn send_only(&self, what: &str, headers: &[(&str, &str)]) -> TestResponse {
        let path = what.split_once(' ').expect("a method and a path").1.split('?').next().unwrap_or_default();
        let cookies = self.cookies_for(path);
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        send(&self.app, what, &headers).await
    }

    /// Sends a request to an application that breaks the rules for responses on purpose.
    pub(crate) async fn send_unchecked(&mut self, what: &str) -> TestResponse {
        let cookies = self.cookies();
        let response = send_unchecked(&self.app, what, &[("cookie", &cookies)]).await;
        self.keep(&response);
        response
    }

    /// The `Cookie` header for any path.
    pub(crate) fn cookies(&self) -> String {
        self.cookies_for("/auth/refresh")
    }

    fn cookies_for(&self, path: &str) -> String {
        self.jar.cookie_header(place(path), self.now())
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.now().as_millis())
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.value(name).map(str::to_owned)
    }

    pub(crate) fn access(&self) -> String {
        self.cookie(ACCESS).expect("an access cookie")
    }

    pub(crate) fn refresh_token(&self) -> String {
        self.cookie(REFRESH).expect("a refresh cookie")
    }

    /// Puts a cookie into the jar, as an attacker on this machine could.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.forget(name);
        let line = format!("{name}={value}; Secure; Path=/");
        self.jar.receive(&line, place("/"), self.now()).expect("a cookie that a browser takes");
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.jar.forget(name);
    }

    pub(crate) fn keep(&mut self, response: &TestResponse) {
        for line in response.set_cookies() {
            // A line that a browser ignores is missing later.
            let _ = self.jar.receive(line, place("/"), self.now());
        }
    }
}
