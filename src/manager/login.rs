//! Login: creates a session with a new random id (OWASP ASVS 5.0, 7.2.4).

use std::{future::IntoFuture, net::IpAddr, pin::Pin, time::Duration};

use serde::Serialize;

use super::{
    SessionManager,
    issue::Issue,
    proof::{Proof, ProofStart},
};
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    cookie::SessionCookies,
    error::{Error, ErrorKind},
    event::{EndReason, Operation, SessionEvent, SessionEventKind, truncated_user_agent},
    id::{InvalidUserId, SessionId, UserId},
    jwt::{InvalidSessionClaims, SessionTerms},
    policy::MAX_CLOCK_SKEW,
    store::{CreateOutcome, Device, LoginProof, NewSession},
    token_response::SessionTokens,
};

/// A login that starts when it is awaited, for cookies, or by [`tokens`](Self::tokens).
///
/// # Errors
///
/// [`ErrorKind::UserNotFound`], [`ErrorKind::ProofOutdated`], [`ErrorKind::SessionLimitReached`],
/// [`ErrorKind::AlreadyActing`], [`ErrorKind::ClaimsSource`], [`ErrorKind::Store`], or one of the kinds that indicate a
/// mistake in the application: [`ErrorKind::InvalidUserId`], [`ErrorKind::Claims`], [`ErrorKind::DataFormat`],
/// [`ErrorKind::TokenTooLong`], [`ErrorKind::WrongManager`].
#[must_use = "a login happens when it is awaited"]
pub struct Login<'m, C = ()> {
    sessions: &'m SessionManager<C>,
    user: Result<UserId, InvalidUserId>,
    presented: PresentedTokens<C>,
    data: Option<Result<Vec<u8>, serde_json::Error>>,
    device: Device,
    proof: Option<Proof>,
    terms: Result<SessionTerms, InvalidSessionClaims>,
    absolute_lifetime: Option<Duration>,
    actor: Option<Session<C>>,
}

impl<C: Claims> SessionManager<C> {
    /// Begins a session for a user whose identity was verified, for example by a password.
    ///
    /// ```no_run
    /// # use tower_jwt_sessions::{Error, PresentedTokens, SessionCookies, SessionManager};
    /// async fn login(sessions: &SessionManager<()>, presented: PresentedTokens<()>) -> Result<SessionCookies, Error> {
    ///     let proof = sessions.start_proof();
    ///     // … read the password hash and check the password, then:
    ///     sessions.login(42).proven_since(proof).replacing(presented).user_agent("curl/8").await
    /// }
    /// # let _ = login;
    /// ```
    pub fn login(&self, user: impl ToString) -> Login<'_, C> {
        Login {
            sessions: self,
            user: UserId::new(user),
            presented: PresentedTokens::default(),
            data: None,
            device: Device::default(),
            proof: None,
            terms: Ok(SessionTerms::default()),
            absolute_lifetime: None,
            actor: None,
        }
    }
}

impl<'m, C: Claims> Login<'m, C> {
    /// Ends the sessions that the request presented: one of the same user atomically with the login, others just
    /// before.
    ///
    /// A request with more than four cookies of one name replaces nothing, since none of them is read. This is not an
    /// error, so that planted cookies cannot block the login. The former session of the browser expires at its idle
    /// limit.
    pub fn replacing(mut self, presented: PresentedTokens<C>) -> Self {
        self.presented = presented;
        self
    }

    /// States when the proof of the user began, such as the check of a password: see [`SessionManager::start_proof`].
    ///
    /// The login is refused with [`ErrorKind::ProofOutdated`] if all of the user's sessions, or all but one, were ended
    /// after that, on any node, for example because the password changed; also if the proof is older than half an hour.
    /// A proof that began within about one round trip to the store after the end may be refused too, but one that began
    /// before the end is never accepted. Default: no proof, and the login counts as one that follows the end.
    pub fn proven_since(mut self, start: ProofStart) -> Self {
        self.proof = Some(Proof::new(start));
        self
    }

