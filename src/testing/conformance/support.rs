//! Helpers of the cases.

use std::{
    error::Error,
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use crate::{
    clock::{Clock, Timestamp},
    id::{SessionId, UserId},
    policy::ReplayWindow,
    store::{
        CreateOutcome, EndSessions, LogEntry, LogPosition, NewSession, Owner, Population, PutData, PutOutcome,
        RefreshAttempt, Revocation, RotateOutcome, RotateSession, Rotation, SessionRecord, SessionStore, WhichSessions,
    },
    testing::TestClock,
};

pub(super) use super::limited::limited;

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const REFRESH: Duration = Duration::from_secs(7 * 24 * 60 * 60);
pub(super) const ABSOLUTE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const RETENTION: Duration = HOUR;
/// The replay window.
pub(super) const W: Duration = Duration::from_secs(10);
pub(super) const FIXED: ReplayWindow = ReplayWindow::Fixed(W);
pub(super) const CONFIRMED: ReplayWindow = ReplayWindow::UntilConfirmed(W);

pub(super) fn user(name: &str) -> Owner {
    let population = Population::new("https://app.test", "https://app.test");
    Owner::new(population, must(UserId::new(name)))
}

pub(super) fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; SessionId::LEN])
}

/// The value, or a panic with the whole chain of causes.
#[track_caller]
pub(super) fn must<T, E: Error>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            message = format!("{message}: {error}");
            source = error.source();
        }
        panic!("store failed: {message}")
    })
}

pub(super) fn new_session(user: &Owner, id: SessionId) -> NewSession {
    NewSession::new(user.clone(), id, REFRESH, ABSOLUTE, RETENTION)
}

/// Creates a session and returns its record and what ended for it.
pub(super) async fn create<S: SessionStore>(store: &S, new: &NewSession) -> (SessionRecord, Vec<SessionId>) {
    match must(store.create(new).await) {
        CreateOutcome::Created { record, ended, .. } => (record, sorted(ended)),
        refused => panic!("expected a new session, got {refused:?}"),
    }
}

pub(super) async fn login<S: SessionStore>(store: &S, user: &Owner, id: SessionId) -> SessionRecord {
    let (record, ended) = create(store, &new_session(user, id)).await;
    assert!(ended.is_empty(), "a login without limit ends nothing");
    record
}

pub(super) async fn find<S: SessionStore>(store: &S, user: &Owner, id: SessionId) -> Option<SessionRecord> {
    must(store.find(user, id).await).map(|found| found.record)
}

pub(super) async fn list<S: SessionStore>(store: &S, user: &Owner) -> Vec<SessionId> {
    sorted(must(store.list(user).await).sessions.into_iter().map(|listed| listed.id).collect())
}

pub(super) async fn end<S: SessionStore>(store: &S, user: &Owner, which: WhichSessions) -> Vec<SessionId> {
    sorted(must(store.end(&EndSessions::new(user.clone(), which, RETENTION)).await))
}

pub(super) async fn put<S: SessionStore>(
    store: &S,
    user: &Owner,
    id: SessionId,
    expected: u64,
    bytes: &[u8],
) -> PutOutcome {
    must(store.put_data(&PutData::new(user.clone(), id, expected, bytes.to_vec())).await)
}

/// Returns all entries of the log.
pub(super) async fn log<S: SessionStore>(store: &S) -> Vec<LogEntry> {
    must(store.read_log(LogPosition::START, Duration::ZERO).await).entries
}

/// Returns all published revocations, in order.
pub(super) async fn published<S: SessionStore>(store: &S) -> Vec<Revocation> {
    log(store).await.into_iter().flat_map(|entry| entry.revocations).collect()
}

/// Returns whether the end of `id` was published.
pub(super) async fn published_end<S: SessionStore>(store: &S, id: SessionId) -> bool {
    published(store).await.contains(&Revocation::ended(id))
}

pub(super) fn sorted(mut ids: Vec<SessionId>) -> Vec<SessionId> {
    ids.sort_unstable();
    ids
}

pub(super) fn attempt(generation: u32, window: ReplayWindow) -> RefreshAttempt {
    RefreshAttempt::new(generation, Timestamp::from_secs(1 << 33), window, REFRESH)
}

pub(super) async fn present<S: SessionStore>(
    store: &S,
    user: &Owner,
    id: SessionId,
    attempt: RefreshAttempt,
) -> RotateOutcome {
    must(store.rotate(&RotateSession::new(user.clone(), id, attempt, RETENTION)).await)
}

/// A session whose record is known in advance: the store must return and keep what the pure functions of
/// [`SessionRecord`] return.
pub(super) struct Tracked<'a, S> {
    pub(super) store: &'a S,
    pub(super) clock: &'a TestClock,
    pub(super) user: Owner,
    pub(super) id: SessionId,
    pub(super) record: SessionRecord,
    pub(super) window: ReplayWindow,
}

impl<'a, S: SessionStore> Tracked<'a, S> {
    pub(super) async fn login(store: &'a S, clock: &'a TestClock, window: ReplayWindow) -> Self {
        let (user, id) = (user("user"), id(1));
        let record = login(store, &user, id).await;
        Self { store, clock, user, id, record, window }
    }

    /// Presents a generation. Checks the outcome and the record that stays.
    pub(super) async fn present(&mut self, generation: u32) -> RotateOutcome {
        self.present_with(attempt(generation, self.window)).await
    }

    pub(super) async fn present_with(&mut self, attempt: RefreshAttempt) -> RotateOutcome {
        let now = self.clock.now();
        let live = self.record.is_live(now);
        let decision = self.record.rotate(&attempt, now);
        let expected = decision.outcome(self.record, now);
        let outcome = present(self.store, &self.user, self.id, attempt).await;
        assert_eq!(outcome, expected, "presenting generation {} at {now:?}", attempt.generation);
        let kept = (live && !self.record.ended).then_some(self.record);
        assert_eq!(find(self.store, &self.user, self.id).await, kept, "the record after the step");
        outcome
    }

    pub(super) async fn confirm(&mut self, generation: u32) {
        self.record.confirm(generation, self.clock.now());
        must(self.store.confirm(&self.user, self.id, generation).await);
        assert_eq!(find(self.store, &self.user, self.id).await, Some(self.record), "the record after confirm");
    }

    /// Presents a generation and expects this rotation, of this generation.
    pub(super) async fn expect(&mut self, generation: u32, expected: Rotation, after: u32) {
        match self.present(generation).await {
            RotateOutcome::Live { rotation, record, .. } => {
                assert_eq!((rotation, record.generation), (expected, after), "presenting generation {generation}");
            }
            other => panic!("presenting generation {generation}: expected {expected:?}, got {other:?}"),
        }
    }

    pub(super) async fn expect_reuse(&mut self, generation: u32) {
        assert_eq!(self.present(generation).await, RotateOutcome::Reused, "presenting generation {generation}");
        assert!(published_end(self.store, self.id).await, "reuse is published");
    }
}

/// Polls all of them in turn until each is done.
pub(super) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    type Running<F> = (Pin<Box<F>>, Option<<F as Future>::Output>);
    let mut running: Vec<Running<F>> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut done = true;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => done = false,
                }
            }
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
