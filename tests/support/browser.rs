//! A client that keeps cookies as browsers do.

use std::time::Duration;

use axum::Router;
use tower_jwt_sessions::{clock::Clock as _, testing::TestClock};

use super::{
    ACCESS, Answer, REFRESH,
    answer::send_unchecked,
    cookie_jar::{CookieJar, Place},
    send,
};

#[derive(Clone)]
pub(crate) struct Browser {
    app: Router,
    clock: TestClock,
    jar: CookieJar,
}

/// Where the application is, as far as cookies go.
const fn place(path: &str) -> Place<'_> {
    Place { https: true, host: "app.test", path }
}

impl Browser {
    pub(crate) fn new(app: &Router, clock: &TestClock) -> Self {
        Self { app: app.clone(), clock: clock.clone(), jar: CookieJar::default() }
    }

    /// Goes on with another application on the same host, with the cookies that it has.
    pub(crate) fn visit(&mut self, app: &Router) {
        self.app = app.clone();
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path}"), &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send(&format!("POST {path}"), &[]).await
    }

    /// Logs in, which must work.
    #[track_caller]
    pub(crate) fn login(&mut self, user: &str) -> impl Future<Output = Answer> + use<'_> {
        let caller = std::panic::Location::caller();
        let path = format!("/login/{user}");
        async move {
            let answer = self.post(&path).await;
            assert_eq!(answer.status, 200, "login at {caller}: {}", answer.body);
            answer
        }
    }

    pub(crate) async fn refresh(&mut self) -> Answer {
        self.post("/auth/refresh").await
    }

    /// Sends a request with the cookies of the jar, and keeps those of the answer.
    pub(crate) async fn send(&mut self, what: &str, headers: &[(&str, &str)]) -> Answer {
        let answer = self.send_only(what, headers).await;
        self.keep(&answer);
        answer
    }

    /// Sends a request whose answer is lost.
    pub(crate) async fn send_only(&self, what: &str, headers: &[(&str, &str)]) -> Answer {
        let path = what.split_once(' ').expect("a method and a path").1.split('?').next().unwrap_or_default();
        let cookies = self.cookies_for(path);
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        send(&self.app, what, &headers).await
    }

    /// Sends a request to an application that breaks a rule of answers on purpose.
    pub(crate) async fn send_unchecked(&mut self, what: &str) -> Answer {
        let cookies = self.cookies();
        let answer = send_unchecked(&self.app, what, &[("cookie", &cookies)]).await;
        self.keep(&answer);
        answer
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

    pub(crate) fn keep(&mut self, answer: &Answer) {
        for line in answer.set_cookies() {
            // What a browser ignores is missing later.
            let _ = self.jar.receive(line, place("/"), self.now());
        }
    }
}
