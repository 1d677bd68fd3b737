#![cfg_attr(docsrs, feature(doc_cfg))]
//! stub
mod clock;
mod error;
mod id;
mod policy;
#[cfg(feature = "redis")]
pub mod redis;
pub mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;

pub use self::{
    clock::{Clock, SystemClock, Timestamp},
    error::ConfigError,
    id::{InvalidSessionId, InvalidUserId, SessionId, UserId},
    policy::{MAX_CLOCK_SKEW, ReplayWindow, SessionLimit, WhenFull},
    store::MemoryStore,
};
