//! For tests of applications, and of stores written elsewhere (feature `test-util`).
//!
//! | to test | there is |
//! |---|---|
//! | what a user sees, from request to response | [`TestClient`], a browser in front of any tower service |
//! | what happens after an hour, or a week | [`TestClock`], in the manager, the store and the client |
//! | what happens without the store | [`FaultyStore`], around the store |
//! | a handler by itself | [`Session::for_test`](crate::Session::for_test), or [`TestSession`] for any other session |
//! | a store of your own | the [`conformance`] suite |
//!
//! Nothing here waits for time to pass. Add it with
//! `cargo add --dev tower-jwt-sessions --features test-util`.
//!
//! # The tests of a site
//!
//! This site makes its routes in a function `app(sessions)`: `/login` takes a form, `/me` says which user is logged in,
//! and the companion routes are below `/auth`. So its tests can pass it a manager on a clock and a store of their own.
//! They log in, let the access token expire, take the store away, and log out on another device:
//!
//! ```
//! # #[cfg(feature = "router")] {
//! # // Runs the test, which a doc test would leave out.
//! # mod tokio { pub use ::tokio::{main as test, runtime}; }
//! use tower_jwt_sessions::{KeyRing, MemoryStore, SessionManager, testing::*};
//!
//! #[tokio::test]
//! async fn user_is_logged_in_until_the_logout() {
//!     let clock = TestClock::new();
//!     let store = FaultyStore::new(MemoryStore::with_clock(clock.clone()));
//!     let sessions = SessionManager::builder()
//!         .access_keys(KeyRing::hs256("only for tests, and long enough for it").unwrap())
//!         .refresh_keys(KeyRing::hs256("another one, which is long enough too").unwrap())
//!         .issuer("https://app.example")
//!         .store(store.clone())
//!         .clock(clock.clone())
//!         .build()
//!         .unwrap();
//!     let app = app(sessions.clone());
//!
//!     let laptop = TestClient::new(app.clone()).clock(clock.clone());
//!     laptop.get("/me").await.assert_status(401);
//!     laptop.post_form("/login", [("user", "alice")]).await.assert_status(200);
//!     assert_eq!(laptop.get("/me").await.text(), "alice");
//!     let phone = TestClient::new(app).log_in(&sessions, "alice").await; // without a form
//!
//!     clock.advance(std::time::Duration::from_secs(2 * 60 * 60)); // two hours later
//!     laptop.get("/me").await.assert_status(401);
//!     laptop.post("/auth/refresh").await.assert_status(200);
//!     laptop.get("/me").await.assert_status(200);
//!
//!     store.fail(); // an outage is no logout
//!     laptop.get("/me").await.assert_status(200);
//!     phone.post("/auth/refresh").await.assert_status(503);
//!     store.recover();
//!     phone.post("/auth/refresh").await.assert_status(200);
//!
//!     laptop.post("/auth/logout-all").await.assert_status(200); // also on the phone
//!     phone.get("/me").await.assert_status(401);
//! }
//! # fn app(sessions: SessionManager) -> axum::Router {
//! #     use std::collections::HashMap;
//! #
//! #     use axum::{
//! #         Form, Router,
//! #         extract::State,
//! #         routing::{get, post},
//! #     };
//! #     use tower_jwt_sessions::{Error, Session, SessionCookies};
//! #
//! #     async fn login(
//! #         State(sessions): State<SessionManager>,
//! #         Form(form): Form<HashMap<String, String>>,
//! #     ) -> Result<SessionCookies, Error> {
//! #         sessions.login(&form["user"]).await
//! #     }
//! #
//! #     Router::new()
//! #         .route("/login", post(login))
//! #         .route("/me", get(async |session: Session| session.user_id().to_string()))
//! #         .nest("/auth", sessions.router())
//! #         .layer(sessions.layer())
//! #         .with_state(sessions)
//! # }
//! # user_is_logged_in_until_the_logout();
//! # }
//! ```
//!
//! The guide [`testing`](crate::guides::testing) has the tests of a site with pages and forms.

mod client;
mod clock;
pub mod conformance;
#[cfg(feature = "dbsc")]
mod device;
mod faulty;
mod session;

#[cfg(feature = "dbsc")]
pub use self::device::DeviceProof;
pub use self::{
    client::{KeptCookie, TestClient, TestRequest, TestResponse},
    clock::TestClock,
    faulty::{Fault, FaultyStore, InjectedFault, StoreStep},
    session::TestSession,
};
