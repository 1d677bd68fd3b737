//! A verified session, and what a request proves.

use std::{
    any::Any,
    fmt, ptr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderMap;

use crate::{
    clock::Timestamp,
    cookie::TokenCookie,
    id::{SessionId, UserId},
    jwt::RegisteredClaims,
    problem::Renderer,
    revocation::{Ended, SessionBackend, StalePolicy},
};

/// A verified session: the proof that the request carried an access token that is signed by us, unexpired and not
/// revoked.
///
/// Only the layer and the verifier make one, and it belongs to their [`SessionManager`](crate::SessionManager): others
/// refuse it. It is an extractor (`Session<C>`, `Option<Session<C>>`,
/// `Result<Session<C>, SessionRejection>`) and an extension of the request (`Extension<Session<C>>`). Cheap to clone.
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
    origin: Option<Arc<dyn Origin>>,
    stale_policy: StalePolicy,
}

/// The verifier that a session comes from. The session does not know it by its type.
pub(crate) trait Origin: Any + Send + Sync {
    /// The way back to the store; `None` where there is none to ask.
    fn backend(&self) -> Option<&Arc<SessionBackend>>;

    /// How errors are rendered.
    fn renderer(&self) -> &Renderer;

    /// Whether a request with these headers means to authenticate: a browser sends its cookies everywhere, a client
    /// chooses where to send a Bearer token.
    fn is_meant(&self, headers: &HeaderMap) -> bool;
}

impl<C> Session<C> {
    pub(crate) fn new(
        registered: RegisteredClaims,
        verified_at: Timestamp,
        claims: C,
        origin: Option<Arc<dyn Origin>>,
        stale_policy: StalePolicy,
    ) -> Self {
        Self { verified: Arc::new(Verified { registered, verified_at, claims, origin, stale_policy }) }
    }

    /// What the verifier read, and where to ask for more.
    pub(crate) fn proof(&self) -> (&RegisteredClaims, Option<&Arc<SessionBackend>>) {
        (&self.verified.registered, self.origin().and_then(|origin| origin.backend()))
    }

    /// Who verified it.
    pub(crate) fn origin(&self) -> Option<&Arc<dyn Origin>> {
        self.verified.origin.as_ref()
    }

    /// Whether it comes from this verifier, or from none, as in tests of handlers.
    pub(crate) fn is_of<V>(&self, verifier: &Arc<V>) -> bool {
        is_of(self.origin(), verifier)
    }

    /// Under which policy it was verified.
    pub(crate) fn stale_policy(&self) -> StalePolicy {
        self.verified.stale_policy
    }

    /// Whose session it is: the `sub` claim.
    pub fn user_id(&self) -> &UserId {
        &self.verified.registered.user_id
    }

    /// Which session it is. It stays the same when the session is refreshed, and is new after every login.
    pub fn id(&self) -> SessionId {
        self.verified.registered.session_id
    }

    /// The application's claims, as its claims source gave them at the last refresh.
    pub fn claims(&self) -> &C {
        &self.verified.claims
    }

    /// How long the access token was good for when the request was verified.
    pub fn expires_in(&self) -> Duration {
        self.verified.registered.expires_at.since(self.verified.verified_at)
    }

    /// When the user logged in: the `auth_time` claim, which no refresh changes.
    ///
    /// Ask for a fresh login before something dangerous when this is long ago (OWASP ASVS 5.0, 7.5.3).
    pub fn auth_time(&self) -> SystemTime {
        self.verified.registered.auth_time.into()
    }

