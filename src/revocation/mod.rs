//! What a node knows of ended sessions, and how it learns of them.
//!
//! Each node follows the revocation log of the store. [`RevocationFeed`] tells whether it is up to date,
//! [`StalePolicy`] decides what is served while it is not, and [`Ended`] and [`Changed`] resolve when a session ends
//! or needs new claims, for connections that stay open.
//!
//! ```
//! use axum::http::StatusCode;
//! use tower_jwt_sessions::{SessionManager, revocation::FeedStatus};
//!
//! /// For the readiness probe. Liveness must not depend on the store.
//! async fn ready(sessions: SessionManager) -> StatusCode {
//!     match sessions.revocation_feed().status() {
//!         FeedStatus::CatchingUp => StatusCode::SERVICE_UNAVAILABLE,
//!         // `Stale` too: the node serves what it can.
//!         _ => StatusCode::OK,
//!     }
//! }
//! # let _ = ready;
//! ```

mod backend;
mod changed;
mod clocks;
mod ended;
mod ender;
mod feed;
mod first_uses;
mod follower;
mod losses;
mod node;
mod revocations;
mod skipped;
mod table;
#[cfg(test)]
mod tests;
mod unfinished;
mod waiters;
mod waiting;

pub(crate) use self::{
    backend::{BackendConfig, SessionBackend},
    ender::{EndTarget, SessionEnder},
    revocations::{Revocations, Revoked},
};
pub use self::{
    changed::Changed,
    ended::Ended,
    feed::{FeedStatus, RevocationFeed, StalePolicy},
    waiting::SessionChange,
};
