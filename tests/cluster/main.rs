//! Redis Cluster: sessions and log on different servers. Needs a redis-server (6.2 or later).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "to panic is how a test fails")]

#[path = "../support/browser.rs"]
mod browser;
mod conformance;
mod crashes;
#[path = "../it/support/folder.rs"]
mod folder;
mod late;
mod nodes;
mod outages;
#[path = "../support/owner.rs"]
mod owner;
#[path = "../support/patient.rs"]
mod patient;
mod random;
#[path = "../it/support/redis_server.rs"]
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
mod redis_server;
mod scene;
mod servers;
mod slots;
#[path = "../nodes/support.rs"]
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
mod support;