    /// Resolves when the session is over, for what stays open longer than a request: streams of events, WebSockets,
    /// long jobs.
    ///
    /// Over means: ended by anything on any node, within milliseconds; past its idle or absolute limit; or gone from
    /// the store. A refresh on any node does not end the wait, and neither does
    /// [`SessionManager::expire_access`](crate::SessionManager::expire_access): after that, ask for new claims by
    /// other means, or close what is open yourself.
    ///
    /// It listens from this call on, also before it is polled. The session's user is idle for as long as nothing
    /// refreshes: an open socket is no activity.
    ///
    /// While the store is away nothing is known, and an outage is never taken for an end: the store is asked when it
    /// is back. Only the absolute limit is certain without it, once the store has told it. A session of
    /// `Session::for_test`, or from a verifier without a store, is over when its access token expires.
    ///
    /// Costs nothing when it is not called. Each call holds some hundred bytes until it is dropped, and reads the
    /// store when the access token expires, when the end that the store gave has come, and after an outage of the
    /// revocation log.
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
        match self.proof().1 {
            Some(backend) => Ended::of_session(backend, self.user_id(), self.id(), self.verified.registered.expires_at),
            None => Ended::after(self.expires_in()),
        }
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

#[cfg(any(test, feature = "test-util"))]
impl<C> Session<C> {
    /// A session that nobody verified, for tests of handlers: put it into the extensions of a request, or pass it to
    /// the handler. It has a random id, began now and expires in an hour.
    ///
    /// ```
    /// use tower_jwt_sessions::Session;
    ///
    /// async fn greet(session: Session<u8>) -> String {
    ///     format!("{} has {} stars", session.user_id(), session.claims())
    /// }
    ///
    /// # tokio_test(async {
    /// assert_eq!(greet(Session::for_test("alice", 5)?).await, "alice has 5 stars");
    /// # Ok(()) });
    /// # fn tokio_test(f: impl Future<Output = Result<(), tower_jwt_sessions::InvalidUserId>>) {
    /// #     tokio::runtime::Runtime::new().unwrap().block_on(f).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidUserId`](crate::InvalidUserId) when `user` cannot be a user id.
    pub fn for_test(user: impl ToString, claims: C) -> Result<Self, crate::id::InvalidUserId> {
        use crate::clock::{Clock as _, SystemClock};

        let now = SystemClock.now();
        let registered = RegisteredClaims {
            user_id: UserId::new(user)?,
            session_id: SessionId::random().unwrap_or(SessionId::from_bytes([0; SessionId::LEN])),
            generation: 1,
            epoch: 0,
            auth_time: now,
            issued_at: now,
            expires_at: now.saturating_add(Duration::from_secs(3600)),
        };
        Ok(Self::new(registered, now, claims, None, StalePolicy::default()))
    }
}

/// What a request proves: an access token, a refresh token, both or neither.
///
/// Extracting it never fails. Pass it to `login(..).replacing(presented)`, `refresh`, `logout` and `logout_all` of the
/// manager whose layer or verifier it comes from: another manager refuses it with
/// [`ErrorKind::WrongManager`](crate::ErrorKind::WrongManager). `PresentedTokens::default()` proves nothing to any manager.
pub struct PresentedTokens<C = ()> {
    pub(crate) session: Option<Session<C>>,
    /// Verified, but possibly expired.
    pub(crate) refresh: Option<RegisteredClaims>,
    /// Whether there was a refresh cookie, good or bad.
    pub(crate) refresh_attempted: bool,
    /// Whether there are credentials in two places, more values of a cookie than are looked at, or a header that cannot
    /// be read. The request then proves nothing.
    pub(crate) is_invalid: bool,
    /// The other values that could be tokens of ours, a few at most. They prove nothing, but may name sessions to end.
    /// Not verified yet: most requests never need that, and signatures take time.
    pub(crate) unverified: Vec<(TokenCookie, Box<[u8]>)>,
    /// The verifier that looked at the request.
    pub(crate) origin: Option<Arc<dyn Origin>>,
}

impl<C> PresentedTokens<C> {
    /// The session of a good access token.
    pub const fn session(&self) -> Option<&Session<C>> {
        self.session.as_ref()
    }

    /// Whether there is a refresh token that we signed. It may have expired or been superseded.
    pub const fn has_refresh_token(&self) -> bool {
        self.refresh.is_some()
    }

    /// Whether it comes from this verifier, or from none.
    pub(crate) fn is_of<V>(&self, verifier: &Arc<V>) -> bool {
        is_of(self.origin.as_ref(), verifier)
    }
}

/// Whether the origin is this verifier, or there is none.
fn is_of<V>(origin: Option<&Arc<dyn Origin>>, verifier: &Arc<V>) -> bool {
    origin.is_none_or(|origin| ptr::addr_eq(Arc::as_ptr(origin), Arc::as_ptr(verifier)))
}

impl<C> Default for PresentedTokens<C> {
    /// Proof of nothing.
    fn default() -> Self {
        Self {
            session: None,
            refresh: None,
            refresh_attempted: false,
            is_invalid: false,
            unverified: Vec::new(),
            origin: None,
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
            origin: self.origin.clone(),
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
