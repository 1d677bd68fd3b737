//! A verified session, and what a request proves.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::de::DeserializeOwned;

use super::{RequestContext, VerifierInner};
use crate::{
    clock::Timestamp,
    cookie::TokenCookie,
    error::Error,
    id::{SessionId, UserId},
    jwt::{RegisteredClaims, SessionTerms},
    revocation::{Changed, Ended, SessionBackend, StalePolicy},
};

/// A verified session: the proof that the request carried an access token that is authentic, unexpired and not revoked.
///
/// Only the layer and the verifier make one. It belongs to their [`SessionManager`](crate::SessionManager); others
/// refuse it. It is an extractor (`Session<C>`, `Option<Session<C>>`, `Result<Session<C>, SessionRejection>`) and an
/// extension of the request (`Extension<Session<C>>`). Cheap to clone.
///
/// ```
/// use tower_jwt_sessions::Session;
///
/// async fn me(session: Session) -> String {
///     format!("{} for another {:?}", session.user_id(), session.expires_in())
/// }
/// # let _ = me;
/// ```
pub struct Session<C = ()> {
    verified: Arc<Verified<C>>,
}

struct Verified<C> {
    registered: RegisteredClaims,
    verified_at: Timestamp,
    claims: C,
    /// `None` in tests of handlers.
    verifier: Option<Arc<VerifierInner>>,
    stale_policy: StalePolicy,
    is_renewed: bool,
}

impl<C> Session<C> {
    /// Returns the user: the `sub` claim.
    pub fn user_id(&self) -> &UserId {
        &self.verified.registered.user_id
    }

    /// Returns the id of the session. A refresh keeps it; every login makes a new one.
    pub fn id(&self) -> SessionId {
        self.verified.registered.session_id
    }

    /// Returns the application's claims, as its claims source gave them at login or at the last refresh.
    pub fn claims(&self) -> &C {
        &self.verified.claims
    }

    /// Returns who acts as the user of this session, such as a member of the support staff: the `act` claim (RFC 8693,
    /// section 4.1). `None` if it is the user.
    ///
    /// See [`Login::acting`](crate::manager::Login::acting). Show it on every page, and refuse what only the user may
    /// do, such as a change of password.
    pub fn actor(&self) -> Option<&UserId> {
        self.verified.registered.actor()
    }

    /// Whether the session is bound to its device, which has proven to have its key when this access token was issued.
    /// Always `false` where sessions are not bound (`SessionManagerBuilder::device_binding`), and at first after each
    /// login.
    ///
    /// For routes that want it, see [`guard::require_device_binding`](crate::guard::require_device_binding).
    pub fn is_bound(&self) -> bool {
        self.verified.registered.terms.as_deref().is_some_and(SessionTerms::is_bound)
    }

