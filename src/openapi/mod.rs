//! The companion routes, the problem documents and the cookies in the OpenAPI document of an application, with [utoipa].
//! Needs the feature `utoipa`.
//!
//! [`SessionManager::openapi`] describes the routers of one manager as it is configured: the names of its cookies,
//! whether it accepts Bearer tokens, whether the application renders errors itself. Nest the descriptions as the routers,
//! also that of [`client_router`](SessionsApi::client_router) where pages use the browser module:
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_jwt_sessions::{Session, SessionManager, openapi::SessionProblems};
//! use utoipa::OpenApi;
//!
//! /// The security scheme is named in `security`, and `SessionProblems` are the errors of the extractor `Session`.
//! #[utoipa::path(
//!     get,
//!     path = "/me",
//!     security(("session_cookie" = [])),
//!     responses((status = 200, description = "The user.", body = String), SessionProblems),
//! )]
//! async fn me(session: Session) -> String {
//!     session.user_id().to_string()
//! }
//!
//! #[derive(OpenApi)]
//! #[openapi(paths(me))]
//! struct Api;
//!
//! fn app(sessions: &SessionManager) -> (Router, utoipa::openapi::OpenApi) {
//!     let api = Api::openapi()
//!         .nest("/auth", sessions.openapi().router())
//!         .nest("/oauth", sessions.openapi().token_router());
//!     let app = Router::new()
//!         .route("/me", get(me))
//!         .nest("/auth", sessions.router())
//!         .nest("/oauth", sessions.token_router())
//!         .layer(sessions.layer());
//!     (app, api)
//! }
//! # let _ = app;
//! ```
//!
//! # Names in the document
//!
//! | kind | names |
//! |---|---|
//! | security schemes | `session_cookie`, `session_refresh_cookie`, and `session_bearer` if Bearer tokens are accepted |
//! | operation ids | `session_refresh`, `session_logout` and so on |
//! | tag | `session` |
//! | schemas | `SessionProblem`, `SessionList` and others that begin with `Session` |
//!
//! With two managers in one application, give one of them [another name](SessionsApi::named) in place of `session`.
//!
//! [utoipa]: https://docs.rs/utoipa
//! [`SessionManager::openapi`]: crate::SessionManager::openapi

mod api;
mod components;
mod operations;
mod problems;
mod security;

pub use self::{
    api::SessionsApi,
    problems::{GuardProblems, LoginProblems, SessionProblems},
};
