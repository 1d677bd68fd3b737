//! From a record to tokens, and from tokens to cookies.

use std::time::Duration;

use super::{SessionManager, UNDER_WAY};
use crate::{
    claims::Claims,
    clock::{Moment, Timestamp},
    cookie::{IssueCookieError, SessionCookies},
    error::{Error, ErrorKind},
    id::{SessionId, UserId},
    jwt::{AppClaims, IssueError, MAX_TOKEN_LEN, RegisteredClaims},
    policy::MAX_CLOCK_SKEW,
    store::{AccessExpiry, ClaimsAge, SessionRecord},
    token_response::{IssuedToken, SessionTokens},
};

/// Claims of a user, loaded and known to fit, and when their loading began.
pub(super) struct LoadedClaims {
    pub(super) claims: AppClaims,
    asked_at: Moment,
    /// What was known before they were asked for.
    newer_than: Option<AccessExpiry>,
    loads: u32,
}

/// How often claims are loaded for one step while access is expired again and again.
const MAX_LOADS: u32 = 8;

/// Which tokens to issue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Issue {
    AccessOnly,
    /// An access token as short as the skew of clocks allows, so that the client soon refreshes again. Every one of a
    /// superseded generation is short.
    ShortAccess,
    Both,
}

/// Access that was expired this long before claims were asked for may still be missing from them: the ages come from
/// two clocks, and a read may lag. One more load of the claims is all that it costs.
const CLAIMS_SLACK: Duration = Duration::from_secs(1);

impl<C: Claims> SessionManager<C> {
    /// Loads the claims of a user and makes sure that they can be issued, before anything is changed. `None` when the
    /// user is gone.
    pub(super) async fn load_claims(&self, user: &UserId) -> Result<Option<LoadedClaims>, Error> {
        let asked_at = self.moment();
        let loaded = self.inner.claims.load(user).await;
        let Some(claims) = loaded.map_err(|failure| self.error_caused_by(ErrorKind::ClaimsSource, failure))? else {
            return Ok(None);
        };
        if self.moment().since(asked_at) >= UNDER_WAY {
            return Err(self.error_caused_by(ErrorKind::ClaimsSource, "the claims took too long to load"));
        }
        let verification = self.verification();
        let claims = AppClaims::new(&claims, verification.shape)
            .map_err(|invalid| self.error_caused_by(ErrorKind::Claims, invalid))?;
        let plan = &verification.sources.cookies;
        let access = plan.access_name.len() + verification.access.load().longest(user, &claims);
        let refresh = plan.refresh_name.len() + verification.refresh.load().longest(user, &AppClaims::none());
        if access.max(refresh) > MAX_TOKEN_LEN {
            return Err(self.error(ErrorKind::TokenTooLong));
        }
        Ok(Some(LoadedClaims { claims, asked_at, newer_than: None, loads: 1 }))
    }

    /// Loads them once more, since access was expired meanwhile.
    pub(super) async fn load_claims_after(
        &self,
        user: &UserId,
        outdated: &LoadedClaims,
        expiry: AccessExpiry,
    ) -> Result<Option<LoadedClaims>, Error> {
        let loads = outdated.loads + 1;
        if loads > MAX_LOADS {
            return Err(
                self.error_caused_by(ErrorKind::ClaimsSource, "access is expired faster than claims are loaded")
            );
        }
        Ok(self.load_claims(user).await?.map(|loaded| LoadedClaims { newer_than: Some(expiry), loads, ..loaded }))
    }

    /// How old they are, for the step that will be signed with them. The store's clock and ours may differ, so it
    /// compares ages, not times.
    pub(super) fn claims_age(&self, loaded: &LoadedClaims) -> ClaimsAge {
        let age = self.moment().since(loaded.asked_at).saturating_add(CLAIMS_SLACK);
        ClaimsAge { age, newer_than: loaded.newer_than }
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
    ) -> Result<SessionTokens, Error> {
        let verification = self.verification();
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
        let token = verification.access.load().seal(&access, claims).map_err(|failure| self.issue_error(failure))?;
        let issued = IssuedToken { token, lives: rounded(access.expires_at, now) };
        if which != Issue::Both {
            return Ok(SessionTokens::new(issued, None));
        }
        let refresh = RegisteredClaims { epoch: 0, issued_at: record.refreshed_at(), expires_at: ends_at, ..access };
        let token = verification
            .refresh
            .load()
            .seal(&refresh, &AppClaims::none())
            .map_err(|failure| self.issue_error(failure))?;
        Ok(SessionTokens::new(issued, Some(IssuedToken { token, lives: rounded(ends_at, now) })))
    }

    /// Puts tokens into the cookies of a browser.
    pub(super) fn cookies(&self, tokens: SessionTokens) -> Result<SessionCookies, Error> {
        let plan = &self.verification().sources.cookies;
        let (access, refresh) = tokens.into_parts();
        let cookies = SessionCookies::new().with_access(plan, access.token, access.lives);
        let cookies = match refresh {
            Some(refresh) => cookies.and_then(|cookies| cookies.with_refresh(plan, refresh.token, refresh.lives)),
            None => cookies,
        };
        cookies.map_err(|failure| self.cookie_error(failure))
    }

    pub(super) fn removal(&self) -> Result<SessionCookies, Error> {
        SessionCookies::removal(&self.verification().sources.cookies).map_err(|failure| self.cookie_error(failure))
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
