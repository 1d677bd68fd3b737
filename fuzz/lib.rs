//! The targets, which the tests of the crate run as well, each on a fixed number of inputs.

#[path = "../tests/api/fuzzing/cookie_header.rs"]
mod cookie_header;
#[path = "../tests/api/fuzzing/target.rs"]
mod target;
#[path = "../tests/api/fuzzing/token.rs"]
mod token;

/// Panics when the verifier and a plain reading of this token disagree.
pub fn check_token(input: &[u8]) {
    (token::TARGET.check)(input);
}

/// Panics when the verifier and a plain reading of these `Cookie` lines disagree.
pub fn check_cookie_header(input: &[u8]) {
    (cookie_header::TARGET.check)(input);
}

/// What a target begins with.
pub struct Beginning {
    pub target: &'static str,
    pub seeds: Vec<Vec<u8>>,
    pub words: Vec<Vec<u8>>,
}

pub fn beginnings() -> [Beginning; 2] {
    [("token", token::TARGET), ("cookie_header", cookie_header::TARGET)].map(|(target, with)| Beginning {
        target,
        seeds: (with.seeds)(),
        words: (with.words)(),
    })
}
