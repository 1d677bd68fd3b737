//! The two cookies: configuration and writing.

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
