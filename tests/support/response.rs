//! Sends one request, and checks its response.

use axum::{Router, body::Body};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_jwt_sessions::testing;

/// How the header of each of our tokens begins: `{"typ"` in base64url.
const TOKEN_HEAD: &str = "eyJ0eXAi";

/// A response that has passed the checks for every response of an application with sessions.
#[derive(Clone, Debug)]
pub(crate) struct TestResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// Sends a request such as `GET /me` with exactly these headers.
pub(crate) async fn send<V: AsRef<[u8]>>(app: &Router, what: &str, headers: &[(&str, V)]) -> TestResponse {
    let response = send_unchecked(app, what, headers).await;
    response.check();
    response
}

pub(crate) async fn send_unchecked<V: AsRef<[u8]>>(app: &Router, what: &str, headers: &[(&str, V)]) -> TestResponse {
    send_body(app, what, headers, "").await
}

/// Sends a request with a body, whose response may have tokens in its body.
pub(crate) async fn send_body<V: AsRef<[u8]>>(
    app: &Router,
    what: &str,
    headers: &[(&str, V)],
    body: &str,
) -> TestResponse {
    let (method, path) = what.split_once(' ').expect("a method and a path");
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header(header::HOST, "app.test");
    }
    for (name, value) in headers {
        request = request.header(*name, value.as_ref());
    }
    let response = app.clone().oneshot(request.body(Body::from(body.to_owned())).expect("a request")).await;
    let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let body = body.collect().await.expect("the whole body").to_bytes();
    TestResponse {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("a body of text"),
    }
}

impl From<testing::TestResponse> for TestResponse {
    fn from(response: testing::TestResponse) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.text().to_owned() }
    }
}

/// The identity of a cookie in a browser: name, domain, path and partition.
fn name_and_scope(line: &str) -> Vec<&str> {
    let counts = |part: &&str| ["Domain=", "Path=", "Partitioned"].iter().any(|name| part.starts_with(name));
    let mut scope: Vec<&str> = line.split("; ").skip(1).filter(counts).collect();
    scope.sort_unstable();
    scope.insert(0, line.split('=').next().unwrap_or_default());
    scope
}

impl TestResponse {
    /// Asserts that no token is outside of `Set-Cookie`, no cookie is duplicate, and session cookies are not cached.
    pub(super) fn check(&self) {
        assert!(!self.body.contains(TOKEN_HEAD), "a token in the body: {}", self.body);
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != header::SET_COOKIE) {
            assert!(
                !value.as_bytes().windows(TOKEN_HEAD.len()).any(|part| part == TOKEN_HEAD.as_bytes()),
                "a token in the header {name}"
            );
        }
        let names: Vec<&str> =
            self.set_cookies().iter().map(|line| line.split('=').next().unwrap_or_default()).collect();
        let cookies: Vec<_> = self.set_cookies().into_iter().map(name_and_scope).collect();
        for (n, cookie) in cookies.iter().enumerate() {
            assert!(!cookies[..n].contains(cookie), "{cookie:?} is set twice: {cookies:?}");
        }
        if names.iter().any(|name| name.contains("access") || name.contains("refresh")) {
            let cache_control = self.header("cache-control");
            assert!(matches!(cache_control, "no-store" | "private, no-store"), "{names:?}: {cache_control}");
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("a header of text")).unwrap_or_default()
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.map(|line| line.to_str().expect("a cookie of text")).collect()
    }

    /// Returns the value that is set for a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let value = |line: &&str| line.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        let value = self.set_cookies().iter().find_map(value)?;
        value.split(';').next().map(str::to_owned)
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Asserts a complete problem document that sets no cookie (RFC 9457, RFC 6750).
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        self.is_problem_as("application/problem+json", status, code)
    }

    /// Asserts the same for a navigation that does not accept HTML: browsers show JSON, but not every problem document.
    #[track_caller]
    pub(crate) fn is_json_problem(&self, status: u16, code: &str) -> &Self {
        self.is_problem_as("application/json", status, code)
    }

    #[track_caller]
    fn is_problem_as(&self, media_type: &str, status: u16, code: &str) -> &Self {
        self.is(status);
        let document = self.json();
        assert_eq!(document["code"], code);
        assert_eq!(document["status"], status);
        assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
        let kind = document["type"].as_str().unwrap_or_default();
        assert!(kind.starts_with("https://") && kind.ends_with(&format!("#{code}")), "{kind}");
        assert_eq!(document.as_object().map(serde_json::Map::len), Some(4), "{document}");
        assert_eq!(self.header("content-type"), media_type);
        assert_eq!(self.header("cache-control"), "no-store");
        let challenge = match (status, code) {
            (400, _) => r#"Bearer realm="session", error="invalid_request""#,
            (401, "missing_credentials" | "proof_outdated") => r#"Bearer realm="session""#,
            (401, "insufficient_user_authentication") => {
                let old = r#"Bearer realm="session", error="insufficient_user_authentication", max_age=""#;
                assert!(self.header("www-authenticate").starts_with(old), "{:?}", self.headers);
                self.header("www-authenticate")
            }
            (403, "insufficient_scope") => r#"Bearer realm="session", error="insufficient_scope""#,
            (401, _) => r#"Bearer realm="session", error="invalid_token""#,
            _ => "",
        };
        assert_eq!(self.header("www-authenticate"), challenge);
        assert_eq!(self.header("retry-after"), if status == 503 { "1" } else { "" });
        // So that the browser refreshes by itself.
        let clears_access = (status, code) == (403, "proof_required");
        let is_expected = |line: &&str| clears_access && line.starts_with("__Host-access=;");
        let others: Vec<&str> = self.set_cookies().into_iter().filter(|line| !is_expected(line)).collect();
        assert_eq!(others, Vec::<&str>::new(), "only a logout clears cookies");
        self
    }
}
