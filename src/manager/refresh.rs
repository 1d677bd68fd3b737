//! Refresh: verifies the token, loads the claims, rotates the record and signs, in this order, so that no failure
//! before the rotation uses up the token.

#[cfg(feature = "router")]
use std::time::Duration;

#[cfg(feature = "router")]
use tokio::time::timeout;

use super::{SessionManager, issue::Issue, session_refs::has_certainly_expired};
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    clock::Timestamp,
    cookie::SessionCookies,
    error::{Error, ErrorKind},
    event::{Cause, EndCause, EndReason, LOG_TARGET, Operation, RefreshKind, SessionEventKind},
    jwt::{AppClaims, RegisteredClaims, SessionTerms},
    measure,
    revocation::EndTarget,
    store::{RefreshAttempt, RotateOutcome, RotateSession, Rotation, SessionRecord, WhichSessions},
    token_response::SessionTokens,
};

/// The tokens of a rotation, and what they were made of.
#[cfg_attr(not(feature = "router"), expect(dead_code, reason = "only a renewal issues another token"))]
pub(super) struct Rotated {
    pub(super) tokens: SessionTokens,
    pub(super) record: SessionRecord,
    now: Timestamp,
    claims: AppClaims,
    pub(super) which: Issue,
}

/// What a refresh presents beside its token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proven {
    /// Nothing.
    No,
    /// A signature of the session's device, which was verified.
    #[cfg(feature = "dbsc")]
    ByDevice,
}

/// Longer than a store waits for its server.
#[cfg(feature = "router")]
const LONGEST_RENEWAL: Duration = Duration::from_secs(30);

/// A refresh within a request.
#[cfg(feature = "router")]
pub(crate) struct Renewal {
    /// For the response.
    pub(crate) cookies: SessionCookies,
    /// For the rest of the request.
    pub(crate) access_token: String,
}

impl<C: Claims> SessionManager<C> {
    /// Exchanges the presented refresh token for fresh cookies.
    ///
    /// Safe to call from parallel tabs and to repeat after a lost response: see
    /// [`ReplayWindow`](crate::policy::ReplayWindow). A failure does not remove the cookies, because its response may
    /// arrive after that of a newer login.
    ///
    /// ```
    /// use axum::extract::State;
    /// use tower_jwt_sessions::{Error, PresentedTokens, SessionCookies, SessionManager};
    ///
    /// /// Like `POST /refresh` of the companion router.
    /// async fn refresh(
    ///     State(sessions): State<SessionManager>,
    ///     presented: PresentedTokens,
    /// ) -> Result<SessionCookies, Error> {
    ///     sessions.refresh(&presented).await
    /// }
    /// # let _ = axum::Router::new().route("/refresh", axum::routing::post(refresh));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingRefreshToken`] and [`ErrorKind::InvalidRefreshToken`] mean that the user has to log in;
    /// [`ErrorKind::ClaimsSource`] and [`ErrorKind::Store`] that the outcome is unknown, and to try again;
    /// [`ErrorKind::ProofRequired`] that the session is bound to a device, whose browser refreshes by itself;
    /// [`ErrorKind::InvalidRequest`] that the request has credentials in two places or too many cookies;
    /// [`ErrorKind::WrongManager`] that `presented` comes from the layer of another manager.
    pub async fn refresh(&self, presented: &PresentedTokens<C>) -> Result<SessionCookies, Error> {
        let this = self.within(presented);
        let token = this.refreshable(presented)?;
        let tokens = this.rotate(token, Operation::Refresh, Proven::No).await?.tokens;
        this.cookies(tokens)
    }

    /// Refreshes for a request that has not reached its handler yet.
    ///
    /// As [`refresh`](Self::refresh), but the request gets an access token of its own, with the generation that the
    /// client has presented. The use of the newer one would confirm a response that the client does not have yet: if
    /// that is lost, the client still presents the predecessor, which must not count as reuse.
    ///
    /// The request stops to wait for it long before the limit, which is for a claims source that never answers: its
    /// refreshes would pile up.
    #[cfg(feature = "router")]
    pub(crate) async fn renew(&self, presented: &PresentedTokens<C>) -> Result<Renewal, Error> {
        match timeout(LONGEST_RENEWAL, self.renew_now(presented)).await {
            Ok(renewal) => renewal,
            Err(_) => Err(self.error(ErrorKind::ClaimsSource)),
        }
    }

    #[cfg(feature = "router")]
    async fn renew_now(&self, presented: &PresentedTokens<C>) -> Result<Renewal, Error> {
        let this = self.within(presented);
        let token = this.refreshable(presented)?;
        let Rotated { tokens, record, now, claims, which } = this.rotate(token, Operation::Renewal, Proven::No).await?;
        let which = match which {
            Issue::Both => Issue::AccessOnly,
            other => other,
        };
        let record = SessionRecord { generation: token.generation, ..record };
        let named = (&token.user_id, token.session_id, token.terms.clone());
        let for_request = this.issue(named, &record, now, &claims, which)?;
        Ok(Renewal { cookies: this.cookies(tokens)?, access_token: for_request.into_parts().0.token })
    }

