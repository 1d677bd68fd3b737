//! A store that records when operations began and what they answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tower_jwt_sessions::{
    SessionId,
    clock::{Clock, Timestamp},
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, SessionData, SessionList, SessionStore,
        StoreError, WhichSessions,
    },
    testing::TestClock,
};

use crate::{
    chance::Chance,
    operation::{Answer, Operation},
};

/// One operation in a history. The numbers count beginnings and answers.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) client: usize,
    pub(crate) owner: Owner,
    pub(crate) operation: Operation,
    /// What the store's clock showed.
    pub(crate) now: Timestamp,
    pub(crate) invoked: u64,
    /// `None` if the answer was lost: the operation may have happened or not, since it began.
    pub(crate) answered: Option<(u64, Answer)>,
    /// When an operation without an answer could happen no more.
    pub(crate) over: Option<u64>,
    /// Whether the client neither has an answer nor has given up.
    pub(crate) is_running: bool,
}

/// The operations since all clients were at rest, and the users of all sessions. Clones are the same history.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Records>>);

#[derive(Default)]
struct Records {
    operations: Vec<Recorded>,
    events: u64,
    users: Vec<Owner>,
    owners: HashMap<SessionId, Owner>,
    began_at: LogPosition,
    at_rest: bool,
}

impl History {
    pub(crate) fn of(users: Vec<Owner>) -> Self {
        Self(Arc::new(Mutex::new(Records { users, ..Records::default() })))
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the log was when the history began.
    pub(crate) fn began_at(&self) -> LogPosition {
        self.records().began_at
    }

    /// Says whether all clients are at rest, except one.
    pub(crate) fn set_at_rest(&self, at_rest: bool) {
        self.records().at_rest = at_rest;
    }

    /// Returns what was recorded, and begins anew.
    pub(crate) fn take(&self, log: LogPosition) -> Vec<Recorded> {
        let mut records = self.records();
        records.began_at = log;
        std::mem::take(&mut records.operations)
    }

    /// Whether an operation has neither been answered nor failed.
    pub(crate) fn is_running(&self) -> bool {
        self.records().operations.iter().any(|recorded| recorded.is_running)
    }

    /// As [`take`](Self::take), if no operation is running and none has begun after the last one of this client.
    pub(crate) fn take_if_last_is_of(&self, client: usize, log: LogPosition) -> Option<Vec<Recorded>> {
        let is_last = self.records().operations.last().is_some_and(|recorded| recorded.client == client);
        (is_last && !self.is_running()).then(|| self.take(log))
    }

    fn begin(&self, client: usize, owners: &[Owner], operation: &Operation, now: Timestamp) -> Begun {
        let mut records = self.records();
        records.events += 1;
        let invoked = records.events;
        let named = match operation {
            Operation::Create(new) => Some(new.id),
            Operation::End(EndSessions { which: WhichSessions::Proven(id), .. }) => Some(*id),
            _ => None,
        };
        if let (Some(id), [owner]) = (named, owners) {
            records.owners.insert(id, owner.clone());
        }
        let first = records.operations.len();
        for owner in owners {
            let operation = operation.clone();
            records.operations.push(Recorded {
                client,
                owner: owner.clone(),
                operation,
                now,
                invoked,
                answered: None,
                over: None,
                is_running: true,
            });
        }
        Begun { history: self.clone(), first, count: owners.len(), invoked }
    }
}

/// An operation that has begun.
struct Begun {
    history: History,
    first: usize,
    count: usize,
    invoked: u64,
}

/// Answered, failed or given up.
impl Drop for Begun {
    fn drop(&mut self) {
        let mut records = self.history.records();
        let begun = records.operations.iter_mut().skip(self.first).take(self.count);
        begun.filter(|recorded| recorded.invoked == self.invoked).for_each(|recorded| recorded.is_running = false);
    }
}

impl Begun {
    /// Failed, and can happen no more.
    fn over(self) {
        let mut records = self.history.records();
        records.events += 1;
        let event = records.events;
        let begun = records.operations.iter_mut().skip(self.first).take(self.count);
        for recorded in begun.filter(|recorded| recorded.invoked == self.invoked) {
            recorded.over = Some(event);
        }
    }

