//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod attacks;
mod audit;
mod bearer;
mod claims;
mod clear_site_data;
mod client;
mod config;
mod cookie_configs;
mod cookie_header;
mod cross_site;
mod data;
#[cfg(feature = "dbsc")]
mod dbsc;
mod fixation;
mod forbidden;
mod forgery;
mod former_cookies;
mod fuzzing;
mod guards;
mod keys;
mod kit;
mod late_redis;
mod layer;
mod life;
mod limit;
mod login_races;
mod lost_epochs;
mod managers;
mod many_tokens;
mod misuses;
mod native;
mod nodes;
mod old_tokens;
#[cfg(all(feature = "dbsc", feature = "utoipa"))]
mod openapi;
mod origin;
mod origin_spelling;
mod outage;
mod pace;
mod pages;
mod passed;
mod per_login;
mod plain_http;
mod populations;
mod problems;
mod promises;
mod renewal;
mod rfc9068;
mod rotation;
mod routes;
mod secrecy;
mod set_back;
mod set_cookie;
mod site;
mod unfinished;
mod until_confirmed;

#[path = "../support/mod.rs"]
mod support;
