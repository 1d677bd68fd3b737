//! The two cookies: configuration, reading and writing.

mod config;
mod key;
mod read;
mod set_cookie;
mod settings;
mod warn_once;

pub use self::{
    config::{CookieConfig, CookiePrefix, SameSite, SiteData},
    set_cookie::SessionCookies,
};
#[cfg(feature = "router")]
pub(crate) use self::{read::each as each_cookie, set_cookie::sets_secure_cookies};
pub(crate) use self::{
    read::{Presence, RawTokens, TokenCookie, all_values},
    set_cookie::{IssueCookieError, assert_cookies, forbid_storage},
    settings::CookieSettings,
    warn_once::WarnOnce,
};