    /// Returns the refresh token of a request.
    pub(super) fn refreshable<'p>(&self, presented: &'p PresentedTokens<C>) -> Result<&'p RegisteredClaims, Error> {
        self.check_unambiguous(presented)?;
        let Some(token) = &presented.refresh else {
            return Err(self.error(match presented.refresh_attempted {
                true => ErrorKind::InvalidRefreshToken,
                false => ErrorKind::MissingRefreshToken,
            }));
        };
        // Tokens of two sessions are a mistake or an attack (OWASP: all tokens belong to one session).
        let of_another = |session: &Session<C>| session.id() != token.session_id || *session.user_id() != token.user_id;
        if presented.session.as_ref().is_some_and(of_another) {
            return Err(self.error(ErrorKind::InvalidRefreshToken));
        }
        Ok(token)
    }

    /// Exchanges a refresh token that a client without cookies sent in the body of its request.
    ///
    /// It behaves as [`refresh`](Self::refresh) does: it is safe to repeat after a lost response, and the later reuse
    /// of a superseded token ends the session. `token_router` is a route on it.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, SessionManager, error::ErrorKind, manager::SessionTokens};
    ///
    /// /// `None` means that the user has to log in.
    /// async fn refresh(sessions: &SessionManager, token: &str) -> Result<Option<SessionTokens>, Error> {
    ///     match sessions.refresh_with_token(token).await {
    ///         Ok(tokens) => Ok(Some(tokens)),
    ///         Err(error) if error.kind() == ErrorKind::InvalidRefreshToken => Ok(None),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// # let _ = refresh;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRefreshToken`] means that the user has to log in; [`ErrorKind::ClaimsSource`] and
    /// [`ErrorKind::Store`] that the outcome is unknown, and to try again with the same token;
    /// [`ErrorKind::ProofRequired`] that it is the session of a browser, bound to its device.
    pub async fn refresh_with_token(&self, refresh_token: &str) -> Result<SessionTokens, Error> {
        match self.verification().open_refresh(refresh_token.as_bytes(), self.now()) {
            Some(token) => Ok(self.rotate(&token, Operation::Refresh, Proven::No).await?.tokens),
            None => Err(self.error(ErrorKind::InvalidRefreshToken)),
        }
    }

    /// Rotates the session of a refresh token whose signature is verified, and counts the outcome.
    pub(super) async fn rotate(
        &self,
        token: &RegisteredClaims,
        operation: Operation,
        proven: Proven,
    ) -> Result<Rotated, Error> {
        let rotated = self.rotate_session(token, operation, proven).await;
        measure::refresh(match &rotated {
            Ok(Rotated { which: Issue::Both, .. }) => "new_tokens",
            Ok(_) => "new_access_token",
            Err(error) => match error.kind() {
                ErrorKind::InvalidRefreshToken | ErrorKind::ProofRequired => "refused",
                ErrorKind::Store => "store_unavailable",
                ErrorKind::ClaimsSource => "claims_source_unavailable",
                _ => "error",
            },
        });
        rotated
    }

    async fn rotate_session(
        &self,
        token: &RegisteredClaims,
        operation: Operation,
        proven: Proven,
    ) -> Result<Rotated, Error> {
        let cause = self.cause(operation);
        let (user, id, actor) = (&token.user_id, token.session_id, token.actor());
        let terms = token.terms.as_deref();
        // The store would refuse it by its own clock. Here it costs no call of the claims source and no event.
        if has_certainly_expired(token, self.now()) {
            tracing::debug!(target: LOG_TARGET, "refresh token refused: expired");
            return Err(self.error(ErrorKind::InvalidRefreshToken));
        }
        // Read before the claims, so that they are newer than every `expire_access` that this epoch includes.
        let min_epoch = self.min_epoch(token, &cause).await?;
        if let Some(actor) = token.actor_session() {
            // If it ends after this, the revocation list refuses the access token that is issued here.
            let is_alive = self.inner.backend.is_actor_alive(actor).await;
            if !is_alive.map_err(|failure| self.store_error(failure))? {
                return Err(self.actor_ended(token, cause).await);
            }
        }
        let Some(mut loaded) = self.load_claims(user, terms).await? else {
            return Err(self.user_gone(token, cause).await);
        };

        let (window, lifetimes) = (self.inner.replay_window, self.inner.lifetimes);
        let refresh_lifetime = lifetimes.refresh_within(terms.and_then(SessionTerms::refresh_lifetime));
        let mut attempt = RefreshAttempt::new(token.generation, token.expires_at, window, refresh_lifetime);
        attempt.min_epoch = min_epoch;
        attempt.is_proven = proven != Proven::No;
        let mut step = RotateSession::new(self.owner(user), id, attempt, lifetimes.revocation_retention());
        let (rotation, record, now) = loop {
            step.claims = Some(self.claims_age(&loaded));
            let outcome = self.store().rotate(&step).await;
            match self.stored(outcome)? {
                RotateOutcome::Live { rotation, record, now, rolled_back } => {
                    if rolled_back {
                        self.emit(user, id, actor, SessionEventKind::StoreRolledBack, &cause);
                    }
                    break (rotation, record, now);
                }
                // Before the step and not after it, so that a failure of the source does not use up the token.
                RotateOutcome::ClaimsOutdated(expiry) => {
                    step.attempt.min_epoch = self.min_epoch(token, &cause).await?;
                    match self.load_claims_after(user, terms, &loaded, expiry).await? {
                        Some(newer) => loaded = newer,
                        None => return Err(self.user_gone(token, cause).await),
                    }
                }
                RotateOutcome::Reused => {
                    self.emit(user, id, actor, SessionEventKind::RefreshTokenReused, &cause);
                    self.ended(user, id, actor, EndReason::RefreshTokenReused, &cause);
                    return Err(self.error(ErrorKind::InvalidRefreshToken));
                }
                RotateOutcome::ProofRequired => {
                    self.emit(user, id, actor, SessionEventKind::DeviceProofMissing, &cause);
                    return Err(self.error(ErrorKind::ProofRequired));
                }
                RotateOutcome::Ended => {
                    self.inner.backend.note_missing(token);
                    return Err(self.used_after_end(token, &cause));
                }
            }
        };
        let kind = match rotation {
            Rotation::Current => RefreshKind::AccessOnly,
            Rotation::Rotated => RefreshKind::Rotated,
            Rotation::Repeated => RefreshKind::Repeated,
        };
        self.emit(user, id, actor, SessionEventKind::Refreshed(kind), &cause);
        if attempt.is_proven && record.bound_at == Some(now) {
            self.emit(user, id, actor, SessionEventKind::DeviceBound, &cause);
        }

        // With the generation that the client keeps: the use of a newer one would confirm a response that never
        // arrived.
        let presented = SessionRecord { generation: token.generation, ..record };
        let just_rotated = record.rotated_within(self.inner.replay_window.length().saturating_mul(2), now);
        let (which, record) = match rotation {
            // A superseded token whose response may be under way. The use of the access token confirms nothing, so a
            // thief could use it unnoticed. It is short: a client that did lose the response soon refreshes again.
            Rotation::Current if token.generation < record.generation => (Issue::ShortAccess, presented),
            // No use of the current token was recorded, so this is its first, and its predecessor may be repeated for
            // another window. The session's idle end has not moved: it does at the next refresh, which should be soon.
            Rotation::Current if !just_rotated => (Issue::ShortAccess, presented),
            Rotation::Current => (Issue::AccessOnly, presented),
            Rotation::Rotated | Rotation::Repeated => (Issue::Both, record),
        };
        let tokens = self.issue((user, id, token.terms.clone()), &record, now, &loaded.claims, which)?;
        Ok(Rotated { tokens, record, now, claims: loaded.claims, which })
    }

    /// Returns the smallest epoch of the session that this node accepts. After a failover the store may have a smaller
    /// one.
    ///
    /// A session that this node knows to have ended stays ended. An unfinished end is completed first: until the store
    /// confirms it, the session can neither be refreshed nor be reported as ended.
    pub(super) async fn min_epoch(&self, token: &RegisteredClaims, cause: &Cause) -> Result<u32, Error> {
        let is_over = self.ender().finish(&token.user_id, token.session_id).await;
        if is_over.map_err(|failure| self.store_error(failure))? {
            return Err(self.used_after_end(token, cause));
        }
        self.revocations().min_epoch(token.session_id).ok_or_else(|| self.used_after_end(token, cause))
    }

    pub(super) fn used_after_end(&self, token: &RegisteredClaims, cause: &Cause) -> Error {
        self.emit(&token.user_id, token.session_id, token.actor(), SessionEventKind::UsedAfterEnd, cause);
        self.error(ErrorKind::InvalidRefreshToken)
    }

    /// Ends a session in which someone acted whose own session has ended.
    async fn actor_ended(&self, token: &RegisteredClaims, cause: Cause) -> Error {
        let why = EndCause { reason: EndReason::ActorEnded, cause };
        match self.ender().end_each(vec![presented(token)], &why).await {
            Ok(_) => self.error(ErrorKind::InvalidRefreshToken),
            Err(failure) => self.store_error(failure),
        }
    }

    /// Ends every session of a user who no longer exists in the claims source.
    async fn user_gone(&self, token: &RegisteredClaims, cause: Cause) -> Error {
        match self.ender().end_all_of(vec![presented(token)], &EndCause { reason: EndReason::UserGone, cause }).await {
            Ok(()) => self.error(ErrorKind::InvalidRefreshToken),
            Err(failure) => self.store_error(failure),
        }
    }
}

/// Returns the session of a token that is presented, to end it.
fn presented(token: &RegisteredClaims) -> EndTarget {
    EndTarget {
        user: token.user_id.clone(),
        which: WhichSessions::Proven(token.session_id),
        actor: token.actor().map(|actor| (token.session_id, actor.clone())),
    }
}
