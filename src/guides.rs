//! One guide for each task, in the order in which a team meets them.
#![doc = include_str!("../docs/guides/index.md")]
// Some links lead to what other features add.
#![cfg_attr(
    not(all(feature = "redis", feature = "router", feature = "test-util")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(all(doc, feature = "router"))]
use super::renewal::RenewalLayer;
#[cfg(all(doc, feature = "test-util"))]
use super::testing::{FaultyStore, TestClient, TestClock};
#[cfg(doc)]
use super::{
    Session, SessionManager, StoreChecked, Verifier, behind_a_proxy,
    cookie::CookieConfig,
    design,
    manager::{ClaimsSource, Login, SessionManagerBuilder},
    operations,
    pages::NextPath,
    security,
    store::{SessionRecord, SessionStore},
};

/// From an empty folder to a login, a private page and a logout.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/first_session.md"))]
pub mod first_session {}

/// Pages, forms and links: the way to the login and back, and sessions that are renewed within a request.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/server_rendered.md"))]
pub mod server_rendered {}

/// A front-end that calls an API, and never holds a token.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/single_page.md"))]
pub mod single_page {}

/// Apps and command-line tools: tokens as values, refreshed and revoked as in OAuth 2.0.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/native_client.md"))]
pub mod native_client {}

/// Users who log in at Google, Entra or Keycloak, and the cookies that survive the way back.
#[cfg_attr(any(all(feature = "router", feature = "test-util"), not(doctest)), doc = include_str!("../docs/guides/openid_connect.md"))]
pub mod openid_connect {}

/// Who may do what, roles that change at once, and a fresh login before dangerous actions.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/roles_and_step_up.md"))]
pub mod roles_and_step_up {}

/// Where a user is logged in, and ending sessions that the user does not recognize.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/devices_page.md"))]
pub mod devices_page {}

/// Who is logged out when a password changes or an account is closed, and in which order.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/password_and_account.md"))]
pub mod password_and_account {}

/// Customers and administrators in one process or on one store.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/several_populations.md"))]
pub mod several_populations {}

/// Redis, several nodes, a proxy, readiness, and a checklist before the first user.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/production.md"))]
pub mod production {}

/// New secrets and key pairs without logging users out, by deployments or at run time.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/key_rotation.md"))]
pub mod key_rotation {}

/// Login, expiry, outage and logout in the tests of a site, without a browser or a sleep.
#[cfg_attr(any(all(feature = "router", feature = "test-util"), not(doctest)), doc = include_str!("../docs/guides/testing.md"))]
pub mod testing {}

/// Sessions in a database for which the crate has no store.
#[cfg_attr(any(all(feature = "router", feature = "test-util"), not(doctest)), doc = include_str!("../docs/guides/own_store.md"))]
pub mod own_store {}

/// From hand-written JWTs, with both accepted for a while.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/migrating_from_jsonwebtoken.md"))]
pub mod migrating_from_jsonwebtoken {}

/// From tower-sessions, with both accepted for a while.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/migrating_from_tower_sessions.md"))]
pub mod migrating_from_tower_sessions {}

/// From axum-login, with both accepted for a while.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/migrating_from_axum_login.md"))]
pub mod migrating_from_axum_login {}

/// From a service in Node, path by path, with users logged in on both.
#[cfg_attr(any(feature = "router", not(doctest)), doc = include_str!("../docs/guides/migrating_from_express.md"))]
pub mod migrating_from_express {}
