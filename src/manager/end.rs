//! Ending sessions, and listing those that could be ended.

use std::{fmt, net::IpAddr, time::SystemTime};

use super::{
    SessionManager,
    presented::{SessionRef, has_certainly_expired},
};
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    clock::Timestamp,
    cookie::{SessionCookies, TokenCookie},
    error::{Error, ErrorKind},
    event::{EndReason, SessionEventKind},
    id::{SessionId, UserId},
    store::{ListedSession, Redacted, Revocation, WhichSessions},
};

/// A session as it is shown to its user. `Debug` does not print where the login came from.
///
/// The times of a refresh are rounded down to the minute: exact times would tell the holder of a stolen token when to
/// present it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The identifier, for [`SessionManager::end`].
    pub id: SessionId,
    /// The login.
    pub created_at: SystemTime,
    /// The last refresh that made a new refresh token, rounded down to the minute; the login if there was none.
    pub refreshed_at: SystemTime,
    /// When it ends unless it is refreshed before, at most a minute too early.
    pub expires_at: SystemTime,
    /// The `User-Agent` of the login, if the application gave it.
    pub user_agent: Option<String>,
    /// The address of the login, if the application gave it.
    pub ip: Option<IpAddr>,
}

impl fmt::Debug for SessionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionInfo")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("refreshed_at", &self.refreshed_at)
            .field("expires_at", &self.expires_at)
            .field("user_agent", &self.user_agent.as_ref().map(|_| Redacted))
            .field("ip", &self.ip.as_ref().map(|_| Redacted))
            .finish()
    }
}

impl From<ListedSession> for SessionInfo {
    fn from(listed: ListedSession) -> Self {
        let ListedSession { id, record, device } = listed;
        let refreshed_at = to_the_minute(record.refreshed_at()).max(record.created_at);
        // The idle end follows the refresh, so it is rounded by as much.
        let cut = record.refreshed_at().since(refreshed_at);
        let expires_at = match record.idle_end < record.absolute_end {
            true => record.idle_end.saturating_sub(cut),
            false => record.absolute_end,
        };
        Self {
            id,
            created_at: record.created_at.into(),
            refreshed_at: refreshed_at.into(),
            expires_at: expires_at.into(),
            user_agent: device.user_agent,
            ip: device.ip,
        }
    }
}

fn to_the_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_secs(time.as_secs() / 60 * 60)
}

impl<C: Claims> SessionManager<C> {
    /// Ends the sessions that the request presents and returns the removal of both cookies.
    ///
    /// Any token that we signed is enough, even one that has expired or was superseded. A request that presents nothing
    /// only gets its cookies removed. A session that this node knows to have ended takes no step of the store.
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
    /// [`ErrorKind::Store`] when the store failed: the session may live on, and the
    /// cookies stay so that the logout can be tried again. This node keeps the logout: it answers `503` to the
    /// session's access token, and completes the logout when the store has recovered, or when the session is refreshed
    /// here. Until then other nodes serve the session, and it stays alive if this process ends first.
    ///
    /// [`ErrorKind::InvalidRequest`] when the credentials are ambiguous or
    /// more than a few, and [`ErrorKind::WrongManager`]. In both cases nothing
    /// was done.
    pub async fn logout(&self, presented: &PresentedTokens<C>) -> Result<SessionCookies, Error> {
        self.understood(presented)?;
        let sessions = self.to_be_ended(self.session_refs(presented));
        self.end_named(&sessions, EndReason::LoggedOut).await?;
        self.removal()
    }

    /// Ends every session of the users that the request presents and returns the removal of both cookies.
    ///
    /// Unlike a plain logout, this needs a good access token, or an unexpired refresh token of a live session: an old
    /// token that somebody kept must not be enough to log its user out everywhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::SessionEnded`] when there is no such token, and the others
    /// as in [`SessionManager::logout`].
    pub async fn logout_all(&self, presented: &PresentedTokens<C>) -> Result<SessionCookies, Error> {
        self.understood(presented)?;
        let is_good = |named: &SessionRef| {
            let session = presented.session.as_ref().map(Session::registered);
            named.which == TokenCookie::Access && session == Some(&named.claims)
        };
        let (mut alive, others): (Vec<_>, Vec<_>) = self.session_refs(presented).into_iter().partition(is_good);
        for named in others {
            if !alive.iter().any(|other| other.is_of_session(&named)) && self.is_alive(&named).await? {
                alive.push(named);
            }
        }
        let alive = self.to_be_ended(alive);
        if alive.is_empty() {
            return Err(self.error(ErrorKind::SessionEnded));
        }
        let ended = self.ender().end_all_of(&self.to_end(&alive), EndReason::LoggedOut).await;
        ended.map_err(|failure| self.store_error(failure))?;
        self.removal()
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

    /// Ends one session of a user. Says whether it was alive.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, Session, SessionId, SessionManager};
    ///
    /// /// Only sessions of this user are ended, whatever id the request names.
    /// async fn end_device(sessions: &SessionManager, session: &Session, id: SessionId) -> Result<bool, Error> {
    ///     sessions.end(session.user_id(), id).await
    /// }
    /// # let _ = end_device;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUserId`];
    /// [`ErrorKind::Store`] when the store failed. This node then tries again until the
    /// store has done it or the process ends, and spares sessions that begin after this call.
    pub async fn end(&self, user: impl ToString, session: SessionId) -> Result<bool, Error> {
        let user = self.user_id(user)?;
        let ended = self.end_in_store(&user, WhichSessions::One(session), EndReason::Revoked).await?;
        Ok(!ended.is_empty())
    }

    /// Ends every session of a user, for example when the account is disabled. Returns how many were alive.
    ///
    /// On every node, a login that is under way loads the claims again, and is refused if its proof began before this
    /// call ([`Login::proven_since`](crate::manager::Login::proven_since)). So change the password or disable the
    /// account first. To log the user in again in the same request, do not pass the proof from before the call.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, SessionManager};
    ///
    /// async fn disable(sessions: &SessionManager, user: u64) -> Result<(), Error> {
    ///     // First mark the account as disabled, so that the claims source returns `None` for it. Then:
    ///     let ended = sessions.end_all(user).await?;
    ///     println!("{ended} sessions ended");
    ///     Ok(())
    /// }
    /// # let _ = disable;
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SessionManager::end`].
    pub async fn end_all(&self, user: impl ToString) -> Result<usize, Error> {
        let user = self.user_id(user)?;
        Ok(self.end_in_store(&user, WhichSessions::All, EndReason::Revoked).await?.len())
    }

    /// Ends every other session of this session's user, for example after a change of password (OWASP ASVS 5.0,
    /// 7.4.3). Returns how many were alive. Logins that are under way are treated as in [`end_all`](Self::end_all).
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, Session, SessionManager};
    ///
    /// async fn change_password(sessions: &SessionManager, session: &Session) -> Result<(), Error> {
    ///     // First store the new password hash. Then log out everywhere else:
    ///     sessions.end_others(session).await?;
    ///     Ok(())
    /// }
    /// # let _ = change_password;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`], as with [`SessionManager::end`];
    /// [`ErrorKind::WrongManager`].
    pub async fn end_others(&self, session: &Session<C>) -> Result<usize, Error> {
        self.is_our_session(session)?;
        let others = WhichSessions::Others(session.id());
        Ok(self.end_in_store(session.user_id(), others, EndReason::Revoked).await?.len())
    }

