//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod cookie_header;
mod fixation;
mod forgery;
mod layer;
mod life;
mod outage;
mod problems;
mod rotation;
mod routes;
mod support;
mod until_confirmed;
