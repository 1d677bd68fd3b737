#![cfg_attr(docsrs, feature(doc_cfg))]
// Its programs need the router.
#![cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../README.md"))]
// Nothing that a request contains may end the process. Tests, examples and the suite for stores may.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod auth;
mod claims;
mod clock;
mod cookie;
mod credentials;
mod error;
mod event;
mod health;
mod id;
mod keys;
mod manager;
/// How the crate works and why: architecture, protocol, wire formats, decisions.
///
/// Where to go from here: [`SessionRecord::rotate`](store::SessionRecord::rotate) has the rotation table,
/// [`SessionStore`](store::SessionStore) the contract of a store, [`operations`] what a node logs and counts, and
/// [`security`] the threat model.
#[doc = include_str!("../docs/design.md")]
pub mod design {}
/// For whoever is on call: what is logged and counted, what to do about it, and what to do when Redis is away.
#[doc = include_str!("../docs/operations.md")]
pub mod operations {}
#[cfg(feature = "router")]
pub mod csrf;
mod policy;
mod problem;
#[cfg(feature = "redis")]
pub mod redis;
mod revocation;
#[cfg(feature = "router")]
mod routes;
/// What is protected, against whom, and what stays yours. The tests of each requirement: [`requirements`](security::requirements).
#[doc = include_str!("../docs/security.md")]
pub mod security {
    #[doc = include_str!("../docs/requirements.md")]
    pub mod requirements {}
}
mod jwt;
pub mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod token_response;

#[cfg(feature = "router")]
pub use self::csrf::{CrossSiteGuard, UpgradeGuard};
pub use self::{
    auth::{
        PresentedTokens, ResponseFuture, Session, SessionLayer, SessionRejection, SessionRejectionKind, SessionService,
        StoreChecked, Verifier, VerifierBuilder, VerifyError,
    },
    claims::Claims,
    clock::{Clock, SystemClock, Timestamp},
    cookie::{CookieConfig, CookiePrefix, SameSite, SessionCookies, SiteData},
    error::{ConfigError, ConfigErrorKind, Error, ErrorKind},
    event::{EndReason, RefreshKind, SessionEvent, SessionEventKind},
    id::{InvalidSessionId, InvalidUserId, SessionId, UserId},
    keys::{KeyRing, SigningKey, VerificationKey, VerificationKeys},
    manager::{ClaimsSource, Login, ProofStart, SessionInfo, SessionManager, SessionManagerBuilder, Versioned},
    policy::{AssuranceLevel, MAX_CLOCK_SKEW, ReplayWindow, SessionLimit, WhenFull},
    problem::Problem,
    revocation::{Ended, FeedStatus, RevocationFeed, StalePolicy},
    store::MemoryStore,
    token_response::SessionTokens,
};
