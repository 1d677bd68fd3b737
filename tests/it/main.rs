//! Everything that is tested from outside, in one binary. Needs `--all-features` and a redis-server (6.2 or later).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]

#[path = "../support/owner.rs"]
mod owner;
#[path = "../support/patient.rs"]
mod patient;
mod store;
mod support;
