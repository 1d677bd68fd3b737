//! The crate as its users see it: requests in, responses out, on every store, with a clock that the tests hold.

mod life;
mod support;
