//! For tests of this crate, of applications and of stores written elsewhere (feature `test-util`).
//!
//! | for | there is |
//! |---|---|
//! | a site, from requests to responses | [`TestClient`], a browser in front of any tower service |
//! | expiry | [`TestClock`]: pass clones of it to the manager and the store; the client takes that of the manager |
//! | outages, lost answers, slow steps | [`FaultyStore`], around the store |
//! | handlers by themselves | [`Session::for_test`](crate::Session::for_test) and [`TestSession`] |
//! | a store of your own | the [`conformance`] suite |
//!
//! # The tests of a site
//!
//! Login, expiry, outage, and a logout on another device:
//!
//! ```
//! # #[cfg(feature = "router")] {
//! use axum::{Router, routing::get};
//! use tower_jwt_sessions::{KeyRing, MemoryStore, Session, SessionManager, testing::*};
//!
//! async fn me(session: Session) -> String {
//!     session.user_id().to_string()
//! }
//!
//! fn site() -> (TestClock, FaultyStore<MemoryStore>, SessionManager, Router) {
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
//!     let app = Router::new()
//!         .route("/me", get(me))
//!         .nest("/auth", sessions.router())
//!         .layer(sessions.layer());
//!     (clock, store, sessions, app)
//! }
//!
//! // #[tokio::test]
//! async fn sessions_of_the_site() {
//!     let (clock, store, sessions, app) = site();
//!     let laptop = TestClient::new(app.clone()).log_in(&sessions, "alice").await;
//!     let phone = TestClient::new(app).log_in(&sessions, "alice").await;
//!     assert_eq!(laptop.get("/me").await.text(), "alice");
//!
//!     clock.advance(std::time::Duration::from_secs(2 * 60 * 60)); // the access token has expired
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
//!     laptop.post("/auth/logout-all").await.assert_status(200); // of the phone as well
//!     phone.get("/me").await.assert_status(401);
//! }
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(sessions_of_the_site());
//! # }
//! ```

mod client;
mod clock;
pub mod conformance;
mod faulty;
mod session;

pub use self::{
    client::{CookieJar, IgnoredCookie, KeptCookie, Place, TestClient, TestRequest, TestResponse},
    clock::TestClock,
    faulty::{Fault, FaultyStore, InjectedFault, StoreStep},
    session::TestSession,
};
