//! The demo and the examples `server_rendered` and `spa` in Chromium, which chromedriver drives: what browsers do with
//! cookies, tabs, other sites and connections, which no client that imitates one shows. Starts the programs, which must
//! be built before, Chromium, nginx and a redis-server. `spa` is compiled in.
//!
//! `CHROMEDRIVER_BIN`, `CHROMIUM_BIN` and `NGINX_BIN` name other binaries; `BROWSER_REFRESHES` is the number of refreshes
//! of [`refreshes`] in each tab.
//!
//! Firefox is not driven: Debian has no package of its driver, and the tests use commands of Chromium's DevTools.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]

mod accessibility;
mod behind_nginx;
mod chromium;
mod cookies;
#[cfg(all(feature = "dbsc", feature = "test-util"))]
mod dbsc;
mod demo;
mod driver;
mod ended;
mod module;
mod nginx;
mod odd_answers;
mod other_sites;
mod outages;
mod page;
mod proxy;
mod refreshes;
mod server_rendered;
mod spa;

#[cfg(all(feature = "dbsc", feature = "test-util"))]
#[path = "../../examples/demo/tls.rs"]
mod tls;

#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/program.rs"]
#[allow(dead_code, reason = "the tests of the demo need more of it")]
mod program;
#[path = "../support/redis_server.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod redis_server;
