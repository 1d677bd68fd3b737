//! Ends sessions on behalf of the application, and expires their access tokens.

use super::{SessionManager, session_refs::SessionRef};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::{
    auth::Session,
    claims::Claims,
    error::Error,
    event::{EndCause, EndReason, Operation, SessionEventKind},
    id::{SessionId, UserId},
    store::{Revocation, WhichSessions},
};

impl<C: Claims> SessionManager<C> {
    /// Ends one session of a user. Returns whether it was live.
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
    /// [`ErrorKind::InvalidUserId`]; [`ErrorKind::Store`] when the store failed. This node then retries until the store
    /// has ended the session or the process exits. Sessions that begin after this call are not affected.
    pub async fn end(&self, user: impl ToString, session: SessionId) -> Result<bool, Error> {
        let user = self.user_id(user)?;
        let ended = self.end_in_store(&user, WhichSessions::One(session), Operation::End).await?;
        Ok(!ended.is_empty())
    }

    /// Ends every session of a user, for example when the account is disabled. Returns how many were live.
    ///
    /// On every node, a login in progress loads the claims again, and is refused if its proof began before this
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
        Ok(self.end_in_store(&user, WhichSessions::All, Operation::EndAll).await?.len())
    }

    /// Ends every other session of this session's user, for example after a change of password (OWASP ASVS 5.0,
    /// 7.4.3). Returns how many were live. Logins in progress are treated as in [`end_all`](Self::end_all).
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
        self.check_session(session)?;
        let others = WhichSessions::Others(session.id());
        Ok(self.end_in_store(session.user_id(), others, Operation::EndOthers).await?.len())
    }

    /// Expires every access token of a user, for example after a role was revoked. The sessions live on: the next
    /// refresh loads fresh claims, without a login page. Returns how many sessions there are.
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
    /// As [`SessionManager::end`], but this node does not retry: call it again.
    pub async fn expire_access(&self, user: impl ToString) -> Result<usize, Error> {
        let user = self.user_id(user)?;
        let retention = self.inner.lifetimes.revocation_retention();
        let raised = self.store().expire_access(&self.owner(&user), retention).await;
        let raised = self.stored(raised)?;
        let cause = self.cause(Operation::ExpireAccess);
        for (session, min_epoch) in &raised {
            self.revocations().revoke(Revocation { session: *session, min_epoch: *min_epoch });
            self.emit(&user, *session, None, SessionEventKind::AccessExpired, &cause);
        }
        Ok(raised.len())
    }

    /// Ends sessions of a user at their request, in the store and on this node. Returns those that were live.
    async fn end_in_store(
        &self,
        user: &UserId,
        which: WhichSessions,
        operation: Operation,
    ) -> Result<Vec<SessionId>, Error> {
        let why = self.end_cause(EndReason::Requested, operation);
        let ended = self.ender().end(user, which, &why).await;
        ended.map_err(|failure| self.store_error(failure))
    }

    /// Ends sessions that verified tokens name, in the store and on this node. Returns those that were live.
    pub(super) async fn end_referenced(
        &self,
        sessions: &[SessionRef],
        why: &EndCause,
    ) -> Result<Vec<SessionId>, Error> {
        let ended = self.ender().end_each(self.end_targets(sessions), why).await;
        ended.map_err(|failure| self.store_error(failure))
    }
}
