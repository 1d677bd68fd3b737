//! From the headers of a request to a session: verifier, layer and extractors.
//!
//! [`SessionLayer`] verifies the access token of every request without I/O and leaves the outcome in the extensions of
//! the request. What a handler asks for decides what happens without a session:
//!
//! | extractor | without a session |
//! |---|---|
//! | [`Session<C>`](Session) | the request is rejected with `401`, or `503` if it cannot be verified now |
//! | `Option<Session<C>>` | `None` |
//! | `Result<Session<C>, SessionRejection>` | the reason |
//! | [`StoreChecked<Session<C>>`](StoreChecked) | as for `Session<C>`, and the store is asked whether the session lives |
//! | [`PresentedTokens<C>`](PresentedTokens) | never rejected: what the request presents, for login, refresh and logout |
//!
//! [`guard`](crate::guard) has layers that reject requests for whole routers.
//!
//! With a [`login_url`](crate::manager::SessionManagerBuilder::login_url), browsers that ask for a page go to the login in
//! place of the `401`.
//!
//! Without axum, read `Session<C>` from the extensions, or call [`Verifier::verify`].
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_jwt_sessions::{Session, SessionManager, StoreChecked};
//!
//! async fn home(session: Option<Session>) -> String {
//!     session.map_or("Please log in.".to_owned(), |session| format!("Hello {}.", session.user_id()))
//! }
//!
//! async fn settings(session: Session) -> String {
//!     format!("Settings of {}", session.user_id())
//! }
//!
//! /// One read of the store, for what must not happen after a logout.
//! async fn transfer(session: StoreChecked<Session>) -> String {
//!     format!("{} transferred it", session.user_id())
//! }
//!
//! fn app(sessions: &SessionManager) -> Router {
//!     Router::new()
//!         .route("/", get(home))
//!         .route("/settings", get(settings))
//!         .route("/transfer", get(transfer))
//!         .layer(sessions.layer())
//! }
//! # let _ = app;
//! ```

mod builder;
mod context;
mod error;
mod extract;
mod inner;
mod layer;
mod options;
mod outcome;
mod require;
mod session;
#[cfg(test)]
mod tests;
mod verifier;

#[cfg(feature = "router")]
pub(crate) use self::outcome::insert as insert_outcome;
pub use self::{
    builder::VerifierBuilder,
    error::VerifyError,
    extract::{SessionRejection, SessionRejectionKind, StoreChecked},
    layer::{ResponseFuture, SessionLayer, SessionService},
    session::{PresentedTokens, Session},
    verifier::Verifier,
};
pub(crate) use self::{
    context::{ClientIp, RequestContext},
    inner::VerifierInner,
    options::{CommonOptions, ValidOptions, required},
};