    async fn end_in_store(
        &self,
        user: &UserId,
        which: WhichSessions,
        reason: EndReason,
    ) -> Result<Vec<SessionId>, Error> {
        let ended = self.ender().end(user, which, reason).await;
        ended.map_err(|failure| self.store_error(failure))
    }

    /// Expires every access token of a user while the sessions live on: the next refresh brings fresh claims, and
    /// nobody sees a login page. For a role that was taken away. Returns how many sessions there are.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, SessionManager};
    ///
    /// async fn demote(sessions: &SessionManager, user: u64) -> Result<(), Error> {
    ///     // First change the role where the claims source reads it. Then:
    ///     sessions.expire_access(user).await?;
    ///     Ok(())
    /// }
    /// # let _ = demote;
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SessionManager::end`], but this node does not try again: call it once more.
    pub async fn expire_access(&self, user: impl ToString) -> Result<usize, Error> {
        let user = self.user_id(user)?;
        let retention = self.inner.lifetimes.revocation_retention();
        let raised = self.store().expire_access(&self.owner(&user), retention).await;
        let raised = self.stored(raised)?;
        for (session, min_epoch) in &raised {
            self.revocations().revoke(Revocation { session: *session, min_epoch: *min_epoch });
            self.emit(&user, *session, SessionEventKind::AccessExpired);
        }
        Ok(raised.len())
    }

    /// Lists the live sessions of a user, most recently refreshed first, to the minute.
    ///
    /// To show users their own sessions, use [`list_for`](Self::list_for): a thief who keeps reading this list with a
    /// stolen access token would see when the owner of the token refreshes.
    ///
    /// ```
    /// use tower_jwt_sessions::{Error, SessionManager};
    ///
    /// /// For support staff.
    /// async fn devices(sessions: &SessionManager, user: u64) -> Result<Vec<String>, Error> {
    ///     let listed = sessions.list(user).await?;
    ///     Ok(listed.into_iter().map(|info| info.user_agent.unwrap_or_else(|| "unknown".into())).collect())
    /// }
    /// # let _ = devices;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUserId`],
    /// [`ErrorKind::Store`].
    pub async fn list(&self, user: impl ToString) -> Result<Vec<SessionInfo>, Error> {
        Ok(listed(self.sessions_of(&self.user_id(user)?).await?))
    }

    /// Lists the live sessions of this session's user, as [`list`](Self::list) does.
    ///
    /// For this session it shows the refresh that its access token comes from, and not whether another holder has
    /// refreshed since. `GET /sessions` of the companion router shows this list.
    ///
    /// ```
    /// # use tower_jwt_sessions::{Error, Session, SessionManager, manager::SessionInfo};
    /// async fn devices(sessions: &SessionManager, session: &Session) -> Result<Vec<SessionInfo>, Error> {
    ///     sessions.list_for(session).await
    /// }
    /// # let _ = devices;
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] and
    /// [`ErrorKind::WrongManager`].
    pub async fn list_for(&self, session: &Session<C>) -> Result<Vec<SessionInfo>, Error> {
        self.is_our_session(session)?;
        let mut sessions = self.sessions_of(session.user_id()).await?;
        let token = session.registered();
        for ListedSession { record, .. } in sessions.iter_mut().filter(|listed| listed.id == session.id()) {
            record.rotated_at = Some(token.issued_at);
            record.idle_end = token.issued_at.saturating_add(self.inner.lifetimes.refresh).min(record.absolute_end);
        }
        Ok(listed(sessions))
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<ListedSession>, Error> {
        let listed = self.store().list(&self.owner(user)).await;
        Ok(self.stored(listed)?.sessions)
    }
}

/// Sorted by the rounded times: the order of the exact ones would tell more.
fn listed(sessions: Vec<ListedSession>) -> Vec<SessionInfo> {
    let mut sessions: Vec<SessionInfo> = sessions.into_iter().map(SessionInfo::from).collect();
    sessions.sort_by(|a, b| b.refreshed_at.cmp(&a.refreshed_at).then(a.id.cmp(&b.id)));
    sessions
}
