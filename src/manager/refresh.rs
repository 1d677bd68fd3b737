//! Refresh: verify, load fresh claims, take the step, sign. In that order, so that whatever fails burns nothing.

use serde::{Serialize, de::DeserializeOwned};

use super::{SessionManager, issue::Issue};
use crate::{
    cookie::SessionCookies,
    error::{Error, ErrorKind},
    event::{EndReason, SessionEventKind},
    session::Presented,
    store::{Presentation, RotateOutcome, RotateSession, Rotation, SessionRecord, WhichSessions},
    token::RegisteredClaims,
};

impl<C: Serialize + DeserializeOwned + Send + Sync + 'static> SessionManager<C> {
    /// Exchanges the presented refresh token for fresh cookies.
    ///
    /// Safe to call from many tabs at once and to repeat when an answer was lost: see
    /// [`ReplayWindow`](crate::ReplayWindow). A failure leaves the cookies alone, because its answer may arrive after
    /// that of a newer login.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingRefreshToken`] and [`ErrorKind::InvalidRefreshToken`] mean that the user has to log in;
    /// [`ErrorKind::ClaimsSource`] and [`ErrorKind::Store`] that nothing is known, and to try again.
    pub async fn refresh(&self, presented: &Presented<C>) -> Result<SessionCookies, Error> {
        let Some(token) = &presented.refresh else {
            return Err(self.error(match presented.refresh_attempted {
                true => ErrorKind::InvalidRefreshToken,
                false => ErrorKind::MissingRefreshToken,
            }));
        };
        let (user, id) = (&token.user_id, token.session_id);
        // A pair of two sessions is somebody's mistake or attack (OWASP: all tokens belong to one session).
        if presented.session.as_ref().is_some_and(|session| session.id() != id || session.user_id() != user) {
            return Err(self.error(ErrorKind::InvalidRefreshToken));
        }
        // What this node knows to be ended stays ended, even if a failover made the store forget it.
        if self.verification().revocations.is_ended(id) {
            return Err(self.used_after_end(token));
        }
        let Some(mut loaded) = self.load_claims(user).await? else {
            return Err(self.user_gone(token).await);
        };

        let step = RotateSession {
            user_id: user.clone(),
            id,
            presentation: Presentation {
                generation: token.generation,
                token_expires_at: token.expires_at,
                window: self.inner.replay_window,
                refresh_lifetime: self.inner.lifetimes.refresh,
            },
            log_retention: self.inner.lifetimes.revocation_retention(),
        };
        let outcome = self.inner.store.rotate(&step).await;
        let (rotation, record, now) = match self.stored(outcome)? {
            RotateOutcome::Live { rotation, record, now, rolled_back } => {
                if rolled_back {
                    self.emit(user, id, SessionEventKind::StoreRolledBack);
                }
                (rotation, record, now)
            }
            RotateOutcome::Reused => {
                self.emit(user, id, SessionEventKind::RefreshTokenReused);
                self.ended(user, id, EndReason::RefreshTokenReused);
                return Err(self.error(ErrorKind::InvalidRefreshToken));
            }
            RotateOutcome::Ended => return Err(self.used_after_end(token)),
        };
        self.emit(user, id, SessionEventKind::Refreshed(rotation));

        if self.are_claims_outdated(&loaded, &record, now) {
            loaded = match self.load_claims(user).await? {
                Some(reloaded) => reloaded,
                None => return Err(self.user_gone(token).await),
            };
        }
        let (which, record) = match rotation {
            // Of the generation that stays in the jar: the use of a newer one would confirm what never arrived.
            Rotation::Current => (Issue::AccessOnly, SessionRecord { generation: token.generation, ..record }),
            Rotation::Rotated | Rotation::Repeated => (Issue::Both, record),
        };
        self.issue(user, id, &record, now, &loaded.claims, which)
    }

    fn used_after_end(&self, token: &RegisteredClaims) -> Error {
        self.emit(&token.user_id, token.session_id, SessionEventKind::UsedAfterEnd);
        self.error(ErrorKind::InvalidRefreshToken)
    }

    /// Ends every session of a user whom the claims source no longer knows.
    async fn user_gone(&self, token: &RegisteredClaims) -> Error {
        self.revoke_here(token.session_id);
        match self.end_in_store(&token.user_id, WhichSessions::All, EndReason::UserGone).await {
            Ok(_) => self.error(ErrorKind::InvalidRefreshToken),
            Err(failure) => failure,
        }
    }
}
