//! Several nodes on one store: what one ends, every other refuses.

#[path = "../support/browser.rs"]
mod browser;
mod burst;
mod clocks;
mod crashes;
mod disagreement;
mod end_elsewhere;
#[path = "../support/log.rs"]
mod log;
#[cfg(feature = "metrics")]
mod meter;
mod outages;
#[path = "../support/owner.rs"]
mod owner;
#[path = "../support/patient.rs"]
mod patient;
#[path = "../it/support/redis_server.rs"]
#[allow(dead_code, reason = "shared with other tests, which use all of it")]
mod redis_server;
mod restored;
mod silence;
mod support;
mod unfinished;
mod unreadable;
