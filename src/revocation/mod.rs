//! What a node knows of ended sessions: the list that requests are checked against, the log that other nodes write to,
//! and ends that the store has not carried out yet.

mod backend;
mod ended;
mod ender;
mod feed;
mod first_uses;
mod follower;
mod node;
mod revocations;
mod skipped;
mod table;
#[cfg(test)]
mod tests;
mod unfinished;
mod waiters;

pub(crate) use self::{
    backend::{BackendConfig, SessionBackend},
    ender::SessionEnder,
    revocations::{Revocations, Revoked},
};
pub use self::{
    ended::Ended,
    feed::{FeedStatus, RevocationFeed, StalePolicy},
};
