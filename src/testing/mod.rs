//! For tests of this crate, of applications and of stores written elsewhere (feature `test-util`).
//!
//! Handlers are tested with [`Session::for_test`](crate::Session::for_test), what depends on time with a [`TestClock`],
//! and stores with the [`conformance`] suite.
//!
//! ```
//! use std::time::Duration;
//! use tower_jwt_sessions::{
//!     KeyRing, MemoryStore, SessionManager, error::ErrorKind, testing::TestClock,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = TestClock::new();
//! let sessions = SessionManager::<()>::builder()
//!     .access_keys(KeyRing::hs256("only for tests, and long enough for it")?)
//!     .refresh_keys(KeyRing::hs256("another one, which is long enough as well")?)
//!     .issuer("https://app.test")
//!     .store(MemoryStore::with_clock(clock.clone()))
//!     .clock(clock.clone())
//!     .build()?;
//! let tokens = sessions.login("alice").tokens().await?;
//!
//! clock.advance(Duration::from_secs(8 * 24 * 60 * 60)); // no refresh for more than a week
//! let refreshed = sessions.refresh_with_token(tokens.refresh_token().expect("a login gives one")).await;
//! assert_eq!(refreshed.unwrap_err().kind(), ErrorKind::InvalidRefreshToken);
//! # Ok(())
//! # }
//! ```

mod clock;
pub mod conformance;

pub use self::clock::TestClock;
