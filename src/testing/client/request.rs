//! A request that a test client is about to send.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
};

use axum_core::body::Body;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use serde::Serialize;

use super::{TestClient, TestResponse, address::Origin};

/// More than browsers follow is a loop (Fetch standard, section 4.4).
const MAX_REDIRECTS: usize = 20;

/// What in a browser sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initiator {
    /// A user who follows a link or submits a form.
    Navigation,
    /// A script of a page: `fetch`.
    Script,
    /// No browser, or one without fetch metadata.
    Plain,
}

/// A request of a [`TestClient`], which is sent when it is awaited.
///
/// Without other settings it is one of a script (`fetch`) on a page of the site.
#[must_use = "a request is sent when it is awaited"]
pub struct TestRequest<'c> {
    client: &'c TestClient,
    method: Method,
    target: String,
    initiator: Initiator,
    /// The origin of another site whose page sends it.
    from: Option<Origin>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Vec<u8>,
    is_lost: bool,
}

impl<'c> TestRequest<'c> {
    pub(super) fn new(client: &'c TestClient, method: Method, target: String) -> Self {
        Self {
            client,
            method,
            target,
            initiator: Initiator::Script,
            from: None,
            headers: HeaderMap::new(),
            extensions: Extensions::new(),
            body: Vec::new(),
            is_lost: false,
        }
    }

    /// Sends what browsers send when a user follows a link or submits a form.
    pub fn navigation(mut self) -> Self {
        self.initiator = Initiator::Navigation;
        self
    }

    /// Sends cookies, but no headers of a browser: no `Accept`, no `Origin`, no fetch metadata.
    pub fn plain(mut self) -> Self {
        self.initiator = Initiator::Plain;
        self
    }

    /// Sends it from a page of another site, such as `https://evil.test`, with the cookies that such a request has.
    ///
    /// # Panics
    ///
    /// If that is no origin.
    #[track_caller]
    pub fn cross_site(mut self, origin: &str) -> Self {
        self.from = Some(super::origin(origin));
        self
    }

    /// Adds a header. One that a browser would set itself is replaced.
    ///
    /// # Panics
    ///
    /// If name or value are no valid header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_ref())) {
            (Ok(name), Ok(value)) => drop(self.headers.append(name, value)),
            _ => panic!("{name} is no valid header, or its value is not"),
        }
        self
    }

    /// Adds an extension, such as a session of a test, or what a proxy in front would know.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, extension: T) -> Self {
        self.extensions.insert(extension);
        self
    }

    /// Sets the fields of a form as the body.
    ///
    /// ```
    /// # async fn submit(browser: &tower_jwt_sessions::testing::TestClient) {
    /// browser.request("POST", "/login").navigation().form([("user", "alice")]).await.assert_status(303);
    /// # }
    /// ```
    pub fn form<K: AsRef<str>, V: AsRef<str>>(mut self, fields: impl IntoIterator<Item = (K, V)>) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body = form.into_bytes();
        self.with_type("application/x-www-form-urlencoded")
    }

    /// Sets JSON as the body.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    #[track_caller]
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        self.body = match serde_json::to_vec(value) {
            Ok(json) => json,
            Err(error) => panic!("the body for {} cannot be written as JSON: {error}", self.target),
        };
        self.with_type("application/json")
    }

    /// Sets the body. Set its `content-type` with [`header`](Self::header).
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Loses the response on its way: the application has handled the request, but the browser keeps no cookie of it.
    pub fn lose_response(mut self) -> Self {
        self.is_lost = true;
        self
    }

    fn with_type(mut self, media_type: &'static str) -> Self {
        self.headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static(media_type));
        self
    }

    async fn send(mut self) -> TestResponse {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once().await;
            let leads_to = response.redirect().filter(|_| self.client.follows_redirects && !self.is_lost);
            let Some(location) = leads_to else { return response };
            // A browser goes on to another origin, which is not under test.
            let Some(target) = self.client.origin.resolve(&self.target, location) else { return response };
            // Fetch standard, section 4.4: a form is not submitted again.
            let is_form_handled = match response.status().as_u16() {
                303 => !matches!(self.method, Method::GET | Method::HEAD),
                301 | 302 => self.method == Method::POST,
                _ => false,
            };
            if is_form_handled {
                self.method = Method::GET;
                self.body.clear();
                self.headers.remove(header::CONTENT_TYPE);
            }
            self.target = target;
        }
        panic!("more than {MAX_REDIRECTS} redirects, the last one to {}", self.target);
    }

    async fn send_once(&self) -> TestResponse {
        let Self { client, method, target, body, .. } = self;
        let request = Request::builder().method(method).uri(target).body(Body::from(body.clone()));
        let mut request = match request {
            Ok(request) => request,
            Err(error) => panic!("{target} is no path: {error}"),
        };
        *request.headers_mut() = self.all_headers();
        *request.extensions_mut() = self.extensions.clone();
        let response = match client.app.call(request).await {
            Ok(response) => response,
            Err(error) => panic!("the service failed at {method} {target}: {error}"),
        };
        let response = TestResponse::read(response, target.clone()).await;
        if !self.is_lost {
            client.keep(target, response.headers());
        }
        response
    }

    /// The headers of the test, and of those that a browser adds the ones that the test has not set.
    fn all_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (name, value) in self.browser_headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.entry(name).or_insert(value);
            }
        }
        headers
    }

    fn browser_headers(&self) -> Vec<(HeaderName, String)> {
        let own = &self.client.origin;
        let is_safe = matches!(self.method, Method::GET | Method::HEAD);
        let is_navigation = self.initiator == Initiator::Navigation;
        let mut headers = vec![(header::HOST, own.authority().to_owned())];
        let cookies = self.client.cookies_of_request(&self.target, self.from.is_some(), is_navigation && is_safe);
        if !cookies.is_empty() {
            headers.push((header::COOKIE, cookies));
        }
        if self.initiator == Initiator::Plain {
            return headers;
        }
        let accept =
            if is_navigation { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" } else { "*/*" };
        headers.push((header::ACCEPT, accept.to_owned()));
        // Scripts name the origin of another site in every request, and forms and links if they change something.
        if !is_safe || self.from.is_some() && !is_navigation {
            headers.push((header::ORIGIN, self.from.as_ref().unwrap_or(own).as_str().to_owned()));
        }
        // Insecure sites are sent none.
        if own.is_secure() {
            let site = if self.from.is_some() { "cross-site" } else { "same-origin" };
            let (mode, destination) = if is_navigation { ("navigate", "document") } else { ("cors", "empty") };
            headers.extend([
                (HeaderName::from_static("sec-fetch-site"), site.to_owned()),
                (HeaderName::from_static("sec-fetch-mode"), mode.to_owned()),
                (HeaderName::from_static("sec-fetch-dest"), destination.to_owned()),
            ]);
            if is_navigation {
                headers.push((HeaderName::from_static("sec-fetch-user"), "?1".to_owned()));
            }
        }
        headers
    }
}

impl<'c> IntoFuture for TestRequest<'c> {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Without the values of the headers, which may be tokens, and without the body.
impl fmt::Debug for TestRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
