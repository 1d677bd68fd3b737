//! The two cookies: how they are configured, read and written.

mod config;
mod key;
mod once;
mod read;
mod write;

pub(crate) use self::{
    config::CookiePlan,
    once::Once,
    read::{Presence, RawTokens, TokenCookie, all_values},
    write::{IssueCookieError, assert_cookies, keep_private},
};
pub use self::{
    config::{CookieConfig, CookiePrefix, SiteData},
    write::SessionCookies,
};
#[cfg(feature = "router")]
pub(crate) use self::{read::each as each_cookie, write::sets_secure_cookies};
pub use tower_cookies::cookie::SameSite;
