//! A client for any tower service that keeps cookies as a browser does.

#![allow(clippy::panic, reason = "a test fails by a panic")]

mod address;
mod cookie_date;
mod cookie_jar;
mod request;
mod response;
mod service;

use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum_core::{body::Body, response::IntoResponse};
use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde::Serialize;
use tower_service::Service;

use self::{address::Origin, cookie_jar::CookieJar, service::App};
pub use self::{cookie_jar::KeptCookie, request::TestRequest, response::TestResponse};
use crate::{
    claims::Claims,
    clock::{Clock, SystemClock},
    error::Error as SessionError,
    manager::SessionManager,
};

/// A browser of one user, in front of a tower service such as an axum `Router`.
///
/// It keeps cookies by the rules of browsers (RFC 6265bis): name prefixes, `Secure`, `Domain`, `Path`, `Max-Age`. The
/// only public suffixes are names without a dot. It sends the headers of a browser, so that requests pass the cross-site guards and errors have the form that they have
/// for pages or scripts. Two clients are two browsers, and a clone is a browser with a copy of the cookies, as a thief
/// has. Requests take `&self`, so that tabs of one browser can send at the same time.
///
/// Calls panic where a test should fail: when the service fails, or a request cannot be sent.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use tower_jwt_sessions::{KeyRing, MemoryStore, Session, SessionManager};
/// use tower_jwt_sessions::testing::TestClient;
///
/// # async fn tests(sessions: SessionManager, app: Router) {
/// let alice = TestClient::new(app.clone()).log_in(&sessions, "alice").await;
/// assert_eq!(alice.get("/me").await.text(), "alice");
/// alice.post("/auth/logout").await.assert_status(200);
/// alice.get("/me").await.assert_status(401);
///
/// // Another browser, in which a user opens a page and submits a form.
/// let guest = TestClient::new(app).follow_redirects();
/// assert_eq!(guest.navigate("/dashboard").await.target(), "/login?next=%2Fdashboard");
/// guest.post_form("/login", [("user", "bob"), ("password", "builder")]).await.assert_status(200);
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct TestClient {
    app: App,
    origin: Origin,
    /// `None` for that of the first manager that logs in, or the system's.
    clock: Option<Arc<dyn Clock>>,
    follows_redirects: bool,
    jar: Mutex<CookieJar>,
}

