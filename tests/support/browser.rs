//! The library's test client with the routes of the tests and the checks of every response.

use axum::Router;
use tower_jwt_sessions::{
    clock::Clock,
    testing::{TestClient, TestRequest},
};

use super::{ACCESS, REFRESH, TestResponse};

#[derive(Clone)]
pub(crate) struct Browser {
    client: TestClient,
}

impl Browser {
    pub(crate) fn new(app: &Router, clock: &(impl Clock + Clone)) -> Self {
        Self { client: TestClient::new(app.clone()).origin("https://app.test").clock(clock.clone()) }
    }

    /// Sends later requests, with the same cookies, to another application on the same host.
    pub(crate) fn visit(&mut self, app: &Router) {
        self.client = self.client.clone().visit(app.clone());
    }

    pub(crate) async fn get(&mut self, path: &str) -> TestResponse {
        self.send(&format!("GET {path}"), &[]).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> TestResponse {
        self.send(&format!("POST {path}"), &[]).await
    }

    /// Opens a page as a user does who follows a link of the site.
    pub(crate) async fn navigate(&mut self, path: &str) -> TestResponse {
        checked(self.client.navigate(path)).await
    }

    /// Submits a form of the site.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> TestResponse {
        checked(self.client.post_form(path, fields.iter().copied())).await
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

    /// Sends a request with these headers and the cookies of the jar, and keeps those of the response.
    pub(crate) async fn send(&mut self, what: &str, headers: &[(&str, &str)]) -> TestResponse {
        checked(self.request(what, headers)).await
    }

    /// Sends a request whose response is lost.
    pub(crate) async fn send_only(&self, what: &str, headers: &[(&str, &str)]) -> TestResponse {
        checked(self.request(what, headers).lose_response()).await
    }

    /// Sends a request to an application that breaks the rules for responses on purpose.
    pub(crate) async fn send_unchecked(&mut self, what: &str) -> TestResponse {
        self.request(what, &[]).await.into()
    }

    /// A request without the headers of a browser, and with these ones.
    fn request(&self, what: &str, headers: &[(&str, &str)]) -> TestRequest<'_> {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let request = self.client.request(method, path).plain();
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// The `Cookie` header for any path.
    pub(crate) fn cookies(&self) -> String {
        self.client.cookie_header("/auth/refresh")
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.client.cookie(name)
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
        self.client.set_cookie(&format!("{name}={value}; Secure; Path=/"));
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.client.forget_cookie(name);
    }

    pub(crate) fn keep(&mut self, response: &TestResponse) {
        for line in response.set_cookies() {
            self.client.set_cookie(line);
        }
    }
}

async fn checked(request: TestRequest<'_>) -> TestResponse {
    let response = TestResponse::from(request.await);
    response.check();
    response
}
