//! Login, refresh, logout, lists and data of sessions: the [`SessionManager`] and its builder.
//!
//! ```
//! use tower_jwt_sessions::{ConfigError, KeyRing, MemoryStore, SessionManager, UserId, manager::SessionManagerBuilder};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Claims {
//!     role: String,
//! }
//!
//! /// Called at every login and refresh; `None` means that the user does not exist.
//! async fn load(user: UserId) -> Result<Option<Claims>, std::io::Error> {
//!     Ok((user == "alice").then(|| Claims { role: "admin".to_owned() }))
//! }
//!
//! /// What the application and its tests have in common.
//! fn configure() -> Result<SessionManagerBuilder<Claims>, ConfigError> {
//!     Ok(SessionManager::builder()
//!         .access_keys(KeyRing::hs256("an access secret of 32 bytes at least")?)
//!         .refresh_keys(KeyRing::hs256("a refresh secret of 32 bytes at least")?)
//!         .issuer("https://app.example")
//!         .claims_source(load))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = configure()?.store(MemoryStore::new()).build()?;
//! sessions.login("alice").user_agent("curl/8").await?;
//! assert_eq!(sessions.list("alice").await?.len(), 1);
//! assert_eq!(sessions.end_all("alice").await?, 1);
//! # Ok(())
//! # }
//! ```

// In the order of a session's life, which is that of the methods in the documentation.
mod builder;
mod setup;

mod login;
mod proof;
mod refresh;

mod logout;
mod sessions;

mod end;

mod data;
mod key_rings;
mod keys;

mod claims;
mod claims_source;
#[cfg(feature = "dbsc")]
mod device;
mod in_request;
mod issue;
mod session_refs;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

#[cfg(feature = "dbsc")]
pub(crate) use self::device::{DeviceRefresh, DeviceRegistration};
#[cfg(feature = "router")]
pub(crate) use self::refresh::Renewal;
pub use self::{
    builder::SessionManagerBuilder,
    claims_source::{ClaimsSource, ClaimsSourceError},
    data::Versioned,
    login::Login,
    proof::ProofStart,
    sessions::SessionInfo,
};
use self::{claims_source::ClaimsLoader, key_rings::KeyRings};
use crate::{
    auth::{RequestContext, Verifier, VerifierInner},
    claims::Claims,
    clock::{Moment, Timestamp},
    error::{BoxError, Error, ErrorKind},
    event::{Cause, EndReason, EventHook, SessionEvent, SessionEventKind},
    id::{SessionId, UserId},
    policy::{Lifetimes, ReplayWindow, SessionLimit},
    revocation::{RevocationFeed, Revocations, SessionBackend, SessionEnder},
    store::{DynStore, MARKS_REMEMBERED, Owner, Revocation, StoreError},
};
pub use crate::{jwt::SessionTerms, token_response::SessionTokens};

/// How old the claims or the proof of a login may be when its session is created: the store must still know what
/// happened since then, even if its clock is ahead.
const UNDER_WAY: Duration = Duration::from_secs(MARKS_REMEMBERED.as_secs() / 2);

/// Begins, refreshes and ends sessions.
///
/// Build one at start-up with [`SessionManager::builder`]; it is cheap to clone and goes into the state of the
/// application. `C` is the type of the application's claims, which travel in the access token: signed, but readable by
/// anyone who holds the cookie, so put nothing secret there. Data for the server only belongs into the store:
/// [`SessionManager::update_data`].
///
/// Any number of managers with the same keys and the same store, in any number of processes, act as one for their
/// clients. Within a process, a [`Session`](crate::Session) or [`PresentedTokens`](crate::PresentedTokens) belongs to
/// the manager whose layer or verifier made it, clones included; another manager refuses it with
/// [`ErrorKind::WrongManager`].
///
/// # Within a request
///
/// A handler may ask for the manager as an extractor, in place of `State<SessionManager>`. It then knows the request: its
/// errors are pages for [navigations](crate::pages#what-counts-as-a-navigation) and are rendered by
/// [`render_errors`](SessionManagerBuilder::render_errors) with the parts of the request, and its
/// [events](crate::event::SessionEvent) have the user agent and, where
/// [`client_ip`](SessionManagerBuilder::client_ip) finds it, the address. [`for_request`](Self::for_request) is the same
/// for code without extractors. Companion routes and the renewal layer know their requests, too, and so does any
/// operation that is given the [`PresentedTokens`](crate::PresentedTokens) of an extractor.
///
/// ```
/// use axum::extract::Path;
/// use tower_jwt_sessions::{Error, Session, SessionId, SessionManager};
///
/// /// The event of the end tells where the command came from, and an outage shows a page.
/// async fn end_device(
///     sessions: SessionManager,
///     session: Session,
///     Path(id): Path<SessionId>,
/// ) -> Result<&'static str, Error> {
///     sessions.end(session.user_id(), id).await?;
///     Ok("It is logged out.")
/// }
///
/// fn app(sessions: &SessionManager) -> axum::Router {
///     use axum::routing::post;
///
///     let routes = axum::Router::new().route("/devices/{id}/end", post(end_device));
///     routes.layer(sessions.layer()).with_state(sessions.clone())
/// }
/// # let _ = app;
/// ```
pub struct SessionManager<C = ()> {
    inner: Arc<Inner<C>>,
    /// The request that it is for, within one.
    context: Option<Arc<RequestContext>>,
}