    /// Sets the initial data of the session, for example carried over from before the login.
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = Some(serde_json::to_vec(data));
        self
    }

    /// Sets whether the cookies outlast the browser: "remember me". Default: `true`, unless
    /// [`CookieConfig::browser_session`](crate::cookie::CookieConfig::browser_session) says `false` for all.
    ///
    /// With `false` the cookies of this login and of every refresh have no `Max-Age`, so that the browser drops them when
    /// it ends; many browsers keep them when they restore their windows, so set shorter limits, too:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use tower_jwt_sessions::{Error, PresentedTokens, SessionCookies, SessionManager};
    /// # async fn login(sessions: &SessionManager, remember: bool) -> Result<SessionCookies, Error> {
    /// let login = sessions.login("alice").persistent(remember);
    /// let login = match remember {
    ///     true => login,
    ///     false => login
    ///         .refresh_lifetime(Duration::from_secs(2 * 60 * 60))
    ///         .absolute_lifetime(Duration::from_secs(24 * 60 * 60)),
    /// };
    /// login.await
    /// # }
    /// # let _ = login;
    /// ```
    pub fn persistent(self, persistent: bool) -> Self {
        self.with_terms(|terms| {
            terms.set_persistent(persistent);
            Ok(())
        })
    }

    /// Sets how long this session lasts without a refresh. Default, and longest: the
    /// [`refresh_lifetime`](crate::manager::SessionManagerBuilder::refresh_lifetime) of the manager, so that a change of
    /// the configuration fails no login. Counted in whole seconds, and at least a minute, by which clocks may differ.
    pub fn refresh_lifetime(self, lifetime: Duration) -> Self {
        self.with_terms(|terms| {
            terms.set_refresh_lifetime(lifetime);
            Ok(())
        })
    }

    /// Sets how long this session lasts, refreshed or not. Default, and longest: the
    /// [`absolute_lifetime`](crate::manager::SessionManagerBuilder::absolute_lifetime) of the manager. At least a minute,
    /// by which clocks may differ.
    pub const fn absolute_lifetime(mut self, lifetime: Duration) -> Self {
        self.absolute_lifetime = Some(lifetime);
        self
    }

    /// Sets small facts about this one session, such as how the user was authenticated, or the tenant: a struct or a
    /// map. They travel with the session through every refresh, unchanged, and are read by
    /// [`Session::session_claims`](crate::Session::session_claims) without I/O and by
    /// [`ClaimsSource::load_for_session`](crate::manager::ClaimsSource::load_for_session). Default: none.
    ///
    /// They are in both tokens, signed but readable by the holder of the cookie, and count against the 4096 bytes of
    /// each. What may change belongs into the claims of the user, and what is large or secret into the
    /// [`data`](Self::data) of the session. Claims that cannot be written as a JSON object fail the login with
    /// [`ErrorKind::Claims`].
    ///
    /// ```no_run
    /// # use tower_jwt_sessions::{Error, Session, SessionCookies, SessionManager};
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Authentication {
    ///     method: String,
    /// }
    ///
    /// async fn login(sessions: &SessionManager) -> Result<SessionCookies, Error> {
    ///     sessions.login("alice").session_claims(&Authentication { method: "passkey".into() }).await
    /// }
    ///
    /// async fn used_passkey(session: &Session) -> Result<bool, Error> {
    ///     let claims: Option<Authentication> = session.session_claims()?;
    ///     Ok(claims.is_some_and(|claims| claims.method == "passkey"))
    /// }
    /// # let _ = (login, used_passkey);
    /// ```
    pub fn session_claims(self, claims: &impl Serialize) -> Self {
        self.with_terms(|terms| terms.set_claims(claims))
    }

    /// Logs in on behalf of the user: the user of `actor`, such as a member of the support staff, acts as the user of
    /// this login. Whether they may is for the application to decide.
    ///
    /// [`Session::actor`](crate::Session::actor) tells it in every request, the list of the user's sessions shows it, and
    /// [events](crate::event::SessionEvent::actor) have it. The session lasts no longer than the
    /// [`acting_lifetime`](crate::manager::SessionManagerBuilder::acting_lifetime), and counts for the limit of the user's
    /// sessions. A session in which someone acts already cannot act as a third user: [`ErrorKind::AlreadyActing`]. Nor
    /// can a session of another manager: [`ErrorKind::WrongManager`].
    ///
    /// It does not outlive the own session of `actor`, which therefore goes on even if the login
    /// [replaces](Self::replacing) what the request presented. Once that has ended, on any node, requests of this session
    /// are refused, and its refresh ends it. If the own session expires instead, because nothing refreshes it, only the
    /// refresh and [`StoreChecked`](crate::StoreChecked) notice. For that, requests of this session take a second look-up
    /// in the list of ended sessions, and its refreshes a second read of the store.
    ///
    /// What is already open, such as a WebSocket that waits for [`Session::ended`](crate::Session::ended), learns of the
    /// end of the own session only when this one is refreshed or expires: within the lifetime of access tokens if the
    /// browser refreshes, and otherwise within the `acting_lifetime`.
    ///
    /// A logout with the tokens of this session, or a login that replaces it, ends both;
    /// [`SessionManager::end`] ends this one alone. To come back from acting, the actor has to log in again, since the
    /// cookies of the own session were replaced. If this session expires, the own one stays in the list of the actor
    /// until its idle limit.
    ///
    /// ```no_run
    /// use tower_jwt_sessions::{Error, PresentedTokens, Session, SessionCookies, SessionManager};
    ///
    /// /// The new cookies take the place of those of the staff's own session. A logout ends both.
    /// async fn act_as(
    ///     sessions: &SessionManager,
    ///     staff: Session,
    ///     presented: PresentedTokens,
    ///     user: u64,
    /// ) -> Result<SessionCookies, Error> {
    ///     // … after checking that the staff may:
    ///     sessions.login(user).acting(&staff).replacing(presented).await
    /// }
    /// # let _ = act_as;
    /// ```
    pub fn acting(mut self, actor: &Session<C>) -> Self {
        self.actor = Some(actor.clone());
        self
    }

    fn with_terms(mut self, set: impl FnOnce(&mut SessionTerms) -> Result<(), InvalidSessionClaims>) -> Self {
        self.terms = self.terms.and_then(|mut terms| set(&mut terms).map(|()| terms));
        self
    }

    /// Sets the `User-Agent` of the request, for the list of sessions; truncated to 255 bytes.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.device.user_agent = Some(truncated_user_agent(user_agent.into()));
        self
    }

    /// Sets the address of the client, for the list of sessions. Behind a proxy only the application knows which header
    /// to trust.
    pub const fn ip(mut self, ip: IpAddr) -> Self {
        self.device.ip = Some(ip);
        self
    }

    /// Logs in and returns the tokens as a value instead of cookies: for native clients and tools, never for pages.
    ///
    /// ```
    /// # use tower_jwt_sessions::{Error, SessionManager, manager::SessionTokens};
    /// /// For `POST /token`: the response is the JSON that OAuth clients expect.
    /// async fn login(sessions: &SessionManager<()>) -> Result<SessionTokens, Error> {
    ///     let proof = sessions.start_proof();
    ///     // … after the password was found to be right:
    ///     sessions.login(42).proven_since(proof).user_agent("cli/1").tokens().await
    /// }
    /// # let _ = login;
    /// ```
    ///
    /// # Errors
    ///
    /// As the login itself.
    pub async fn tokens(self) -> Result<SessionTokens, Error> {
        self.run().await
    }

    async fn run(self) -> Result<SessionTokens, Error> {
        let Self { sessions, user, presented, data, mut device, mut proof, terms, absolute_lifetime, actor } = self;
        let sessions = &sessions.within(&presented);
        let cause = sessions.cause(Operation::Login);
        sessions.check_presented(&presented)?;
        let user = user.map_err(|invalid| sessions.error_caused_by(ErrorKind::InvalidUserId, invalid))?;
        let data = data.transpose().map_err(|invalid| sessions.error_caused_by(ErrorKind::DataFormat, invalid))?;
        let mut terms = terms.map_err(|invalid| sessions.error_caused_by(ErrorKind::Claims, invalid))?;
        let mut longest = sessions.inner.lifetimes.absolute;
        if let Some(actor) = &actor {
            sessions.check_session(actor)?;
            if actor.actor().is_some() {
                return Err(sessions.error(ErrorKind::AlreadyActing));
            }
            terms.set_actor(actor.user_id().clone(), actor.id());
            device.actor = Some(actor.user_id().clone());
            longest = longest.min(sessions.inner.lifetimes.acting);
        }
        let terms = terms.into_shared();
        sessions.stated(proof.as_ref())?;
        let Some(mut loaded) = sessions.load_claims(&user, terms.as_deref()).await? else {
            return Err(sessions.error(ErrorKind::UserNotFound));
        };

        // A session of the same user can be replaced atomically with the creation of the new one.
        let mut refs = sessions.with_actors(sessions.session_refs(&presented));
        if let Some(actor) = &actor {
            // It goes on, and the new one ends with it.
            refs.retain(|named| named.claims.session_id != actor.id() || named.claims.user_id != *actor.user_id());
        }
        let mut old = sessions.sessions_to_end(refs);
        let replaces = old.iter().position(|named| named.claims.user_id == user);
        let replaced = replaces.map(|n| old.remove(n).claims);
        let replaces = replaced.as_ref().map(|claims| claims.session_id);
        let why = sessions.end_cause(EndReason::Replaced, Operation::Login);
        for target in sessions.end_targets(&old) {
            let ended = sessions.ender().end_or_leave(target, &why).await;
            ended.map_err(|failure| sessions.store_error(failure))?;
        }

        let id = SessionId::random().ok_or_else(|| sessions.error(ErrorKind::Internal))?;
        let lifetimes = &sessions.inner.lifetimes;
        let mut new = NewSession {
            owner: sessions.owner(&user),
            id,
            refresh_lifetime: lifetimes.refresh_within(terms.as_deref().and_then(SessionTerms::refresh_lifetime)),
            absolute_lifetime: absolute_lifetime.map_or(longest, |limit| limit.max(MAX_CLOCK_SKEW).min(longest)),
            limit: sessions.inner.limit,
            replaces,
            data,
            device,
            log_retention: lifetimes.revocation_retention(),
            claims: None,
            proof: None,
        };
        let (record, now, ended) = loop {
            new.proof = sessions.stated(proof.as_ref())?;
            new.claims = Some(sessions.claims_age(&loaded));
            let created = sessions.store().create(&new).await;
            let answered = sessions.moment();
            match sessions.stored(created)? {
                CreateOutcome::Created { record, now, ended } => break (record, now, ended),
                CreateOutcome::LimitReached => return Err(sessions.error(ErrorKind::SessionLimitReached)),
                CreateOutcome::ClaimsOutdated(expiry) => {
                    let newer = sessions.load_claims_after(&user, terms.as_deref(), &loaded, expiry).await?;
                    loaded = newer.ok_or_else(|| sessions.error(ErrorKind::UserNotFound))?;
                }
                CreateOutcome::ProofOutdated(mark) => {
                    if !proof.as_mut().is_some_and(|proof| proof.outlasts(mark, answered)) {
                        return Err(sessions.error(ErrorKind::ProofOutdated));
                    }
                }
            }
        };
        // Its end was published only if the store had it, which `ended` says.
        if let Some(replaced) = replaces {
            sessions.revocations().begin_end(replaced);
        }
        for gone in ended {
            match replaced.as_ref().filter(|replaced| replaced.session_id == gone) {
                Some(replaced) => sessions.ended(&user, gone, replaced.actor(), EndReason::Replaced, &cause),
                None => sessions.ended(&user, gone, None, EndReason::Evicted, &cause),
            }
        }
        let created =
            SessionEvent::new(&user, id, actor.as_ref().map(Session::user_id), SessionEventKind::Created, &cause);
        let Device { user_agent, ip, .. } = new.device;
        sessions.inner.events.emit(&SessionEvent {
            user_agent: user_agent.or_else(|| created.user_agent.clone()),
            ip: ip.or(created.ip),
            ..created
        });
        sessions.issue((&user, id, terms), &record, now, &loaded.claims, Issue::Both)
    }
}

impl<C: Claims> SessionManager<C> {
    /// Returns what to state to the store about the proof of a login.
    fn stated(&self, proof: Option<&Proof>) -> Result<Option<LoginProof>, Error> {
        let stated = proof.map(|proof| proof.stated(self.moment()).ok_or_else(|| self.error(ErrorKind::ProofOutdated)));
        stated.transpose()
    }
}

impl<'m, C: Claims> IntoFuture for Login<'m, C> {
    type Output = Result<SessionCookies, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'm>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let sessions = self.sessions.within(&self.presented);
            sessions.cookies(self.run().await?)
        })
    }
}

impl<C> std::fmt::Debug for Login<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("replacing", &self.presented).finish_non_exhaustive()
    }
}
