//! A store in memory that counts what it is asked, and fails or loses entries of its log when told to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tower_jwt_sessions::{
    MemoryStore, SessionId,
    clock::Timestamp,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RotateOutcome, RotateSession, SessionData, SessionList, SessionStore, StoreError,
    },
    testing::TestClock,
};

use crate::gate::Gate;

#[derive(Clone)]
pub(crate) struct Wrapped {
    inner: MemoryStore,
    pub(crate) switches: Arc<Switches>,
    gate: Gate,
}

#[derive(Default)]
pub(crate) struct Switches {
    /// Nothing works.
    pub(crate) is_down: AtomicBool,
    /// The entries of the log are gone, as if trimmed.
    pub(crate) log_is_lost: AtomicBool,
    /// Notes of a first use fail.
    pub(crate) loses_notes: AtomicBool,
    pub(crate) finds: AtomicUsize,
    pub(crate) confirms: AtomicUsize,
}

impl Wrapped {
    pub(crate) fn new(clock: &TestClock) -> Self {
        Self { inner: MemoryStore::with_clock(clock.clone()), switches: Arc::default(), gate: Gate::default() }
    }

    /// The same store behind a gate.
    pub(crate) fn behind(&self, gate: &Gate) -> Self {
        Self { gate: gate.clone(), ..self.clone() }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.switches.is_down.store(is_down, SeqCst);
    }

    pub(crate) fn finds(&self) -> usize {
        self.switches.finds.load(SeqCst)
    }

    pub(crate) fn confirms(&self) -> usize {
        self.switches.confirms.load(SeqCst)
    }

    fn up(&self) -> Result<(), StoreError> {
        match self.switches.is_down.load(SeqCst) {
            true => Err(StoreError::new("doing anything", "it is down")),
            false => Ok(()),
        }
    }
}

impl SessionStore for Wrapped {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.up()?;
        self.gate.around("create", self.inner.create(new)).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.switches.finds.fetch_add(1, SeqCst);
        self.up()?;
        self.gate.around("find", self.inner.find(owner, id)).await
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.up()?;
        self.gate.around("rotate", self.inner.rotate(rotation)).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.switches.confirms.fetch_add(1, SeqCst);
        self.up()?;
        if self.switches.loses_notes.load(SeqCst) {
            return Err(StoreError::new("confirming a session", "it is down"));
        }
        self.gate.around("confirm", self.inner.confirm(owner, id, generation)).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.up()?;
        self.gate.around("end", self.inner.end(end)).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.up()?;
        self.gate.around("list", self.inner.list(owner)).await
    }

    async fn expire_access(&self, owner: &Owner, retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.up()?;
        self.gate.around("expire_access", self.inner.expire_access(owner, retention)).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.up()?;
        self.gate.around("get_data", self.inner.get_data(owner, id)).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.up()?;
        self.gate.around("put_data", self.inner.put_data(put)).await
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        self.up()?;
        let mut page = self.inner.read_log(after, wait).await?;
        self.up()?;
        if self.switches.log_is_lost.load(SeqCst) {
            page.entries.clear();
        }
        Ok(page)
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.inner.started_at()
    }
}
