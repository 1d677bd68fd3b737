//! Sites with pages: what a browser shows, where the login is, and where it leads back to.
//!
//! With [`login_url`](crate::manager::SessionManagerBuilder::login_url), a page that needs a [`Session`](crate::Session)
//! sends browsers without one to the login, and [`NextPath`] brings them back to the page that they asked for:
//!
//! ```
//! use axum::{
//!     Form, Router,
//!     extract::State,
//!     response::{Html, IntoResponse, Response},
//!     routing::get,
//! };
//! use tower_jwt_sessions::{Error, PresentedTokens, Session, SessionManager, pages::NextPath};
//!
//! /// Anonymous visitors go to `/login?next=%2Fdashboard`.
//! async fn dashboard(session: Session) -> String {
//!     format!("Hello {}.", session.user_id())
//! }
//!
//! async fn login_page(next: NextPath) -> Html<String> {
//!     Html(format!(r#"<form method="post"><input name="username"><input type="hidden" name="next" value="{next}">"#))
//! }
//!
//! #[derive(serde::Deserialize)]
//! struct LoginForm {
//!     username: String,
//!     #[serde(default)]
//!     next: NextPath,
//! }
//!
//! async fn login(
//!     State(sessions): State<SessionManager>,
//!     presented: PresentedTokens,
//!     Form(form): Form<LoginForm>,
//! ) -> Result<Response, Error> {
//!     // … after checking the password
//!     let cookies = sessions.login(form.username).replacing(presented).await?;
//!     Ok((cookies, form.next.or("/dashboard")).into_response())
//! }
//!
//! # #[cfg(feature = "router")]
//! fn app(sessions: &SessionManager) -> Router {
//!     Router::new()
//!         .route("/dashboard", get(dashboard))
//!         .route("/login", get(login_page).post(login).layer(sessions.cross_site_guard()))
//!         .layer(sessions.layer())
//!         .with_state(sessions.clone())
//! }
//! # #[cfg(feature = "router")]
//! # let _ = app;
//! ```
//!
//! # What counts as a navigation
//!
//! A request is a navigation if the browser says so with `Sec-Fetch-Mode: navigate`. Where that header is missing, as on
//! plain http, one whose `Accept` names `text/html` is taken for one. All others, above all those of `fetch`, get the
//! status and a problem document. A navigation that fails shows a small page, or `application/json` if it does not
//! accept HTML.
//!
//! That is so for rejections of extractors and guards, for companion routes, and for what a handler returns as an
//! [`Error`](crate::Error) if its manager or its [`PresentedTokens`](crate::PresentedTokens) are extractors: see
//! [`SessionManager`](crate::SessionManager#within-a-request). Other errors need
//! [`Error::for_request`](crate::Error::for_request), which says why.

mod login_url;
mod navigation;
mod next_path;

#[cfg(feature = "router")]
pub(crate) use self::navigation::{accepts_html, is_form};
pub use self::next_path::NextPath;
pub(crate) use self::{
    login_url::LoginUrl,
    navigation::{Format, is_speculative},
    next_path::see_other,
};
