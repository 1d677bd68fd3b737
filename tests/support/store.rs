//! The library's store that fails on command, around one of either kind, which can lose all that it has, behind a gate.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tower_jwt_sessions::{
    MemoryStore, SessionId,
    clock::Timestamp,
    redis::RedisStore,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, SessionData, SessionList, SessionStore,
        StoreError,
    },
    testing::{Fault, FaultyStore, InjectedFault, StoreStep, TestClock},
};

use super::{gate::Gate, owner::owner, patient::patient_store, redis_server};

/// Where the sessions of a test are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Backend {
    Memory,
    Redis,
}

#[derive(Clone)]
enum AnyStore {
    Memory(MemoryStore),
    Redis(RedisStore),
}

impl Backend {
    async fn open(self, clock: &TestClock) -> AnyStore {
        match self {
            Self::Memory => AnyStore::Memory(MemoryStore::with_clock(clock.clone())),
            Self::Redis => {
                let (server, prefix) = redis_server::shared();
                AnyStore::Redis(patient_store(&server.url(), &prefix).await.with_clock(clock.clone()))
            }
        }
    }
}

/// The store of a test. Clones are the same store.
#[derive(Clone)]
pub(crate) struct TestStore {
    backend: Backend,
    clock: TestClock,
    /// The library's store that fails on command, around one that can be replaced.
    faults: FaultyStore<Replaceable>,
    outage: Arc<Mutex<Option<InjectedFault>>>,
    pub(crate) switches: Arc<Switches>,
    gate: Gate,
}

#[derive(Default)]
pub(crate) struct Switches {
    /// The entries of the log are gone, as if trimmed.
    pub(crate) log_is_lost: AtomicBool,
    /// Reading the log never completes.
    pub(crate) log_hangs: AtomicBool,
    /// Reading the log panics from the second time on.
    pub(crate) log_panics: AtomicBool,
    log_reads: AtomicUsize,
}

impl TestStore {
    pub(crate) async fn open(backend: Backend, clock: &TestClock) -> Self {
        Self::of(backend, backend.open(clock).await, clock)
    }

    pub(crate) fn memory(clock: &TestClock) -> Self {
        Self::of(Backend::Memory, AnyStore::Memory(MemoryStore::with_clock(clock.clone())), clock)
    }

    fn of(backend: Backend, store: AnyStore, clock: &TestClock) -> Self {
        let started_at = match &store {
            AnyStore::Memory(store) => store.started_at(),
            AnyStore::Redis(store) => store.started_at(),
        };
        let faults = FaultyStore::new(Replaceable { started_at, current: Mutex::new(store) });
        let (clock, outage) = (clock.clone(), Arc::default());
        Self { backend, clock, faults, outage, switches: Arc::default(), gate: Gate::default() }
    }

    /// The same store behind a gate.
    pub(crate) fn behind(&self, gate: &Gate) -> Self {
        Self { gate: gate.clone(), ..self.clone() }
    }

    /// Makes every step fail, or succeed.
    pub(crate) fn set_down(&self, is_down: bool) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match (is_down, outage.take()) {
            (true, None) => *outage = Some(self.faults.fail()),
            (true, still) => *outage = still,
            (false, ended) => ended.iter().for_each(InjectedFault::lift),
        }
    }

    /// Makes a step fail until the fault is lifted.
    pub(crate) fn fail_at(&self, step: StoreStep) -> InjectedFault {
        self.faults.inject(Fault::fails().at(step))
    }

    /// Returns how often a session was looked up.
    pub(crate) fn finds(&self) -> usize {
        self.faults.count(StoreStep::Find)
    }

    /// Returns how often a first use was to be confirmed.
    pub(crate) fn confirms(&self) -> usize {
        self.faults.count(StoreStep::Confirm)
    }

    pub(crate) fn log_reads(&self) -> usize {
        self.switches.log_reads.load(SeqCst)
    }

    /// Fails over to a server that has only the login of this session.
    pub(crate) async fn lose_all_but_login(&self, user: &str, id: SessionId) {
        let store = self.backend.open(&self.clock).await;
        *self.faults.inner().current.lock().unwrap_or_else(PoisonError::into_inner) = store;
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let login = NewSession::new(owner(user), id, days(7), days(30), days(1));
        self.create(&login).await.expect("a session");
    }
}

impl SessionStore for TestStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.gate.around("create", self.faults.create(new)).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.gate.around("find", self.faults.find(owner, id)).await
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.gate.around("rotate", self.faults.rotate(rotation)).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.gate.around("confirm", self.faults.confirm(owner, id, generation)).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.gate.around("end", self.faults.end(end)).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.gate.around("list", self.faults.list(owner)).await
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.gate.around("expire_access", self.faults.expire_access(owner, log_retention)).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.gate.around("get_data", self.faults.get_data(owner, id)).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.gate.around("put_data", self.faults.put_data(put)).await
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        self.gate.around("register_device", self.faults.register_device(register)).await
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let reads = self.switches.log_reads.fetch_add(1, SeqCst);
        if self.switches.log_hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        assert!(reads == 0 || !self.switches.log_panics.load(SeqCst), "a bug in a store");
        let mut page = self.faults.read_log(after, wait).await?;
        if self.switches.log_is_lost.load(SeqCst) {
            page.entries.clear();
        }
        Ok(page)
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.faults.started_at().filter(|_| !self.switches.log_hangs.load(SeqCst))
    }
}

/// A store of either kind, which can be replaced by another one.
struct Replaceable {
    started_at: Option<Timestamp>,
    current: Mutex<AnyStore>,
}

// Boxed, since the compiler limits how deep futures may be nested.
macro_rules! pass_on {
    ($store:ident.$step:ident($($arg:expr),*)) => {{
        let current = $store.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match current {
            AnyStore::Memory(store) => Box::pin(store.$step($($arg),*)).await,
            AnyStore::Redis(store) => Box::pin(store.$step($($arg),*)).await,
        }
    }};
}

impl SessionStore for Replaceable {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        pass_on!(self.create(new))
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        pass_on!(self.find(owner, id))
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        pass_on!(self.rotate(rotation))
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        pass_on!(self.confirm(owner, id, generation))
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        pass_on!(self.end(end))
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        pass_on!(self.list(owner))
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        pass_on!(self.expire_access(owner, log_retention))
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        pass_on!(self.get_data(owner, id))
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        pass_on!(self.put_data(put))
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        pass_on!(self.register_device(register))
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        pass_on!(self.read_log(after, wait))
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }
}
