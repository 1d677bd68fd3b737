//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod cookie_header;
mod cross_site;
mod data;
mod fixation;
mod forgery;
mod layer;
mod life;
mod limit;
mod nodes;
mod outage;
mod passed;
mod problems;
mod rotation;
mod routes;
mod secrecy;
mod set_cookie;
mod support;
mod until_confirmed;
