#![cfg_attr(docsrs, feature(doc_cfg))]
// On docs.rs the links of the README lead to this version: the first definition counts.
//! [first session]: crate::guides::first_session
//! [server-rendered site]: crate::guides::server_rendered
//! [single-page application]: crate::guides::single_page
//! [native client]: crate::guides::native_client
//! [OpenID Connect]: crate::guides::openid_connect
//! [roles and step-up]: crate::guides::roles_and_step_up
//! [devices page]: crate::guides::devices_page
//! [password and account]: crate::guides::password_and_account
//! [several populations]: crate::guides::several_populations
//! [going to production]: crate::guides::production
//! [key rotation]: crate::guides::key_rotation
//! [testing]: crate::guides::testing
//! [own store]: crate::guides::own_store
//! [from hand-written JWTs]: crate::guides::migrating_from_jsonwebtoken
//! [from tower-sessions]: crate::guides::migrating_from_tower_sessions
//! [from axum-login]: crate::guides::migrating_from_axum_login
//! [from Express]: crate::guides::migrating_from_express
//! [examples]: crate::guides#examples
//! [guides]: crate::guides
//! [diagrams]: crate::guides#what-happens-in-a-request
//! [design page]: crate::design
//! [security page]: crate::security
//! [operations page]: crate::operations
//! [tokens page]: crate::access_tokens
//! [clients page]: crate::http_clients
//! [proxy page]: crate::behind_a_proxy
//!
// The programs of the README need the feature `router`.
#![cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../README.md"))]
// No request may cause a panic. Tests, examples and the conformance suite may panic.
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod auth;
mod claims;
pub mod clock;
pub mod cookie;
mod credentials;
#[cfg(feature = "router")]
pub mod csrf;
#[cfg(feature = "dbsc")]
pub mod dbsc;
pub mod error;
pub mod event;
pub mod guard;
pub mod guides;
mod health;
mod id;
mod jwt;
pub mod keys;
mod log_lines;
pub mod manager;
mod measure;
#[cfg(feature = "utoipa")]
pub mod openapi;
pub mod pages;
pub mod policy;
mod problem;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "router")]
pub mod renewal;
pub mod revocation;
#[cfg(feature = "router")]
mod routes;
pub mod store;
#[cfg(any(test, feature = "test-util"))]
pub mod testing;
mod token_response;

/// How the crate works and why: architecture, protocol, wire formats, decisions.
///
/// Where to go from here: [`SessionRecord::rotate`](store::SessionRecord::rotate) has the rotation table,
/// [`SessionStore`](store::SessionStore) the contract of a store, [`operations`] what a node logs and counts, and
/// [`security`] the threat model.
#[doc = include_str!("../docs/design.md")]
pub mod design {}
/// The claims of access tokens, and how services in other languages verify them.
#[doc = include_str!("../docs/access-tokens.md")]
pub mod access_tokens {}
/// Configurations of nginx, HAProxy, Apache and Caddy, and how it shows if a proxy changes what it should not.
#[doc = include_str!("../docs/behind-a-proxy.md")]
pub mod behind_a_proxy {}
/// Which HTTP clients keep the cookies over plain http on localhost, and what to do with the others.
#[doc = include_str!("../docs/http-clients.md")]
pub mod http_clients {}
/// Metrics, events and log lines, and what to do when something fails.
/// [`faults`](operations::faults) has the faults that are tested.
#[doc = include_str!("../docs/operations.md")]
pub mod operations {
    /// What is broken in tests, while browsers use two nodes.
    #[doc = include_str!("../docs/faults.md")]
    pub mod faults {}
}
/// What the crate needs of Redis or Valkey: servers, settings, ACLs.
#[doc = include_str!("../docs/redis.md")]
pub mod redis_in_production {}
/// Threat model, defaults, decisions, and what is left to applications. [`requirements`](security::requirements) has
/// the tests of each requirement.
#[doc = include_str!("../docs/security.md")]
pub mod security {
    #[doc = include_str!("../docs/requirements.md")]
    pub mod requirements {}
}

pub use self::{
    auth::{PresentedTokens, Session, SessionLayer, StoreChecked, Verifier},
    claims::Claims,
    cookie::SessionCookies,
    error::{ConfigError, Error},
    id::{SessionId, UserId},
    keys::KeyRing,
    manager::SessionManager,
    store::MemoryStore,
};
