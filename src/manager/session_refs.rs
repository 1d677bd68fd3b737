//! Which sessions the presented tokens name, and whether they belong to this manager.

use super::SessionManager;
use crate::{
    auth::{PresentedTokens, Session},
    claims::Claims,
    clock::Timestamp,
    cookie::TokenCookie,
    error::{Error, ErrorKind},
    jwt::{Actor, RegisteredClaims},
    policy::{Lifetimes, MAX_CLOCK_SKEW},
    revocation::EndTarget,
    store::WhichSessions,
};

/// A session that an authentic token refers to. The token may have expired.
#[derive(Debug)]
pub(super) struct SessionRef {
    pub(super) which: TokenCookie,
    pub(super) claims: RegisteredClaims,
}

impl SessionRef {
    /// Whether every access token of the session has expired on every node, so that none needs to learn of its end.
    fn is_beyond_access(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        // The token's own expiry as well: the absolute limit may once have been longer.
        let ended_by = self.claims.auth_time.saturating_add(lifetimes.absolute).max(self.claims.expires_at);
        now >= ended_by.saturating_add(lifetimes.revocation_retention())
    }

    /// Returns the own session of someone who acts as the user of this one.
    fn of_actor(&self) -> Option<Self> {
        let Actor { user_id, session_id } = self.claims.actor_session()?.clone();
        let claims = RegisteredClaims { user_id, session_id, terms: None, ..self.claims.clone() };
        Some(Self { which: self.which, claims })
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
    /// Refuses tokens that another manager's layer or verifier found: its keys, store and users may differ.
    pub(super) fn check_presented(&self, presented: &PresentedTokens<C>) -> Result<(), Error> {
        self.check_manager(presented.is_of(self.verifier().inner()))
    }

    /// Refuses a session that another manager's layer or verifier found.
    pub(super) fn check_session(&self, session: &Session<C>) -> Result<(), Error> {
        self.check_manager(session.is_of(self.verifier().inner()))
    }

    fn check_manager(&self, is_of_verifier: bool) -> Result<(), Error> {
        match is_of_verifier {
            true => Ok(()),
            false => Err(self.error(ErrorKind::WrongManager)),
        }
    }

    /// Refuses tokens of another manager, and requests with ambiguous or malformed credentials: a response that says
    /// that a session was ended must be about a certain session.
    pub(super) fn check_unambiguous(&self, presented: &PresentedTokens<C>) -> Result<(), Error> {
        self.check_presented(presented)?;
        match presented.is_invalid {
            true => Err(self.error(ErrorKind::InvalidRequest)),
            false => Ok(()),
        }
    }

    /// Returns the sessions that the presented tokens refer to, even if these have expired: enough to end them. They
    /// are few, and only here the signatures of more than two are checked.
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

    /// Returns the own sessions of those who act as the users of these.
    pub(super) fn actor_refs(&self, sessions: &[SessionRef]) -> Vec<SessionRef> {
        sessions.iter().filter_map(SessionRef::of_actor).collect()
    }

    /// Returns what ends with these sessions: they, and the own sessions of those who act in them.
    pub(super) fn with_actors(&self, mut sessions: Vec<SessionRef>) -> Vec<SessionRef> {
        sessions.extend(self.actor_refs(&sessions));
        sessions
    }

    /// Returns one token for each named session that is not known to have ended.
    pub(super) fn sessions_to_end(&self, named: Vec<SessionRef>) -> Vec<SessionRef> {
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

    /// Returns what to end for these tokens. While access tokens of a session may still be valid, its end is published
    /// whether or not the store has the session. Later it is ended only if the store has it: otherwise old tokens would
    /// fill the log.
    pub(super) fn end_targets(&self, sessions: &[SessionRef]) -> Vec<EndTarget> {
        let now = self.now();
        let which = |named: &SessionRef| match named.is_beyond_access(&self.inner.lifetimes, now) {
            true => WhichSessions::One(named.claims.session_id),
            false => WhichSessions::Proven(named.claims.session_id),
        };
        let target = |named: &SessionRef| EndTarget {
            user: named.claims.user_id.clone(),
            which: which(named),
            actor: named.claims.actor().map(|actor| (named.claims.session_id, actor.clone())),
        };
        sessions.iter().map(target).collect()
    }
}
