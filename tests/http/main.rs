//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod attacks;
mod bearer;
mod clear_site_data;
mod cookie_configs;
mod cookie_header;
mod cross_site;
mod data;
mod fixation;
mod forbidden;
mod forgery;
mod former_cookies;
mod late_redis;
mod layer;
mod life;
mod limit;
#[path = "../support/log.rs"]
mod log;
mod managers;
mod many_tokens;
mod native;
mod nodes;
mod old_tokens;
mod origin;
mod origin_spelling;
mod outage;
mod passed;
mod plain_http;
mod populations;
mod problems;
mod promises;
mod rotation;
mod routes;
mod secrecy;
mod set_cookie;
mod support;
mod until_confirmed;
