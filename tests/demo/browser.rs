//! A minimal browser: keeps cookies and sends them back.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Request, header};
use serde_json::{Value, json};
use ureq::{
    Agent, Body,
    tls::{TlsConfig, TlsProvider},
};

pub(crate) const ACCESS: &str = "__Host-access";
pub(crate) const REFRESH: &str = "__Host-refresh";

/// A clone is another browser with the same cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    agent: Agent,
    url: String,
    cookies: BTreeMap<String, String>,
    site: &'static str,
}

impl Browser {
    pub(crate) fn at(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            // Requests of every method have a body, which may be empty.
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(60)))
            .user_agent("test-browser/1.0")
            .tls_config(any_certificate())
            .build();
        Self { agent: config.into(), url: url.to_owned(), cookies: BTreeMap::new(), site: "same-origin" }
    }

    /// Returns a browser with the same cookies at another node.
    pub(crate) fn at_node(&self, url: &str) -> Self {
        Self { cookies: self.cookies.clone(), ..Self::at(url) }
    }

    /// Returns a page of another site whose requests carry the same cookies.
    pub(crate) fn page_of_another_site(&self) -> Self {
        Self { site: "cross-site", ..self.clone() }
    }

    pub(crate) fn cookie(&self, name: &str) -> &str {
        self.cookies.get(name).unwrap_or_else(|| panic!("no cookie {name}"))
    }

    pub(crate) fn has_cookies(&self) -> bool {
        !self.cookies.is_empty()
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.cookies.remove(name);
    }

    /// Returns the claims of the access token, which real clients do not read.
    pub(crate) fn access_claims(&self) -> Value {
        claims(self.cookie(ACCESS))
    }

    pub(crate) fn log_in(&mut self, username: &str, password: &str) -> Response {
        self.send("POST", "/login", &json!({ "username": username, "password": password }))
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, None, "")
    }

    pub(crate) fn post(&mut self, path: &str) -> Response {
        self.request("POST", path, None, "")
    }

    pub(crate) fn delete(&mut self, path: &str) -> Response {
        self.request("DELETE", path, None, "")
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &Value) -> Response {
        self.request(method, path, Some("application/json"), &body.to_string())
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, content_type: Option<&str>, body: &str) -> Response {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.url)).header("sec-fetch-site", self.site);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if !self.cookies.is_empty() {
            request = request.header(header::COOKIE, self.cookie_header());
        }
        let request = request.body(body.to_owned()).expect("a request");
        let mut received = self.agent.run(request).expect("a response of the demo");
        let text = received.body_mut().read_to_string().expect("a body of text");
        let response =
            Response { status: received.status().as_u16(), headers: std::mem::take(received.headers_mut()), text };
        for line in response.set_cookies() {
            self.keep(line);
        }
        response
    }

    /// Opens a response that does not end by itself.
    pub(crate) fn opened(&self, path: &str) -> http::Response<Body> {
        let request = Request::get(format!("{}{path}", self.url)).header(header::COOKIE, self.cookie_header());
        let response = self.agent.run(request.body(()).expect("a request")).expect("a response of the demo");
        assert_eq!(response.status(), 200);
        response
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn cookie_header(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn keep(&mut self, line: &str) {
        let (name, rest) = line.split_once('=').expect("a name");
        let (value, attributes) = rest.split_once(';').expect("attributes");
        if attributes.split(';').any(|attribute| attribute.trim() == "Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// That of the demo is signed by no authority.
fn any_certificate() -> TlsConfig {
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config = TlsConfig::builder().provider(TlsProvider::Rustls).disable_verification(true);
    config.unversioned_rustls_crypto_provider(Arc::new(provider)).build()
}

pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a token has three parts");
    let json = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&json).expect("JSON")
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Response {
    pub(crate) fn header(&self, name: impl http::header::AsHeaderName + Debug) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter();
        lines.map(|line| line.to_str().expect("visible ASCII")).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts success with this body.
    #[track_caller]
    pub(crate) fn expect_json(&self, body: &Value) {
        self.expect_status(200);
        assert_eq!(self.json(), *body);
    }

    /// Asserts a problem document with this status and code, and no cookie.
    #[track_caller]
    pub(crate) fn expect_problem(&self, status: u16, code: &str) {
        self.expect_status(status);
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json", "{self:?}");
        let document = self.json();
        assert_eq!(document["code"], code, "{self:?}");
        assert_eq!(document["status"], status, "{self:?}");
        assert!(document["title"].is_string() && document["type"].is_string(), "{self:?}");
        assert!(self.set_cookies().is_empty(), "{self:?}");
        assert_eq!(status == 401, self.headers.contains_key(header::WWW_AUTHENTICATE), "{self:?}");
        assert_eq!(status == 503, self.headers.contains_key(header::RETRY_AFTER), "{self:?}");
    }
}
