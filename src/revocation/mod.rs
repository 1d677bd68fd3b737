//! What a node knows of ended sessions: the list that requests are checked against, the log that other nodes write to,
//! and ends that the store has not carried out yet.

mod backend;
mod ended;
mod ender;
mod feed;
mod first_uses;
mod follower;
mod list;
mod node;
mod revocations;
mod skipped;
#[cfg(test)]
mod tests;
mod unfinished;
mod waiters;

pub(crate) use self::{
    backend::{BackendConfig, SessionBackend},
    ender::SessionEnder,
    list::Revoked,
    revocations::Revocations,
};
pub use self::{
    ended::Ended,
    feed::{FeedStatus, RevocationFeed, StalePolicy},
};