impl TestClient {
    /// Opens a browser without cookies at `https://localhost`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>> + Clone + Send + 'static,
        S::Response: IntoResponse,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        Self {
            app: App::new(service),
            origin: origin("https://localhost"),
            clock: None,
            follows_redirects: false,
            jar: Mutex::default(),
        }
    }

    /// Sets the origin of the site, as in the address bar: scheme, host and port. Default: `https://localhost`.
    ///
    /// # Panics
    ///
    /// If that is no origin.
    #[track_caller]
    pub fn origin(mut self, text: &str) -> Self {
        self.origin = origin(text);
        self
    }

    /// Sets the clock by which cookies expire: the one that the manager has. Default: that of the manager of the first
    /// [`log_in`](Self::log_in), or else the system's, by which cookies outlast what a
    /// [`TestClock`](crate::testing::TestClock) skips.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Follows redirects on this origin, twenty at most. Default: they are returned.
    pub fn follow_redirects(mut self) -> Self {
        self.follows_redirects = true;
        self
    }

    /// Visits another service, for example another node, with the same cookies.
    pub fn visit<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>> + Clone + Send + 'static,
        S::Response: IntoResponse,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send,
    {
        self.app = App::new(service);
        self
    }

    /// Logs a user in without a request, and keeps the cookies of that login. It replaces the session that this browser
    /// has.
    ///
    /// For a login with options of its own there is [`keep_cookies`](Self::keep_cookies).
    ///
    /// # Panics
    ///
    /// If the login fails, or a browser ignores a cookie at this [`origin`](Self::origin).
    pub async fn log_in<C: Claims>(mut self, sessions: &SessionManager<C>, user: impl ToString) -> Self {
        self.clock.get_or_insert_with(|| Arc::clone(&sessions.verifier().inner().clock));
        let mut headers = HeaderMap::new();
        if let Ok(cookies) = HeaderValue::from_str(&self.cookie_header("/")) {
            headers.insert(header::COOKIE, cookies);
        }
        let presented = sessions.verifier().present(&headers);
        match sessions.login(user).replacing(presented).await {
            Ok(cookies) => self.keep_cookies(cookies),
            Err(error) => panic!("the login failed: {}", chain(&error)),
        }
        self
    }

    /// Keeps the cookies of a response that this browser has not asked for, such as those of a login with options.
    ///
    /// ```
    /// # use tower_jwt_sessions::{SessionManager, testing::TestClient};
    /// # async fn log_in(browser: TestClient, sessions: SessionManager) -> Result<(), tower_jwt_sessions::Error> {
    /// browser.keep_cookies(sessions.login("alice").persistent(false).await?);
    /// browser.restart();
    /// assert_eq!(browser.cookie("__Host-access"), None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// If a browser ignores one of them at this [`origin`](Self::origin).
    #[track_caller]
    pub fn keep_cookies(&self, response: impl IntoResponse) {
        for line in response.into_response().headers().get_all(header::SET_COOKIE) {
            self.set_cookie(&String::from_utf8_lossy(line.as_bytes()));
        }
    }

    /// Keeps a cookie: the value of one `Set-Cookie`.
    ///
    /// # Panics
    ///
    /// If a browser ignores it at this [`origin`](Self::origin).
    #[track_caller]
    pub fn set_cookie(&self, line: &str) {
        if let Err(ignored) = self.jar().receive(line, self.origin.place("/"), self.now()) {
            let name = line.split('=').next().unwrap_or_default();
            panic!("a browser at {} ignores the cookie {name}: {ignored}", self.origin.as_str());
        }
    }

    /// Sends a `GET` as a script does.
    pub fn get(&self, path: impl Into<String>) -> TestRequest<'_> {
        TestRequest::new(self, Method::GET, path.into())
    }

    /// Sends a `POST` without a body, as a script does.
    pub fn post(&self, path: impl Into<String>) -> TestRequest<'_> {
        TestRequest::new(self, Method::POST, path.into())
    }

    /// Opens a page, as a user does who follows a link of the site.
    pub fn navigate(&self, path: impl Into<String>) -> TestRequest<'_> {
        self.get(path).navigation()
    }

    /// Submits a form of a page.
    pub fn post_form<K: AsRef<str>, V: AsRef<str>>(
        &self,
        path: impl Into<String>,
        fields: impl IntoIterator<Item = (K, V)>,
    ) -> TestRequest<'_> {
        self.post(path).navigation().form(fields)
    }

    /// Sends JSON as a script does.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    #[track_caller]
    pub fn post_json(&self, path: impl Into<String>, value: &(impl Serialize + ?Sized)) -> TestRequest<'_> {
        self.post(path).json(value)
    }

    /// Begins any other request: a method such as `PUT`, and a path.
    ///
    /// # Panics
    ///
    /// If that is no method.
    #[track_caller]
    pub fn request(&self, method: &str, path: impl Into<String>) -> TestRequest<'_> {
        match Method::from_bytes(method.as_bytes()) {
            Ok(method) => TestRequest::new(self, method, path.into()),
            Err(error) => panic!("{method} is no method: {error}"),
        }
    }

    /// Returns the value of a cookie; `None` if there is none of this name.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.kept_cookies().into_iter().find(|kept| kept.name == name).map(|kept| kept.value)
    }

    /// Returns the cookies with their attributes, the oldest first.
    ///
    /// ```
    /// # fn check(browser: tower_jwt_sessions::testing::TestClient) {
    /// assert!(browser.kept_cookies().iter().all(|cookie| cookie.http_only && cookie.secure));
    /// # }
    /// ```
    pub fn kept_cookies(&self) -> Vec<KeptCookie> {
        let now = self.now();
        self.jar().at(now).to_vec()
    }

    /// Returns the `Cookie` header of a request for this path from the site itself; empty for none.
    pub fn cookie_header(&self, path: &str) -> String {
        self.cookies_of_request(path, false, false)
    }

    /// Deletes every cookie of this name, as a user could.
    pub fn forget_cookie(&self, name: &str) {
        self.jar().forget(name);
    }

    /// Closes the browser and opens it again: cookies without `Max-Age` and `Expires` are gone.
    pub fn restart(&self) {
        self.jar().end_browser_session();
    }

    fn cookies_of_request(&self, target: &str, is_cross_site: bool, is_link: bool) -> String {
        let (to, now) = (self.origin.place(target), self.now());
        match is_cross_site {
            true => self.jar().cross_site_cookie_header(to, now, is_link),
            false => self.jar().cookie_header(to, now),
        }
    }

    /// Keeps the cookies of the response to a request. One that a browser ignores is missing later.
    fn keep(&self, target: &str, headers: &HeaderMap) {
        let (from, now) = (self.origin.place(target), self.now());
        for line in headers.get_all(header::SET_COOKIE) {
            let _ = self.jar().receive(&String::from_utf8_lossy(line.as_bytes()), from, now);
        }
    }

    fn now(&self) -> crate::clock::Timestamp {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    fn jar(&self) -> MutexGuard<'_, CookieJar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for TestClient {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            origin: self.origin.clone(),
            clock: self.clock.clone(),
            follows_redirects: self.follows_redirects,
            jar: Mutex::new(self.jar().clone()),
        }
    }
}

#[track_caller]
fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap_or_else(|| panic!("{text} is no origin, such as https://app.example"))
}

/// An error with its causes.
fn chain(error: &SessionError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
