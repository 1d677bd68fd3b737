//! The two cookies: how they are configured, read and written.

mod config;
mod read;
mod write;

#[cfg(feature = "router")]
pub(crate) use self::read::each as each_cookie;
pub(crate) use self::{
    config::CookiePlan,
    read::{Presence, RawTokens, TokenCookie, all_values},
    write::{IssueCookieError, assert_cookies, keep_private},
};
pub use self::{
    config::{CookieConfig, CookiePrefix, SiteData},
    write::SessionCookies,
};
pub use tower_cookies::cookie::SameSite;
