//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod life;
mod rotation;
mod routes;
mod support;
mod until_confirmed;
