//! Signs the tokens of a session record, and puts them into cookies.

use std::{sync::Arc, time::Duration};

use super::SessionManager;
use crate::{
    claims::Claims,
    clock::Timestamp,
    cookie::{IssueCookieError, SessionCookies},
    error::{Error, ErrorKind},
    id::{SessionId, UserId},
    jwt::{AppClaims, IssueError, RegisteredClaims, SessionTerms},
    policy::MAX_CLOCK_SKEW,
    store::SessionRecord,
    token_response::{CookieTerms, IssuedToken, SessionTokens},
};

/// Which tokens to issue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issue {
    AccessOnly,
    /// An access token that is as short-lived as the clock skew allows, so that the client soon refreshes again. Always
    /// for a superseded generation.
    ShortAccess,
    Both,
}

impl<C: Claims> SessionManager<C> {
    /// Signs what the record says at the store's time `now`.
    ///
    /// Access tokens are issued at `now`. Refresh tokens depend only on the record and on what the login said, so that
    /// a lost one can be issued again.
    pub(super) fn issue(
        &self,
        (user, session, terms): (&UserId, SessionId, Option<Arc<SessionTerms>>),
        record: &SessionRecord,
        now: Timestamp,
        claims: &AppClaims,
        which: Issue,
    ) -> Result<SessionTokens, Error> {
        let verification = self.verification();
        let ends_at = record.expires_at();
        let lifetime = match which {
            Issue::ShortAccess => self.inner.lifetimes.access.min(MAX_CLOCK_SKEW),
            Issue::AccessOnly | Issue::Both => self.inner.lifetimes.access,
        };
        let is_bound = record.bound_at.is_some();
        let lifetime = if is_bound { lifetime.min(self.inner.lifetimes.bound) } else { lifetime };
        let access = RegisteredClaims {
            user_id: user.clone(),
            session_id: session,
            generation: record.generation,
            epoch: record.epoch,
            auth_time: record.created_at,
            issued_at: now,
            expires_at: now.saturating_add(lifetime).min(ends_at),
            terms,
        };
        let is_persistent = access.terms.as_deref().is_none_or(SessionTerms::is_persistent);
        #[cfg(feature = "dbsc")]
        let registration = self.offer(session, record, now);
        #[cfg(not(feature = "dbsc"))]
        let registration = None;
        let cookies = CookieTerms { is_persistent, is_access_timed: is_bound, registration };
        // The refresh token says what the login said, so that it can be issued again.
        let terms = access.terms.clone();
        let access = match is_bound {
            true => RegisteredClaims { terms: Some(Arc::new(SessionTerms::bound(terms.as_deref()))), ..access },
            false => access,
        };
        let token = verification.access.load().seal(&access, claims).map_err(|failure| self.issue_error(failure))?;
        let issued = IssuedToken { token, lives: rounded(access.expires_at, now) };
        if which != Issue::Both {
            return Ok(SessionTokens::new(issued, None, cookies));
        }
        let refresh =
            RegisteredClaims { epoch: 0, issued_at: record.refreshed_at(), expires_at: ends_at, terms, ..access };
        let token = verification
            .refresh
            .load()
            .seal(&refresh, &AppClaims::none())
            .map_err(|failure| self.issue_error(failure))?;
        let refresh = IssuedToken { token, lives: rounded(ends_at, now) };
        Ok(SessionTokens::new(issued, Some(refresh), cookies))
    }

    /// Writes tokens into cookies.
    pub(super) fn cookies(&self, tokens: SessionTokens) -> Result<SessionCookies, Error> {
        let settings = &self.verification().sources.cookies;
        let (access, refresh, CookieTerms { is_persistent, is_access_timed, registration }) = tokens.into_parts();
        let cookies = SessionCookies::new().persistent(is_persistent).timed(is_access_timed).offering(registration);
        let cookies = cookies.with_access(settings, access.token, access.lives);
        let cookies = match refresh {
            Some(refresh) => cookies.and_then(|cookies| cookies.with_refresh(settings, refresh.token, refresh.lives)),
            None => cookies,
        };
        cookies.map_err(|failure| self.cookie_error(failure))
    }

    pub(super) fn removal(&self) -> Result<SessionCookies, Error> {
        SessionCookies::removal(&self.verification().sources.cookies).map_err(|failure| self.cookie_error(failure))
    }

    /// Has the browser of a bound session refresh before its next request. Without this it would not while the access
    /// cookie is there, even if its token is refused, as after [`expire_access`](Self::expire_access).
    #[cfg(feature = "dbsc")]
    pub(crate) fn access_removal(&self) -> Result<SessionCookies, Error> {
        let settings = &self.verification().sources.cookies;
        SessionCookies::access_removal(settings).map_err(|failure| self.cookie_error(failure))
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

/// The remaining lifetime of a token in whole seconds, as it follows from the dates in the token.
fn rounded(expires_at: Timestamp, now: Timestamp) -> Duration {
    Duration::from_secs(expires_at.as_secs().saturating_sub(now.as_secs()))
}
