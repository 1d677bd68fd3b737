//! What requests present to a manager: whose it is, and which sessions it names.

use super::SessionManager;
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    clock::Timestamp,
    cookie::TokenCookie,
    error::{Error, ErrorKind},
    event::EndReason,
    id::{SessionId, UserId},
    jwt::RegisteredClaims,
    policy::{Lifetimes, MAX_CLOCK_SKEW},
    store::WhichSessions,
};

/// A session that an authentic token refers to, however old the token is.
#[derive(Debug)]
pub(super) struct SessionRef {
    pub(super) which: TokenCookie,
    pub(super) claims: RegisteredClaims,
}

impl SessionRef {
    /// Whether no access token of the session can still be good on any node, so that none has to learn of its end.
    fn is_history(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        // The token's own expiry as well: the absolute limit may once have been longer.
        let ended_by = self.claims.auth_time.saturating_add(lifetimes.absolute).max(self.claims.expires_at);
        now >= ended_by.saturating_add(lifetimes.revocation_retention())
    }

    pub(super) fn is_of_session(&self, other: &Self) -> bool {
        self.claims.session_id == other.claims.session_id && self.claims.user_id == other.claims.user_id
    }
}

/// Whether a refresh token has expired by the clock of every node and of the store, even one that is behind.
pub(super) fn has_certainly_expired(token: &RegisteredClaims, now: Timestamp) -> bool {
    now >= token.expires_at.saturating_add(MAX_CLOCK_SKEW)
}

impl<C: Claims> SessionManager<C> {
    /// Refuses what another manager's layer or verifier found: its keys, store and users may be different.
    pub(super) fn is_ours(&self, presented: &PresentedTokens<C>) -> Result<(), Error> {
        self.belongs_here(presented.is_of(self.verifier().inner()))
    }

    /// The same for a session.
    pub(super) fn is_our_session(&self, session: &Session<C>) -> Result<(), Error> {
        self.belongs_here(session.is_of(self.verifier().inner()))
    }

    fn belongs_here(&self, is_of_verifier: bool) -> Result<(), Error> {
        match is_of_verifier {
            true => Ok(()),
            false => Err(self.error(ErrorKind::WrongManager)),
        }
    }

    /// Refuses what is not ours, and a request with ambiguous or unreadable credentials: to answer that a session was
    /// ended, it must be clear which one was meant.
    pub(super) fn understood(&self, presented: &PresentedTokens<C>) -> Result<(), Error> {
        self.is_ours(presented)?;
        match presented.is_invalid {
            true => Err(self.error(ErrorKind::InvalidRequest)),
            false => Ok(()),
        }
    }

    /// Returns the sessions that the presented tokens refer to, however old these are: enough to end them. They are few,
    /// and this is the only place that checks the signatures of more than two.
    pub(super) fn session_refs(&self, presented: &PresentedTokens<C>) -> Vec<SessionRef> {
        let now = self.now();
        let session = presented.session.as_ref().map(|session| (TokenCookie::Access, session.registered().clone()));
        let refresh = presented.refresh.as_ref().map(|token| (TokenCookie::Refresh, token.clone()));
        let others = presented
            .unverified
            .iter()
            .filter_map(|(which, token)| Some((*which, self.verification().open_old(*which, token, now)?)));
        let tokens = session.into_iter().chain(refresh).chain(others);
        tokens.map(|(which, claims)| SessionRef { which, claims }).collect()
    }

    /// One token for each named session that has to be ended. A session that this node and the store know to have ended
    /// takes no step.
    pub(super) fn to_be_ended(&self, named: Vec<SessionRef>) -> Vec<SessionRef> {
        let mut sessions: Vec<SessionRef> = Vec::new();
        for named in named {
            let is_known = self.revocations().is_ended(named.claims.session_id);
            match sessions.iter_mut().find(|other| other.is_of_session(&named)) {
                _ if is_known => {}
                // The access and refresh tokens of a session expire at different times: the later one counts.
                Some(other) if other.claims.expires_at < named.claims.expires_at => *other = named,
                Some(_) => {}
                None => sessions.push(named),
            }
        }
        sessions
    }

    /// What to end of them. While access tokens of a session may still be good, its end is published whatever the store
    /// knows. After that it is ended only if the store has it: otherwise old tokens would fill the log.
    pub(super) fn to_end(&self, sessions: &[SessionRef]) -> Vec<(UserId, WhichSessions)> {
        let now = self.now();
        let which = |named: &SessionRef| match named.is_history(&self.inner.lifetimes, now) {
            true => WhichSessions::One(named.claims.session_id),
            false => WhichSessions::Proven(named.claims.session_id),
        };
        sessions.iter().map(|named| (named.claims.user_id.clone(), which(named))).collect()
    }

    /// Ends sessions that tokens of ours name, in the store and here. Returns those that were alive.
    pub(super) async fn end_named(&self, sessions: &[SessionRef], reason: EndReason) -> Result<Vec<SessionId>, Error> {
        let ended = self.ender().end_each(&self.to_end(sessions), reason).await;
        ended.map_err(|failure| self.store_error(failure))
    }
}
