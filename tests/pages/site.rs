//! The site on a store and a clock of the test.

use std::net::SocketAddr;

use axum::{Router, extract::connect_info::MockConnectInfo};
use tower_jwt_sessions::{KeyRing, testing::TestClock};

use crate::{
    routes, sessions,
    support::{ACCESS_SECRET, Backend, Browser, REFRESH_SECRET, TestResponse, TestStore},
    users::Users,
};

pub(crate) struct Site {
    pub(crate) clock: TestClock,
    pub(crate) store: TestStore,
    pub(crate) app: Router,
}

impl Site {
    pub(crate) async fn new(backend: Backend) -> Self {
        let clock = TestClock::new();
        let store = TestStore::open(backend, &clock).await;
        let users = Users::open().await.expect("a database in memory");
        let sessions = sessions::builder(users.clone())
            .access_keys(KeyRing::hs256(ACCESS_SECRET).expect("a long secret"))
            .refresh_keys(KeyRing::hs256(REFRESH_SECRET).expect("a long secret"))
            .store(store.clone())
            .clock(clock.clone())
            .build()
            .expect("a configuration that works");
        sessions.revocation_feed().caught_up().await;
        let address = MockConnectInfo(SocketAddr::from(([192, 0, 2, 1], 50_000)));
        let app = routes::router(sessions, users).layer(address);
        Self { clock, store, app }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.app, &self.clock)
    }

    /// A browser whose user has logged in.
    pub(crate) async fn logged_in(&self, user: &str, remember: bool) -> Browser {
        let password = if user == "alice" { "wonderland" } else { "builder" };
        let mut browser = self.browser();
        let mut fields = vec![("username", user), ("password", password), ("next", "/dashboard")];
        if remember {
            fields.push(("remember", "on"));
        }
        browser.submit("/login", &fields).await.leads_to("/dashboard");
        browser
    }
}

impl TestResponse {
    /// Asserts a redirect after a form or to the login.
    #[track_caller]
    pub(crate) fn leads_to(&self, place: &str) -> &Self {
        self.is(303);
        assert_eq!(self.header("location"), place);
        self
    }

    /// Asserts a page that has this text.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        self.is(200);
        assert!(self.body.contains(text), "no {text:?} in {}", self.body);
        self
    }

    /// Asserts a page of the site, not of the library, that has this text.
    #[track_caller]
    pub(crate) fn is_page(&self, text: &str) -> &Self {
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        assert!(self.body.contains("/style.css") && self.body.contains(text), "no {text:?} in {}", self.body);
        self
    }

    /// The session id of another device in the list of devices.
    #[track_caller]
    pub(crate) fn other_device(&self) -> String {
        let form = self.shows("(this device)").body.split(r#"action="/devices/"#).nth(1).expect("another device");
        form.split('/').next().expect("an id").to_owned()
    }
}
