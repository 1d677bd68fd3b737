//! Ends sessions: in the store, on this node, and for the event hook.

use std::{sync::Arc, time::Duration};

use super::{
    node::NodeState,
    unfinished::{Attempt, UnfinishedEnd, UnfinishedEnds},
};
use crate::{
    clock::jittered,
    event::{Cause, EndCause, EndReason, EventHook, Operation, SessionEvent, SessionEventKind},
    id::{SessionId, UserId},
    policy::{CLOCK_DRIFT, MAX_CLOCK_SKEW},
    store::{EndSessions, Revocation, StoreError, WhichSessions},
};

/// Ends sessions, and keeps ends that the store did not carry out until it does.
///
/// A failed end is reported as a failure, but must not be forgotten: the session would be refused here and live on at
/// other nodes. So it is tried again in the background, and when the session is presented.
pub(crate) struct SessionEnder {
    node: Arc<NodeState>,
    events: EventHook,
    unfinished: UnfinishedEnds,
}

/// What to end for a verified token.
pub(crate) struct EndTarget {
    pub(crate) user: UserId,
    pub(crate) which: WhichSessions,
    /// The session of the token, and who acts as the user in it.
    pub(crate) actor: Option<(SessionId, UserId)>,
}

/// The shortest and the longest wait before unfinished ends are tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

impl SessionEnder {
    pub(super) fn new(node: Arc<NodeState>, events: EventHook) -> Self {
        Self { node, events, unfinished: UnfinishedEnds::default() }
    }

    #[cfg(feature = "dbsc")]
    pub(super) fn emit(&self, event: &SessionEvent) {
        self.events.emit(event);
    }

    /// Ends sessions of a user. Returns those that were alive.
    pub(crate) async fn end(
        &self,
        user: &UserId,
        which: WhichSessions,
        why: &EndCause,
    ) -> Result<Vec<SessionId>, StoreError> {
        self.run(self.begin(user, which, None, why)).await
    }

    /// Ends sessions of several users. If one end fails, the others are not tried but kept as well.
    pub(crate) async fn end_each(
        &self,
        sessions: Vec<EndTarget>,
        why: &EndCause,
    ) -> Result<Vec<SessionId>, StoreError> {
        let begin = |EndTarget { user, which, actor }| self.begin(&user, which, actor, why);
        let attempts: Vec<_> = sessions.into_iter().map(begin).collect();
        let mut ended = Vec::new();
        for attempt in attempts {
            ended.extend(self.run(attempt).await?);
        }
        Ok(ended)
    }

    /// Ends every session of the users of these sessions. Those given are also ended by themselves, since the store may
    /// have lost them, and other nodes must still learn of their end.
    pub(crate) async fn end_all_of(&self, sessions: Vec<EndTarget>, why: &EndCause) -> Result<(), StoreError> {
        let mut users: Vec<(Attempt<'_>, Vec<Attempt<'_>>)> = Vec::new();
        for EndTarget { user, which, actor } in sessions {
            let one = self.begin(&user, which, actor.clone(), why);
            match users.iter_mut().find(|(all, _)| *all.end.owner.user_id() == user) {
                Some((_, of_user)) => of_user.push(one),
                None => users.push((self.begin(&user, WhichSessions::All, actor, why), vec![one])),
            }
        }
        for (all, of_user) in users {
            // All of them first: once the given ones have ended, a retry of the request would be refused.
            let ended = self.run(all).await?;
            for one in of_user {
                match ended.iter().any(|id| one.end.which.includes(*id)) {
                    true => one.succeeded(),
                    false => drop(self.run(one).await?),
                }
            }
        }
        Ok(())
    }

    /// Ends sessions as part of an operation that fails as a whole if this fails: nothing is kept then.
    pub(crate) async fn end_or_leave(&self, target: EndTarget, why: &EndCause) -> Result<(), StoreError> {
        let EndTarget { user, which, actor } = target;
        let ended = self.carry_out(&self.request(&user, which, actor, why), Duration::ZERO).await;
        self.node.observe(&ended);
        ended.map(drop)
    }

    /// Completes the unfinished ends that concern this session. Returns whether the session is known to have ended.
    pub(crate) async fn finish(&self, user: &UserId, session: SessionId) -> Result<bool, StoreError> {
        if self.node.revocations.is_ended(session) {
            return Ok(true);
        }
        let finished = self.try_to_finish(user, session).await;
        // Where nothing was left to do, the store was not asked.
        if finished.is_err() {
            self.node.observe(&finished);
        }
        finished.map(|()| self.node.revocations.is_ended(session))
    }

