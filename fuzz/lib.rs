//! The targets. The tests of the crate also run them, with a fixed number of inputs.

#[path = "../tests/api/fuzzing/cookie_header.rs"]
mod cookie_header;
#[path = "../tests/api/fuzzing/members.rs"]
mod members;
#[path = "../tests/api/fuzzing/proof.rs"]
mod proof;
#[path = "../tests/api/fuzzing/target.rs"]
mod target;
#[path = "../tests/api/fuzzing/token.rs"]
mod token;

// As it is called in the tests of the crate.
use crate as fuzzing;

/// Panics if the verifier and a simple parser disagree about this token.
pub fn check_token(input: &[u8]) {
    (token::TARGET.check)(input);
}

/// Panics if the verifier and a simple parser disagree about these `Cookie` lines.
pub fn check_cookie_header(input: &[u8]) {
    (cookie_header::TARGET.check)(input);
}

/// Panics if the reader of proofs and a simple parser disagree about this one.
pub fn check_proof(input: &[u8]) {
    (proof::TARGET.check)(input);
}

/// The initial corpus of a target.
pub struct Beginning {
    pub target: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub words: Vec<Vec<u8>>,
}

pub fn beginnings() -> [Beginning; 3] {
    [("token", token::TARGET), ("cookie_header", cookie_header::TARGET), ("proof", proof::TARGET)]
        .map(|(target, with)| Beginning { target, seeds: (with.seeds)(), words: (with.words)() })
}
