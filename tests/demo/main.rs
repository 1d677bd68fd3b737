//! The demo from outside: starts the program that `cargo test` built beside this one, and talks to it over HTTP.
//! Needs a redis-server, like the other tests.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]

mod access;
mod browser;
mod live;
mod nodes;
mod process;
mod sessions;
mod startup;
mod users;

#[path = "../it/support/redis_server.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod redis_server;