    async fn try_to_finish(&self, user: &UserId, session: SessionId) -> Result<(), StoreError> {
        let unfinished = self.unfinished.concerning(&self.node.owner(user), session);
        // The end is being tried at this moment, or was dropped from the table.
        if unfinished.is_empty() && self.node.revocations.is_end_unfinished(session) {
            // Whose request that was, is known there only.
            let cause = Cause { operation: Operation::Logout, client: None };
            let why = EndCause { reason: EndReason::LoggedOut, cause };
            let end = self.request(user, WhichSessions::Proven(session), None, &why);
            return self.carry_out(&end, Duration::ZERO).await.map(drop);
        }
        for (number, end) in unfinished {
            match end.which {
                WhichSessions::One(_) | WhichSessions::Proven(_) => self.retry(number, &end).await?,
                // Only this one of many: the others can wait, and one that cannot be read holds up no other.
                WhichSessions::Others(_) | WhichSessions::All => {
                    let one = UnfinishedEnd { which: WhichSessions::One(session), ..end };
                    self.carry_out(&one, self.min_age(&one)).await?;
                }
            }
        }
        Ok(())
    }

    /// Retries unfinished ends, in a loop: one after the other while the store works; after a failure it waits.
    pub(super) async fn retry_unfinished(self: Arc<Self>) {
        let mut backoff = BACKOFF.0;
        loop {
            self.unfinished.wait().await;
            tokio::time::sleep(jittered(backoff)).await;
            while let Some((number, end)) = self.unfinished.first() {
                if let Err(failure) = self.retry(number, &end).await {
                    let source = std::error::Error::source(&failure).map(tracing::field::display);
                    tracing::debug!(
                        target: crate::event::LOG_TARGET,
                        error = %failure,
                        source,
                        "unfinished session end failed again"
                    );
                    self.unfinished.postpone(number);
                    backoff = backoff.saturating_mul(2).min(BACKOFF.1);
                    break;
                }
                backoff = BACKOFF.0;
            }
        }
    }

    async fn retry(&self, number: u64, end: &UnfinishedEnd) -> Result<(), StoreError> {
        let min_age = match end.which {
            // No later session has that id.
            WhichSessions::One(_) | WhichSessions::Proven(_) => Duration::ZERO,
            WhichSessions::Others(_) | WhichSessions::All => self.min_age(end),
        };
        self.carry_out(end, min_age).await?;
        self.unfinished.finish(number, end.requested_at);
        Ok(())
    }

    /// How long ago a session began, by the store's clock, if it certainly began after the end was requested.
    ///
    /// Another server may answer now, whose clock is behind, and no two clocks run alike. A session that began within
    /// that doubt is ended as well: one more login is a smaller harm than a session that outlives its end.
    fn min_age(&self, end: &UnfinishedEnd) -> Duration {
        let age = self.node.clock.instant().saturating_duration_since(end.requested_at);
        age.saturating_sub(age / CLOCK_DRIFT).saturating_sub(MAX_CLOCK_SKEW)
    }

    fn begin(
        &self,
        user: &UserId,
        which: WhichSessions,
        actor: Option<(SessionId, UserId)>,
        why: &EndCause,
    ) -> Attempt<'_> {
        if let WhichSessions::Proven(session) = which {
            self.node.revocations.begin_end(session);
        }
        self.unfinished.attempt(self.request(user, which, actor, why))
    }

    fn request(
        &self,
        user: &UserId,
        which: WhichSessions,
        actor: Option<(SessionId, UserId)>,
        why: &EndCause,
    ) -> UnfinishedEnd {
        UnfinishedEnd {
            owner: self.node.owner(user),
            which,
            why: why.clone(),
            actor,
            requested_at: self.node.clock.instant(),
        }
    }

    async fn run(&self, attempt: Attempt<'_>) -> Result<Vec<SessionId>, StoreError> {
        let ended = self.carry_out(&attempt.end, Duration::ZERO).await;
        self.node.observe(&ended);
        if ended.is_ok() {
            attempt.succeeded();
        }
        ended
    }

    /// Ends sessions in the store, here and for the event hook. `min_age` spares sessions that began after the end was
    /// requested.
    async fn carry_out(&self, end: &UnfinishedEnd, min_age: Duration) -> Result<Vec<SessionId>, StoreError> {
        let UnfinishedEnd { owner, which, why, actor, .. } = end;
        let log_retention = self.node.revocations.retention();
        let step = EndSessions { owner: owner.clone(), which: *which, log_retention, min_age };
        let ended = self.node.store.end(&step).await?;
        // Whether the store had lost it or ended it before: it is over.
        if let WhichSessions::Proven(session) = which {
            self.node.revocations.revoke(Revocation::ended(*session));
        }
        for session in &ended {
            self.node.revocations.revoke(Revocation::ended(*session));
            let actor = actor.as_ref().filter(|(acting, _)| acting == session).map(|(_, actor)| actor);
            let kind = SessionEventKind::Ended(why.reason);
            self.events.emit(&SessionEvent::new(owner.user_id(), *session, actor, kind, &why.cause));
        }
        Ok(ended)
    }
}
