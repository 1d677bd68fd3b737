//! The demo from outside: starts the program, which must be built before, and sends it requests over HTTP. Also the
//! small examples, which are compiled in. With the feature `redis`, as in the program, it needs a redis-server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]
#![cfg_attr(not(feature = "redis"), allow(dead_code, reason = "the tests on Redis need more of the helpers"))]

mod access;
mod browser;
#[cfg(all(feature = "redis", feature = "test-util"))]
mod examples;
#[cfg(feature = "redis")]
mod live;
#[cfg(feature = "redis")]
mod nodes;
mod process;
#[cfg(all(feature = "redis", feature = "test-util"))]
mod provider;
mod sessions;
mod startup;
mod users;

#[path = "../support/program.rs"]
mod program;
#[cfg(feature = "redis")]
#[path = "../support/redis_server.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod redis_server;