struct Inner<C> {
    verifier: Verifier<C>,
    /// What the verifier has, to compare it with its replacement. Never locked by a request.
    keys: Mutex<KeyRings>,
    backend: Arc<SessionBackend>,
    claims: ClaimsLoader<C>,
    lifetimes: Lifetimes,
    replay_window: ReplayWindow,
    limit: Option<SessionLimit>,
    events: EventHook,
    #[cfg(feature = "dbsc")]
    device_binding: Option<crate::dbsc::BindingSettings>,
    #[cfg(feature = "router")]
    cross_site_guard: crate::csrf::CrossSiteGuard,
    /// Where forms lead to.
    #[cfg(feature = "router")]
    after_logout: Option<crate::pages::NextPath>,
}

impl<C: Claims> SessionManager<C> {
    /// Returns the part that verifies requests, without the store.
    pub fn verifier(&self) -> &Verifier<C> {
        &self.inner.verifier
    }

    /// Returns the state of the revocation feed of this node, for health endpoints.
    pub fn revocation_feed(&self) -> &RevocationFeed {
        self.inner.backend.feed()
    }

    #[cfg(feature = "router")]
    pub(crate) fn after_logout(&self) -> Option<&crate::pages::NextPath> {
        self.inner.after_logout.as_ref()
    }

    fn verification(&self) -> &VerifierInner {
        self.inner.verifier.inner()
    }

    fn now(&self) -> Timestamp {
        self.verification().clock.now()
    }

    /// For the age of what a login or refresh relies on.
    fn moment(&self) -> Moment {
        Moment::of(&*self.verification().clock)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, &self.verification().renderer);
        match &self.context {
            Some(context) => error.addressed_to(&context.recipient),
            None => error,
        }
    }

    #[cfg(feature = "dbsc")]
    pub(crate) fn refusal(&self, kind: ErrorKind) -> Error {
        self.error(kind)
    }

    fn error_caused_by(&self, kind: ErrorKind, source: impl Into<BoxError>) -> Error {
        self.error(kind).caused_by(source)
    }

    fn user_id(&self, user: impl ToString) -> Result<UserId, Error> {
        UserId::new(user).map_err(|invalid| self.error_caused_by(ErrorKind::InvalidUserId, invalid))
    }

    /// Returns the user as the store names them.
    fn owner(&self, user: &UserId) -> Owner {
        self.inner.backend.owner(user)
    }

    /// Converts a result of the store, and records whether the store works.
    fn stored<T>(&self, answer: Result<T, StoreError>) -> Result<T, Error> {
        self.inner.backend.observe(&answer);
        answer.map_err(|failure| self.store_error(failure))
    }

    fn store_error(&self, failure: StoreError) -> Error {
        self.error_caused_by(ErrorKind::Store, failure)
    }

    /// Ends sessions. It tracks the health of the store itself.
    fn ender(&self) -> &SessionEnder {
        self.inner.backend.ender()
    }

    /// Makes this node refuse a session that has certainly ended, even if the store forgets that.
    fn revoke_here(&self, session: SessionId) {
        self.revocations().revoke(Revocation::ended(session));
    }

    /// What this node knows to be revoked.
    fn revocations(&self) -> &Revocations {
        self.inner.backend.revocations()
    }

    fn store(&self) -> &dyn DynStore {
        self.inner.backend.store()
    }

    /// Records that the store has ended a session.
    fn ended(&self, user: &UserId, session: SessionId, actor: Option<&UserId>, reason: EndReason, cause: &Cause) {
        self.revoke_here(session);
        self.emit(user, session, actor, SessionEventKind::Ended(reason), cause);
    }

    fn emit(&self, user: &UserId, session: SessionId, actor: Option<&UserId>, kind: SessionEventKind, cause: &Cause) {
        self.inner.events.emit(&SessionEvent::new(user, session, actor, kind, cause));
    }
}

impl<C> Clone for SessionManager<C> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), context: self.context.clone() }
    }
}

impl<C> fmt::Debug for SessionManager<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("verifier", &self.inner.verifier)
            .field("lifetimes", &self.inner.lifetimes)
            .field("replay_window", &self.inner.replay_window)
            .field("limit", &self.inner.limit)
            .field("events", &self.inner.events)
            .finish_non_exhaustive()
    }
}