    /// Returns the session claims, which the login set for this one session; `None` if it set none.
    ///
    /// See [`Login::session_claims`](crate::manager::Login::session_claims). Read from the token, without I/O.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::DataFormat`](crate::error::ErrorKind::DataFormat) if they are no `T`: a `500`; the log says what was
    /// expected, but not what was found.
    pub fn session_claims<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(terms) = self.verified.registered.terms.as_deref() else { return Ok(None) };
        match self.verifier() {
            Some(verifier) => terms.claims_as(&verifier.renderer),
            None => terms.session_claims(),
        }
    }

    /// Returns how long the access token was still valid when the request was verified.
    pub fn expires_in(&self) -> Duration {
        self.verified.registered.expires_at.since(self.verified.verified_at)
    }

    /// Returns when the user logged in: the `auth_time` claim, which no refresh changes.
    ///
    /// Where this is long ago, ask for a fresh login before a sensitive operation (OWASP ASVS 5.0, 7.5.3), as
    /// [`require_recent_login`](Self::require_recent_login) does.
    pub fn auth_time(&self) -> SystemTime {
        self.verified.registered.auth_time.into()
    }

    /// Whether the renewal layer (`SessionManager::renewal_layer`) has refreshed the session within this request. The
    /// claims are then as the claims source gave them just now.
    pub fn is_renewed(&self) -> bool {
        self.verified.is_renewed
    }

    /// Resolves when the session has ended, for what stays open longer than a request: event streams, WebSockets, long
    /// jobs.
    ///
    /// A session has ended when any node ended it, which is known within milliseconds, when its idle or absolute limit
    /// has passed, or when the store no longer has it. A refresh on any node does not resolve the future, and neither
    /// does [`SessionManager::expire_access`](crate::SessionManager::expire_access), for which there is
    /// [`changed`](Self::changed).
    ///
    /// It listens from this call on, also before it is polled. An open connection is no activity: the session is idle
    /// for as long as nothing refreshes it.
    ///
    /// An outage of the store is never taken for an end: the store is asked again when it is back. Only the absolute
    /// limit is certain without it, once the store has told it. A session of `Session::for_test`, or from a verifier
    /// without a store, ends when its access token expires.
    ///
    /// A session that is not waited for costs nothing. Each call holds some hundred bytes until it is dropped, and
    /// reads the store when the access token expires, when the limit that the store told has passed, and after an
    /// outage of the revocation log.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_jwt_sessions::Session;
    ///
    /// /// Works until the user logs out, on whichever node.
    /// async fn work(session: Session) {
    ///     let mut ended = std::pin::pin!(session.ended());
    ///     loop {
    ///         tokio::select! {
    ///             () = &mut ended => break,
    ///             () = tokio::time::sleep(Duration::from_secs(1)) => { /* one more step */ }
    ///         }
    ///     }
    /// }
    /// # let _ = work;
    /// ```
    pub fn ended(&self) -> Ended {
        match self.backend() {
            Some(backend) => Ended::of_session(backend, self.user_id(), self.id(), self.verified.registered.expires_at),
            None => Ended::after(self.expires_in()),
        }
    }

    /// Resolves when the claims of the session are out of date or the session has ended, for what stays open longer than
    /// a request and depends on them: a WebSocket that shows more to an administrator, for example.
    ///
    /// Claims are out of date when any node has called
    /// [`SessionManager::expire_access`](crate::SessionManager::expire_access) since the access token of this session was
    /// issued. That also counts if it happened before this call. A refresh does not resolve the future. The end is
    /// reported as by [`ended`](Self::ended), so this future alone is enough.
    ///
    /// Keep the future, and await it again after a change: it then waits for the next one, and misses none in between.
    /// After the end it resolves at once. A second call would begin with this access token again, whose claims stay out
    /// of date.
    ///
    /// It costs what [`ended`](Self::ended) costs, and like it takes no outage for an end. What was published while the
    /// revocation log could not be read is reported when the log is back. A session of `Session::for_test`, or from a
    /// verifier without a store, changes only by its end, when its access token expires.
    ///
    /// ```
    /// use tower_jwt_sessions::{Session, UserId, revocation::SessionChange};
    ///
    /// # async fn role_of(user: &UserId) -> String { user.to_string() }
    /// async fn serve(session: Session<String>, mut incoming: tokio::sync::mpsc::Receiver<String>) {
    ///     let mut role = session.claims().clone();
    ///     let mut changed = session.changed();
    ///     loop {
    ///         tokio::select! {
    ///             change = &mut changed => match change {
    ///                 // From the table of users: the access token has the old one.
    ///                 SessionChange::AccessExpired => role = role_of(session.user_id()).await,
    ///                 _ => break,
    ///             },
    ///             message = incoming.recv() => match message {
    ///                 Some(message) => println!("{role}: {message}"),
    ///                 None => break,
    ///             },
    ///         }
    ///     }
    /// }
    /// # let _ = serve;
    /// ```
    pub fn changed(&self) -> Changed {
        let registered = &self.verified.registered;
        match self.backend() {
            Some(backend) => {
                Changed::of_session(backend, self.user_id(), self.id(), registered.expires_at, registered.epoch)
            }
            None => Changed::after(self.expires_in()),
        }
    }

    pub(crate) fn new(
        registered: RegisteredClaims,
        verified_at: Timestamp,
        claims: C,
        verifier: Option<Arc<VerifierInner>>,
        stale_policy: StalePolicy,
    ) -> Self {
        Self {
            verified: Arc::new(Verified { registered, verified_at, claims, verifier, stale_policy, is_renewed: false }),
        }
    }

    /// Marks a session that has no clones yet as renewed in this request.
    pub(crate) fn mark_renewed(&mut self) {
        if let Some(verified) = Arc::get_mut(&mut self.verified) {
            verified.is_renewed = true;
        }
    }

    /// Returns the claims of the access token that the crate itself reads.
    pub(crate) fn registered(&self) -> &RegisteredClaims {
        &self.verified.registered
    }

    /// Returns when the request was verified.
    pub(crate) fn verified_at(&self) -> Timestamp {
        self.verified.verified_at
    }

    /// Returns the verifier that made the session.
    pub(crate) fn verifier(&self) -> Option<&Arc<VerifierInner>> {
        self.verified.verifier.as_ref()
    }

    /// Returns the backend of the node, where the verifier has one.
    pub(crate) fn backend(&self) -> Option<&Arc<SessionBackend>> {
        self.verifier()?.backend.as_ref()
    }

    /// Returns the policy under which the session was verified.
    pub(crate) fn stale_policy(&self) -> StalePolicy {
        self.verified.stale_policy
    }

    /// Whether it comes from this verifier, or from none, as in tests of handlers.
    pub(crate) fn is_of(&self, verifier: &Arc<VerifierInner>) -> bool {
        self.verifier().is_none_or(|own| Arc::ptr_eq(own, verifier))
    }
}

