//! Logout: ends the sessions of the tokens that a request presents.

use super::{
    SessionManager,
    session_refs::{SessionRef, has_certainly_expired},
};
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    cookie::{SessionCookies, TokenCookie},
    error::{Error, ErrorKind},
    event::{EndReason, Operation},
};

impl<C: Claims> SessionManager<C> {
    /// Ends the sessions that the request presents and returns the removal of both cookies.
    ///
    /// Any token with a valid signature is enough, even an expired or superseded one. For a request without tokens,
    /// only the cookies are removed. A session that this node knows to have ended causes no command to the store.
    ///
    /// ```
    /// use axum::extract::State;
    /// use tower_jwt_sessions::{Error, PresentedTokens, SessionCookies, SessionManager};
    ///
    /// /// Like `POST /logout` of the companion router. The returned cookies remove those of the browser.
    /// async fn logout(
    ///     State(sessions): State<SessionManager>,
    ///     presented: PresentedTokens,
    /// ) -> Result<SessionCookies, Error> {
    ///     sessions.logout(&presented).await
    /// }
    /// # let _ = axum::Router::new().route("/logout", axum::routing::post(logout));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the store failed: the session may live on, and the cookies stay so that the logout can
    /// be tried again. This node remembers the logout: it answers `503` to the session's access token, and completes
    /// the logout when the store has recovered, or when the session is refreshed here. Until then other nodes serve the
    /// session, and it stays alive if this process exits first.
    ///
    /// [`ErrorKind::InvalidRequest`] when the credentials are ambiguous or too many, and [`ErrorKind::WrongManager`].
    /// In both cases nothing was changed.
    pub async fn logout(&self, presented: &PresentedTokens<C>) -> Result<SessionCookies, Error> {
        let this = self.within(presented);
        this.check_unambiguous(presented)?;
        let sessions = this.sessions_to_end(this.with_actors(this.session_refs(presented)));
        this.end_referenced(&sessions, &this.end_cause(EndReason::LoggedOut, Operation::Logout)).await?;
        this.removal()
    }

    /// Ends every session of the users that the request presents and returns the removal of both cookies.
    ///
    /// Unlike [`logout`](Self::logout), this needs a valid access token, or an unexpired refresh token of a live
    /// session: possession of an old token is not enough to log its user out everywhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`] when there is no such token, and the others as in [`SessionManager::logout`].
    pub async fn logout_all(&self, presented: &PresentedTokens<C>) -> Result<SessionCookies, Error> {
        let this = self.within(presented);
        this.check_unambiguous(presented)?;
        this.logout_all_of(presented, this.session_refs(presented)).await
    }

    /// Does the same at the request of a user; returns `None`, and changes nothing, if someone acts as the user.
    #[cfg(feature = "router")]
    pub(crate) async fn logout_all_by_user(
        &self,
        presented: &PresentedTokens<C>,
    ) -> Result<Option<SessionCookies>, Error> {
        let this = self.within(presented);
        this.check_unambiguous(presented)?;
        let named = this.session_refs(presented);
        if named.iter().any(|named| named.claims.actor().is_some()) {
            return Ok(None);
        }
        this.logout_all_of(presented, named).await.map(Some)
    }

    async fn logout_all_of(
        &self,
        presented: &PresentedTokens<C>,
        named: Vec<SessionRef>,
    ) -> Result<SessionCookies, Error> {
        let is_good = |named: &SessionRef| {
            let session = presented.session.as_ref().map(Session::registered);
            named.which == TokenCookie::Access && session == Some(&named.claims)
        };
        let (mut alive, others): (Vec<_>, Vec<_>) = named.into_iter().partition(is_good);
        for named in others {
            if !alive.iter().any(|other| other.is_of_session(&named)) && self.is_alive(&named).await? {
                alive.push(named);
            }
        }
        let alive = self.sessions_to_end(alive);
        if alive.is_empty() {
            return Err(self.error(ErrorKind::SessionEnded));
        }
        let why = self.end_cause(EndReason::LoggedOut, Operation::LogoutAll);
        let ended = self.ender().end_all_of(self.end_targets(&alive), &why).await;
        ended.map_err(|failure| self.store_error(failure))?;
        let own = self.sessions_to_end(self.actor_refs(&alive));
        self.end_referenced(&own, &why).await?;
        self.removal()
    }

    /// Ends the session of a refresh or access token that a client without cookies sent in the body of its request
    /// (RFC 7009). Any token with a valid signature is enough, even an expired or superseded one. Returns whether a
    /// session was ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] when the store failed: the session may live on, and this node retries as after a failed
    /// [`logout`](Self::logout). Keep the token and try again.
    pub async fn end_with_token(&self, token: &str) -> Result<bool, Error> {
        let Some((which, claims)) = self.verification().open_any(token.as_bytes(), self.now()) else {
            return Ok(false);
        };
        let sessions = self.sessions_to_end(self.with_actors(vec![SessionRef { which, claims }]));
        let ended = self.end_referenced(&sessions, &self.end_cause(EndReason::LoggedOut, Operation::Logout)).await?;
        Ok(!ended.is_empty())
    }

    /// Whether a token has not expired and its session is alive, as far as the store knows.
    async fn is_alive(&self, SessionRef { which, claims }: &SessionRef) -> Result<bool, Error> {
        let has_expired = match which {
            TokenCookie::Access => self.now() >= claims.expires_at,
            TokenCookie::Refresh => has_certainly_expired(claims, self.now()),
        };
        if has_expired || self.revocations().is_ended(claims.session_id) {
            return Ok(false);
        }
        let found = self.store().find(&self.owner(&claims.user_id), claims.session_id).await;
        Ok(self.stored(found)?.is_some_and(|found| match which {
            // This node may refuse it because a logout failed, and this may be the retry.
            TokenCookie::Access => claims.epoch >= found.record.epoch,
            TokenCookie::Refresh => true,
        }))
    }
}
