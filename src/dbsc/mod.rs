//! Device Bound Session Credentials (W3C draft): sessions whose refreshes a key of the device has to prove.
//!
//! A browser that knows the protocol makes a key pair after a login, whose private half never leaves the device, and
//! signs with it whenever the access token is refreshed. A copy of the cookies is then worth nothing beyond the
//! [`bound_lifetime`](DeviceBinding::bound_lifetime) of the access token in it: no refresh is accepted without proof.
//! Needs the feature `dbsc`.
//!
//! ```
//! use tower_jwt_sessions::{
//!     ConfigError, KeyRing, MemoryStore, SessionManager, dbsc::DeviceBinding,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ConfigError> {
//! let sessions = SessionManager::<()>::builder()
//!     .access_keys(KeyRing::hs256("an access secret of 32 bytes at least")?)
//!     .refresh_keys(KeyRing::hs256("a refresh secret of 32 bytes at least")?)
//!     .issuer("https://app.example")
//!     .own_origin("https://app.example")
//!     .device_binding(DeviceBinding::new())
//!     .store(MemoryStore::new())
//!     .build()?;
//! // The routes of the protocol are among these.
//! let app: axum::Router = axum::Router::new().nest("/auth", sessions.router());
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! # What happens
//!
//! 1. The response to a login has the header `Secure-Session-Registration`, and so have some responses of the companion
//!    routes in the five minutes after it. No session is offered it later, and an offer is good for five minutes:
//!    otherwise a thief of its cookies could bind it to a device of their own.
//! 2. The browser makes a key and posts a signature to `/dbsc/register`. The session keeps the first key that comes.
//! 3. Whenever the access cookie is about to go, or is missing, the browser posts a signature to `/dbsc/refresh` before it
//!    sends the request. With the first of these signatures the session is *bound*: from then on every refresh without
//!    one is refused with `403` `proof_required`, whichever route it takes.
//!
//! Until the third step everything is as for any other session, for however long. So a response that was lost, a proxy
//! that removes headers and a browser that stops half way cost nothing, and browsers that do not know the protocol
//! notice nothing of it. To take the step soon, the registration comes with an access token of one minute.
//!
//! A browser that has lost the key of a bound session has to log in again. A logout needs no more than any other: the next
//! proof is answered with the end of the session.
//!
//! # What is required
//!
//! All nodes need a release with this feature before the first one is configured with [`device_binding`]: older ones
//! cannot read the records of bound sessions, and respond with `503`. All nodes that serve the session need the feature.
//!
//! [`device_binding`]: crate::manager::SessionManagerBuilder::device_binding

mod challenge;
mod config;
mod headers;
mod proof;

pub use self::config::DeviceBinding;
pub(crate) use self::{
    challenge::{Challenge, Purpose},
    config::BindingSettings,
    headers::{
        CHALLENGE_HEADER, REGISTRATION_HEADER, RESPONSE_HEADER, SESSION_ID_HEADER, SKIPPED_HEADER, Single,
        challenge_header, identifier, offer, single, skip_reason, unquoted,
    },
    proof::Proof,
};
