//! From a record to cookies.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use super::SessionManager;
use crate::{
    clock::Timestamp,
    cookie::{IssueCookieError, SessionCookies},
    error::{Error, ErrorKind},
    id::{SessionId, UserId},
    policy::MAX_CLOCK_SKEW,
    store::SessionRecord,
    token::{AppClaims, IssueError, MAX_TOKEN_LEN, RegisteredClaims},
};

/// Claims of a user, loaded and known to fit, and when their loading began.
pub(super) struct LoadedClaims {
    pub(super) claims: AppClaims,
    pub(super) asked_at: Timestamp,
}

/// Which tokens to issue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issue {
    AccessOnly,
    /// An access token for as short as nodes can agree on, so that the client soon refreshes again.
    ShortAccess,
    Both,
}

/// Access that was expired this long before claims were asked for may still be missing from them: the ages come from
/// two clocks, and a read may lag. One more load of the claims is all that it costs.
const CLAIMS_SLACK: Duration = Duration::from_secs(1);

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// Loads the claims of a user and makes sure that they can be issued, before anything is changed. `None` when the
    /// user is gone.
    pub(super) async fn load_claims(&self, user: &UserId) -> Result<Option<LoadedClaims>, Error> {
        let asked_at = self.now();
        let loaded = self.inner.claims.load(user).await;
        let Some(claims) = loaded.map_err(|failure| self.error_caused_by(ErrorKind::ClaimsSource, failure))? else {
            return Ok(None);
        };
        let claims = AppClaims::new(&claims).map_err(|invalid| self.error_caused_by(ErrorKind::Claims, invalid))?;
        let verification = self.verification();
        let plan = &verification.cookies;
        let access = plan.access_name.len() + verification.access.longest(user, &claims);
        let refresh = plan.refresh_name.len() + verification.refresh.longest(user, &AppClaims::none());
        if access.max(refresh) > MAX_TOKEN_LEN {
            return Err(self.error(ErrorKind::TokenTooLong));
        }
        Ok(Some(LoadedClaims { claims, asked_at }))
    }

    /// Whether access was expired since these claims were asked for, so that they may be old.
    ///
    /// The store's clock and ours may differ, so ages are compared, not times.
    pub(super) fn are_claims_outdated(&self, claims: &LoadedClaims, record: &SessionRecord, now: Timestamp) -> bool {
        let age = self.now().since(claims.asked_at).saturating_add(CLAIMS_SLACK);
        record.access_expired_at.is_some_and(|expired_at| now.since(expired_at) <= age)
    }

    /// Signs what the record says at the store's time `now`.
    ///
    /// Access tokens count from `now`. Refresh tokens are a function of the record alone, so that one that was lost
    /// can be issued again.
    pub(super) fn issue(
        &self,
        user: &UserId,
        session: SessionId,
        record: &SessionRecord,
        now: Timestamp,
        claims: &AppClaims,
        which: Issue,
    ) -> Result<SessionCookies, Error> {
        let verification = self.verification();
        let plan = &verification.cookies;
        let ends_at = record.expires_at();
        let lifetime = match which {
            Issue::ShortAccess => self.inner.lifetimes.access.min(MAX_CLOCK_SKEW),
            Issue::AccessOnly | Issue::Both => self.inner.lifetimes.access,
        };
        let access = RegisteredClaims {
            user_id: user.clone(),
            session_id: session,
            generation: record.generation,
            epoch: record.epoch,
            auth_time: record.created_at,
            issued_at: now,
            expires_at: now.saturating_add(lifetime).min(ends_at),
        };
        let token = verification.access.seal(&access, claims).map_err(|failure| self.issue_error(failure))?;
        let mut cookies = SessionCookies::new()
            .with_access(plan, token, rounded(access.expires_at, now))
            .map_err(|failure| self.cookie_error(failure))?;
        if which == Issue::Both {
            let refresh =
                RegisteredClaims { epoch: 0, issued_at: record.refreshed_at(), expires_at: ends_at, ..access };
            let token =
                verification.refresh.seal(&refresh, &AppClaims::none()).map_err(|failure| self.issue_error(failure))?;
            cookies = cookies
                .with_refresh(plan, token, rounded(ends_at, now))
                .map_err(|failure| self.cookie_error(failure))?;
        }
        Ok(cookies)
    }

    pub(super) fn removal(&self) -> Result<SessionCookies, Error> {
        SessionCookies::removal(&self.verification().cookies).map_err(|failure| self.cookie_error(failure))
    }

    fn issue_error(&self, failure: IssueError) -> Error {
        self.error(match failure {
            IssueError::TooLong => ErrorKind::TokenTooLong,
            IssueError::Signing => ErrorKind::Internal,
        })
    }

    fn cookie_error(&self, failure: IssueCookieError) -> Error {
        self.error(match failure {
            IssueCookieError::TooLong => ErrorKind::TokenTooLong,
            IssueCookieError::Unwritable => ErrorKind::Internal,
        })
    }
}

/// What is left of a token in whole seconds, as both dates stand in the token.
fn rounded(expires_at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(expires_at.as_secs().saturating_sub(now.as_secs()))
}