impl<C> Clone for Session<C> {
    fn clone(&self) -> Self {
        Self { verified: Arc::clone(&self.verified) }
    }
}

/// Without the claims, which may be personal, and with a digest for the session id.
impl<C> fmt::Debug for Session<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// The tokens that a request presents: an access token, a refresh token, both or neither.
///
/// It is an extractor, which needs the layer and never refuses a request under it. Pass it to
/// `login(..).replacing(presented)`, `refresh`, `logout` and `logout_all` of the manager whose layer or verifier it
/// comes from: another manager refuses it with [`ErrorKind::WrongManager`](crate::error::ErrorKind::WrongManager).
/// `PresentedTokens::default()` proves nothing to any manager.
///
/// ```
/// use tower_jwt_sessions::{Error, PresentedTokens, SessionCookies, SessionManager};
///
/// async fn logout(sessions: &SessionManager, presented: PresentedTokens) -> Result<SessionCookies, Error> {
///     sessions.logout(&presented).await
/// }
/// # let _ = logout;
/// ```
pub struct PresentedTokens<C = ()> {
    pub(crate) session: Option<Session<C>>,
    /// Verified, but possibly expired.
    pub(crate) refresh: Option<RegisteredClaims>,
    /// Whether there was a refresh cookie, valid or not.
    pub(crate) refresh_attempted: bool,
    /// Whether there are credentials in two places, more values of a cookie than are read, or a malformed header. The
    /// request then proves nothing.
    pub(crate) is_invalid: bool,
    /// The other values that could be tokens, a few at most. They prove nothing, but may name sessions to end. Not
    /// verified yet: most requests never need that, and signatures take time.
    pub(crate) unverified: Vec<(TokenCookie, Box<[u8]>)>,
    /// The verifier that read the request.
    pub(crate) verifier: Option<Arc<VerifierInner>>,
    pub(crate) context: Option<Arc<RequestContext>>,
}

impl<C> PresentedTokens<C> {
    /// Returns the session of a valid access token.
    pub const fn session(&self) -> Option<&Session<C>> {
        self.session.as_ref()
    }

    /// Whether there is an authentic refresh token. It may have expired or been superseded.
    pub const fn has_refresh_token(&self) -> bool {
        self.refresh.is_some()
    }

    /// Whether it comes from this verifier, or from none.
    pub(crate) fn is_of(&self, verifier: &Arc<VerifierInner>) -> bool {
        self.verifier.as_ref().is_none_or(|own| Arc::ptr_eq(own, verifier))
    }
}

impl<C> Default for PresentedTokens<C> {
    /// Proves nothing.
    fn default() -> Self {
        Self {
            session: None,
            refresh: None,
            refresh_attempted: false,
            is_invalid: false,
            unverified: Vec::new(),
            verifier: None,
            context: None,
        }
    }
}

impl<C> Clone for PresentedTokens<C> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            refresh: self.refresh.clone(),
            refresh_attempted: self.refresh_attempted,
            is_invalid: self.is_invalid,
            unverified: self.unverified.clone(),
            verifier: self.verifier.clone(),
            context: self.context.clone(),
        }
    }
}

impl<C> fmt::Debug for PresentedTokens<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedTokens")
            .field("session", &self.session)
            .field("refresh", &self.refresh.as_ref().map(|claims| claims.session_id))
            .finish_non_exhaustive()
    }
}
