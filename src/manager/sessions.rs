//! Lists the sessions of a user.

use std::{fmt, net::IpAddr, time::SystemTime};

use super::SessionManager;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::{
    auth::Session,
    claims::Claims,
    clock::Timestamp,
    error::Error,
    id::{SessionId, UserId},
    jwt::SessionTerms,
    store::{ListedSession, Redacted},
};

/// A session in the list that is shown to its user. `Debug` omits where the login came from.
///
/// The times of a refresh are rounded down to the minute: exact times would tell the holder of a stolen token when to
/// use it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The identifier, for [`SessionManager::end`].
    pub id: SessionId,
    /// The login.
    pub created_at: SystemTime,
    /// The last refresh that made a new refresh token, rounded down to the minute; the login if there was none.
    pub refreshed_at: SystemTime,
    /// When it expires unless it is refreshed before, at most a minute too early.
    pub expires_at: SystemTime,
    /// The `User-Agent` of the login, if the application gave it.
    pub user_agent: Option<String>,
    /// The address of the login, if the application gave it.
    pub ip: Option<IpAddr>,
    /// Who acts as the user in this session ([`Login::acting`](crate::manager::Login::acting)); `None` if it is the user.
    pub actor: Option<UserId>,
    /// Whether it is bound to its device (`SessionManagerBuilder::device_binding`): no copy of its cookies can refresh it.
    pub bound: bool,
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
            .field("actor", &self.actor)
            .field("bound", &self.bound)
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
            actor: device.actor,
            bound: record.bound_at.is_some(),
        }
    }
}

fn to_the_minute(time: Timestamp) -> Timestamp {
    Timestamp::from_secs(time.as_secs() / 60 * 60)
}

impl<C: Claims> SessionManager<C> {
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
    /// [`ErrorKind::InvalidUserId`] and [`ErrorKind::Store`].
    pub async fn list(&self, user: impl ToString) -> Result<Vec<SessionInfo>, Error> {
        Ok(listed(self.sessions_of(&self.user_id(user)?).await?))
    }

    /// Lists the live sessions of this session's user, as [`list`](Self::list) does.
    ///
    /// For this session it shows the refresh that issued its access token, not a later refresh by another holder of the
    /// session. `GET /sessions` of the companion router shows this list.
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
    /// [`ErrorKind::Store`] and [`ErrorKind::WrongManager`].
    pub async fn list_for(&self, session: &Session<C>) -> Result<Vec<SessionInfo>, Error> {
        self.check_session(session)?;
        let mut sessions = self.sessions_of(session.user_id()).await?;
        let token = session.registered();
        let limit = token.terms.as_deref().and_then(SessionTerms::refresh_lifetime);
        let refresh_lifetime = self.inner.lifetimes.refresh_within(limit);
        for ListedSession { record, .. } in sessions.iter_mut().filter(|listed| listed.id == session.id()) {
            record.rotated_at = Some(token.issued_at);
            record.idle_end = token.issued_at.saturating_add(refresh_lifetime).min(record.absolute_end);
        }
        Ok(listed(sessions))
    }

    async fn sessions_of(&self, user: &UserId) -> Result<Vec<ListedSession>, Error> {
        let listed = self.store().list(&self.owner(user)).await;
        Ok(self.stored(listed)?.sessions)
    }
}

/// Sorts by the rounded times, since the order of the exact ones would reveal more.
fn listed(sessions: Vec<ListedSession>) -> Vec<SessionInfo> {
    let mut sessions: Vec<SessionInfo> = sessions.into_iter().map(SessionInfo::from).collect();
    sessions.sort_by(|a, b| b.refreshed_at.cmp(&a.refreshed_at).then(a.id.cmp(&b.id)));
    sessions
}
