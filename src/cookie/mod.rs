//! The two cookies: names, attributes, and writing them into a response.
//!
//! The defaults fit an application on one host. Other settings belong to a [`CookieConfig`], which is validated when
//! the manager is built. Login, refresh and logout return [`SessionCookies`], which a handler returns as part of its
//! response:
//!
//! ```
//! use tower_jwt_sessions::{
//!     Error, PresentedTokens, SessionCookies, SessionManager,
//!     cookie::{CookieConfig, SameSite},
//! };
//!
//! // For app.example.com and api.example.com; users who follow a link from another site arrive logged in.
//! let cookies = CookieConfig::new().domain("example.com").same_site(SameSite::Lax);
//! let builder = SessionManager::<()>::builder().cookies(cookies);
//! # let _ = builder;
//!
//! async fn logout(sessions: SessionManager, presented: PresentedTokens) -> Result<SessionCookies, Error> {
//!     sessions.logout(&presented).await
//! }
//! # let _ = logout;
//! ```

mod config;
mod key;
mod set_cookie;
mod settings;
mod warn_once;

#[cfg(feature = "router")]
pub(crate) use self::set_cookie::sets_secure_cookies;
pub use self::{
    config::{CookieConfig, CookiePrefix, SameSite, SiteData},
    set_cookie::SessionCookies,
};
pub(crate) use self::{
    set_cookie::{IssueCookieError, assert_cookies, forbid_storage},
    settings::{CookieSettings, TokenCookie},
    warn_once::WarnOnce,
};