    fn answered(self, answer: impl Fn(&dyn Fn(SessionId) -> bool) -> Answer) {
        let mut records = self.history.records();
        records.events += 1;
        let (event, Records { operations, owners, .. }) = (records.events, &mut *records);
        let begun = operations.iter_mut().skip(self.first).take(self.count);
        // Another history may have begun if the client did not wait.
        for recorded in begun.filter(|recorded| recorded.invoked == self.invoked) {
            let owner = recorded.owner.clone();
            recorded.answered = Some((event, answer(&|id| owners.get(&id) == Some(&owner))));
        }
    }
}

/// One client of a store, whose operations are recorded.
pub(crate) struct Recorder<S> {
    pub(crate) store: S,
    client: usize,
    clock: TestClock,
    history: History,
    /// How often to let others go first.
    yields: Mutex<Chance>,
    late: Late,
}

/// Until when an operation that was reported as failed may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// Until it was reported.
    Never,
    /// So long after, by the granularity of clocks.
    Shortly(Duration),
}

impl<S> Recorder<S> {
    pub(crate) fn new(store: S, client: usize, clock: TestClock, history: History, yields: Chance, late: Late) -> Self {
        Self { store, client, clock, history, yields: Mutex::new(yields), late }
    }

    async fn others_go_first(&self) {
        let times = self.yields.lock().unwrap_or_else(PoisonError::into_inner).below(3);
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    async fn failed(&self, begun: Begun) {
        match self.late {
            Late::Never => begun.over(),
            Late::Shortly(time) => {
                tokio::time::sleep(time).await;
                begun.over();
            }
        }
    }

    async fn record<T>(
        &self,
        owner: &Owner,
        operation: Operation,
        step: impl Future<Output = Result<T, StoreError>>,
        answer: impl Fn(&T) -> Answer,
    ) -> Result<T, StoreError> {
        let begun = self.history.begin(self.client, std::slice::from_ref(owner), &operation, self.clock.now());
        self.others_go_first().await;
        let outcome = step.await;
        self.others_go_first().await;
        match &outcome {
            Ok(outcome) => begun.answered(|_| answer(outcome)),
            Err(_) => self.failed(begun).await,
        }
        outcome
    }
}

impl<S: SessionStore> SessionStore for Recorder<S> {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let (operation, step) = (Operation::Create(Box::new(new.clone())), self.store.create(new));
        self.record(&new.owner, operation, step, |outcome| Answer::created(outcome.clone())).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let step = self.store.find(owner, id);
        self.record(owner, Operation::Find(id), step, |found| Answer::Found(found.clone())).await
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        let (operation, step) = (Operation::Rotate(Box::new(rotate.clone())), self.store.rotate(rotate));
        self.record(&rotate.owner, operation, step, |outcome| Answer::Rotated(outcome.clone())).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        let step = self.store.confirm(owner, id, generation);
        self.record(owner, Operation::Confirm(id, generation), step, |()| Answer::Confirmed).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        let step = self.store.end(end);
        let sorted = |ended: &Vec<SessionId>| Answer::Ended(crate::operation::sorted(ended.clone()));
        self.record(&end.owner, Operation::End(end.clone()), step, sorted).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        let step = self.store.list(owner);
        self.record(owner, Operation::List, step, |list| Answer::listed(list.clone())).await
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        let (operation, step) =
            (Operation::ExpireAccess(log_retention), self.store.expire_access(owner, log_retention));
        let sorted = |raised: &Vec<_>| Answer::Raised(crate::operation::sorted(raised.clone()));
        self.record(owner, operation, step, sorted).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        let step = self.store.get_data(owner, id);
        self.record(owner, Operation::GetData(id), step, |data| Answer::Data(data.clone())).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        let (operation, step) = (Operation::PutData(put.clone()), self.store.put_data(put));
        self.record(&put.owner, operation, step, |outcome| Answer::Put(*outcome)).await
    }

    /// Not recorded: no client of these histories has a device.
    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        let (operation, step) = (Operation::Register(register.clone()), self.store.register_device(register));
        self.record(&register.owner, operation, step, |outcome| Answer::Registered(outcome.clone())).await
    }

    /// Recorded for every user, if it reads all that the history has published.
    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        if after != self.history.began_at() || !wait.is_zero() {
            return self.store.read_log(after, wait).await;
        }
        let (users, at_rest) = {
            let records = self.history.records();
            (records.users.clone(), records.at_rest)
        };
        let operation = Operation::ReadLog { after, at_rest };
        let begun = self.history.begin(self.client, &users, &operation, self.clock.now());
        self.others_go_first().await;
        let page = self.store.read_log(after, wait).await;
        self.others_go_first().await;
        if let Ok(page) = &page {
            begun.answered(|is_known| Answer::log(page, is_known));
        }
        page
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.store.started_at()
    }
}
