//! A client that keeps cookies as browsers do (RFC 6265bis, sections 5.6 and 5.7).

use std::time::Duration;

use axum::Router;
use tower_jwt_sessions::{Clock as _, Timestamp, testing::TestClock};

use super::{ACCESS, Answer, REFRESH, answer::send_unchecked, send};

#[derive(Clone)]
pub(crate) struct Browser {
    app: Router,
    clock: TestClock,
    jar: Vec<Kept>,
}

#[derive(Clone)]
struct Kept {
    name: String,
    value: String,
    path: String,
    expires_at: Option<Timestamp>,
}

impl Browser {
    pub(crate) fn new(app: &Router, clock: &TestClock) -> Self {
        Self { app: app.clone(), clock: clock.clone(), jar: Vec::new() }
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
        let now = self.clock.now();
        let fresh = |kept: &&Kept| kept.expires_at.is_none_or(|end| now < end) && path_matches(path, &kept.path);
        let pairs: Vec<String> =
            self.jar.iter().filter(fresh).map(|kept| format!("{}={}", kept.name, kept.value)).collect();
        pairs.join("; ")
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.iter().find(|kept| kept.name == name).map(|kept| kept.value.clone())
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
        self.jar.push(Kept { name: name.to_owned(), value: value.to_owned(), path: "/".to_owned(), expires_at: None });
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.jar.retain(|kept| kept.name != name);
    }

    pub(crate) fn keep(&mut self, answer: &Answer) {
        for line in answer.set_cookies() {
            self.keep_line(line);
        }
    }

    fn keep_line(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let attributes: Vec<(String, &str)> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(attribute, value)| (attribute.to_ascii_lowercase(), value))
            .collect();
        let attribute =
            |wanted: &str| attributes.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let secure = attribute("secure").is_some();
        let host_only = attribute("domain").is_none() && attribute("path") == Some("/");
        if (name.starts_with("__Host-") && !(secure && host_only))
            || (name.starts_with("__Secure-") && !secure)
            || (attribute("samesite") == Some("None") && !secure)
            || name.len() + value.len() > 4096
        {
            return;
        }
        let max_age = attribute("max-age").map(|text| text.parse::<i64>().expect("a number of seconds"));
        self.forget(name);
        if max_age.is_none_or(|seconds| seconds > 0) {
            let lives = max_age.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
            self.jar.push(Kept {
                name: name.to_owned(),
                value: value.to_owned(),
                path: attribute("path").unwrap_or("/").to_owned(),
                expires_at: lives.map(|lives| self.clock.now().saturating_add(lives)),
            });
        }
    }
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}
