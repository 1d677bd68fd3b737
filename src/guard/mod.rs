//! Guards for whole routers: who may pass, and how recent the login must be.
//!
//! The session layer never rejects. A guard inside of it does, for every route of a router, so that none is forgotten:
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::{get, post}};
//! use serde::{Deserialize, Serialize};
//! use tower_jwt_sessions::{
//!     Session, SessionManager,
//!     guard::{require, require_recent_login},
//! };
//!
//! #[derive(Serialize, Deserialize)]
//! struct Claims {
//!     role: String,
//! }
//!
//! fn is_admin(session: &Session<Claims>) -> bool {
//!     session.claims().role == "admin"
//! }
//!
//! async fn users() { /* … */ }
//! async fn set_role() { /* … */ }
//!
//! fn app(sessions: &SessionManager<Claims>) -> Router {
//!     let recent = require_recent_login::<Claims>(Duration::from_secs(10 * 60));
//!     let admin = Router::new()
//!         .route("/users", get(users))
//!         .route("/users/{name}/role", post(set_role).layer(recent))
//!         .layer(require(is_admin));
//!     Router::new().nest("/admin", admin).layer(sessions.layer())
//! }
//! # let _ = app;
//! ```
//!
//! The same inside a handler, where the decision depends on more than the session:
//!
//! ```
//! # use std::time::Duration;
//! use axum::extract::Path;
//! use tower_jwt_sessions::{Session, auth::SessionRejection};
//!
//! async fn delete_account(session: Session, Path(name): Path<String>) -> Result<(), SessionRejection> {
//!     session.require(|session| session.user_id().as_str() == name)?;
//!     session.require_recent_login(Duration::from_secs(5 * 60))?;
//!     Ok(())
//! }
//! # let _ = delete_account;
//! ```
//!
//! | request | response | code |
//! |---|---|---|
//! | has no session | as from the extractor [`Session`] | |
//! | the condition of [`require`] does not hold | 403, with the challenge of RFC 6750, section 3.1 | `insufficient_scope` |
//! | the session is not bound to a device, as [`require_device_binding`] demands | 403 | `device_binding_required` |
//! | the login is older than [`require_recent_login`] allows | 401, with the challenge of RFC 9470 and its `max_age` | `insufficient_user_authentication` |
//!
//! All of them are a [`SessionRejection`](crate::auth::SessionRejection). Where there is a
//! [`login_url`](crate::manager::SessionManagerBuilder::login_url), a `401` to a page leads to the login; inside a handler
//! that takes [`for_request`](crate::auth::SessionRejection::for_request). A guard decides by the claims of the access
//! token; [`expire_access`](crate::SessionManager::expire_access) makes a changed role count at the next request.

mod layer;
mod requirement;

use std::time::Duration;

pub use self::{
    layer::{RequireFuture, RequireLayer, RequireService},
    requirement::{BoundDevice, Condition, RecentLogin, Requirement},
};
use crate::auth::Session;

/// Returns a layer that lets requests pass whose session meets a condition, and rejects others with `403`
/// `insufficient_scope`, and with `401` where there is no session.
///
/// Add it to a router or a route that the [session layer](crate::SessionManager::layer) for the same claims surrounds.
/// The closure runs in each request; it cannot wait, since all it needs is in the session.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_jwt_sessions::{Session, guard::require};
///
/// fn staff<S: Clone + Send + Sync + 'static>(pages: Router<S>) -> Router<S> {
///     pages.layer(require(|session: &Session<Vec<String>>| session.claims().iter().any(|role| role == "staff")))
/// }
/// # let _: Router = staff(Router::new().route("/", get(async || ())));
/// ```
pub const fn require<C, F>(condition: F) -> RequireLayer<C, Condition<F>>
where
    F: Fn(&Session<C>) -> bool + Clone + Send + Sync + 'static,
{
    RequireLayer::new(Condition::new(condition))
}

/// Returns a layer that lets requests pass whose user logged in at most `max_age` ago, and rejects others with `401`
/// `insufficient_user_authentication`: the client should ask for the password again, and log in anew (OWASP ASVS 5.0,
/// 7.5.3). A refresh does not count as a login, and neither does [acting](crate::manager::Login::acting) as the user: such
/// a session is rejected with `403` `insufficient_scope`.
///
/// The age is that of [`Session::auth_time`], which has whole seconds, by the clock of the verifier. Clocks of nodes may
/// differ by a minute, so allow several.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::post};
/// use tower_jwt_sessions::guard::require_recent_login;
///
/// async fn change_password() { /* … */ }
///
/// let recent = require_recent_login::<()>(Duration::from_secs(10 * 60));
/// let routes: Router = Router::new().route("/password", post(change_password).layer(recent));
/// # let _ = routes;
/// ```
pub const fn require_recent_login<C>(max_age: Duration) -> RequireLayer<C, RecentLogin> {
    RequireLayer::new(RecentLogin::new(max_age))
}

/// Returns a layer that lets requests pass whose session is bound to its device ([`Session::is_bound`]), and rejects
/// others with `403` `device_binding_required`.
///
/// Browsers that do not know Device Bound Session Credentials never pass, and those that do only some seconds after a
/// login: use it where all users have such a browser, or where there is another way.
///
/// ```
/// use axum::{Router, routing::post};
/// use tower_jwt_sessions::guard::require_device_binding;
///
/// async fn transfer() { /* … */ }
///
/// let routes: Router = Router::new().route("/transfer", post(transfer).layer(require_device_binding::<()>()));
/// # let _ = routes;
/// ```
pub const fn require_device_binding<C>() -> RequireLayer<C, BoundDevice> {
    RequireLayer::new(BoundDevice::new())
}
