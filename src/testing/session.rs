//! Sessions for tests of handlers, which no token proves.

#![allow(clippy::panic, reason = "a test fails by a panic")]

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    auth::Session,
    clock::{Clock, SystemClock, Timestamp},
    error::InvalidUserId,
    id::{SessionId, UserId},
    jwt::{RegisteredClaims, SessionTerms},
    revocation::StalePolicy,
};

/// Builds a [`Session`] without verifying anything, for tests of handlers: put it into the extensions of a request, or
/// pass it to the handler. Without other settings it is what [`Session::for_test`] returns.
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_sessions::{Session, SessionId, testing::TestSession};
///
/// let session: Session<u8> = TestSession::new("alice", 5)
///     .id(SessionId::from_bytes([1; 16]))
///     .logged_in_ago(Duration::from_secs(3600))
///     .expires_in(Duration::from_secs(60))
///     .acting("support")
///     .session_claims(&serde_json::json!({ "organization": 7 }))
///     .build();
/// assert_eq!(session.actor().map(|actor| actor.as_str()), Some("support"));
/// assert_eq!(session.expires_in(), Duration::from_secs(60));
/// ```
#[must_use = "call build"]
pub struct TestSession<C = ()> {
    user: String,
    claims: C,
    id: Option<SessionId>,
    actor: Option<String>,
    session_claims: Option<Result<SessionTerms, String>>,
    logged_in: LoggedIn,
    expires_in: Duration,
    now: Timestamp,
    is_renewed: bool,
}

enum LoggedIn {
    Ago(Duration),
    At(Timestamp),
}

impl<C> TestSession<C> {
    /// Begins with a session of this user with these claims: with a random id, logged in now, valid for an hour.
    pub fn new(user: impl ToString, claims: C) -> Self {
        Self {
            user: user.to_string(),
            claims,
            id: None,
            actor: None,
            session_claims: None,
            logged_in: LoggedIn::Ago(Duration::ZERO),
            expires_in: Duration::from_secs(60 * 60),
            now: SystemClock.now(),
            is_renewed: false,
        }
    }

    /// Sets the time at which the session is verified. Default: the system's time.
    pub fn clock(mut self, clock: &impl Clock) -> Self {
        self.now = clock.now();
        self
    }

    /// Sets [`Session::id`]. Default: a random one.
    pub const fn id(mut self, id: SessionId) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets who acts as the user: [`Session::actor`]. Default: it is the user.
    pub fn acting(mut self, actor: impl ToString) -> Self {
        self.actor = Some(actor.to_string());
        self
    }

    /// Sets [`Session::session_claims`], which must be a struct or map. Default: none.
    pub fn session_claims(mut self, claims: &impl Serialize) -> Self {
        let mut terms = SessionTerms::default();
        self.session_claims = Some(terms.set_claims(claims).map(|()| terms).map_err(|error| error.to_string()));
        self
    }

    /// Sets how long ago the user logged in: [`Session::auth_time`]. Default: not at all.
    pub const fn logged_in_ago(mut self, ago: Duration) -> Self {
        self.logged_in = LoggedIn::Ago(ago);
        self
    }

    /// Sets when the user logged in: [`Session::auth_time`]. Default: now.
    pub fn logged_in_at(mut self, time: SystemTime) -> Self {
        self.logged_in = LoggedIn::At(time.into());
        self
    }

    /// Sets how long the access token is still valid: [`Session::expires_in`]. Default: an hour.
    pub const fn expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = expires_in;
        self
    }

    /// Marks the session as refreshed within this request: [`Session::is_renewed`]. Default: it was not.
    pub const fn renewed(mut self) -> Self {
        self.is_renewed = true;
        self
    }

    /// Returns the session.
    ///
    /// # Panics
    ///
    /// If user or actor are no valid user ids, or the session claims no struct or map.
    #[track_caller]
    pub fn build(self) -> Session<C> {
        match self.try_build() {
            Ok(session) => session,
            Err(error) => panic!("no valid session: {error}"),
        }
    }

    fn try_build(self) -> Result<Session<C>, String> {
        let user_id = |text: String| UserId::new(&text).map_err(|error| format!("{text:?}: {error}"));
        let mut terms = self.session_claims.transpose()?.unwrap_or_default();
        if let Some(actor) = self.actor {
            terms.set_actor(user_id(actor)?, random_id());
        }
        let registered = RegisteredClaims {
            user_id: user_id(self.user)?,
            session_id: self.id.unwrap_or_else(random_id),
            generation: 1,
            epoch: 0,
            auth_time: match self.logged_in {
                LoggedIn::Ago(ago) => self.now.saturating_sub(ago),
                LoggedIn::At(time) => time,
            },
            issued_at: self.now,
            expires_at: self.now.saturating_add(self.expires_in),
            terms: terms.into_shared(),
        };
        let mut session = Session::new(registered, self.now, self.claims, None, StalePolicy::default());
        if self.is_renewed {
            session.mark_renewed();
        }
        Ok(session)
    }
}

/// Returns a random id, or zeros where there is no randomness.
fn random_id() -> SessionId {
    SessionId::random().unwrap_or(SessionId::from_bytes([0; SessionId::LEN]))
}

impl<C> Session<C> {
    /// Makes a session without verifying anything, for tests of handlers: put it into the extensions of a request, or
    /// pass it to the handler. It has a random id, began now and expires in an hour. For other sessions there is
    /// [`TestSession`].
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
    /// # fn tokio_test(f: impl Future<Output = Result<(), tower_jwt_sessions::error::InvalidUserId>>) {
    /// #     tokio::runtime::Runtime::new().unwrap().block_on(f).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidUserId`] when `user` is no valid user id.
    pub fn for_test(user: impl ToString, claims: C) -> Result<Self, InvalidUserId> {
        Ok(TestSession::new(UserId::new(user)?, claims).build())
    }
}

/// Without the claims.
impl<C> fmt::Debug for TestSession<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSession").field("id", &self.id).finish_non_exhaustive()
    }
}
