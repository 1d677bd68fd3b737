//! The targets, which the tests of the crate run as well, each on a fixed number of inputs.

#[path = "../tests/fuzzing/cookie_header.rs"]
pub mod cookie_header;
#[path = "../tests/fuzzing/target.rs"]
mod target;
#[path = "../tests/fuzzing/token.rs"]
pub mod token;
