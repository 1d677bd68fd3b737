//! For tests of this crate, of applications and of stores written elsewhere (feature `test-util`).

mod clock;
pub mod conformance;

pub use self::clock::TestClock;
