//! A store of either kind that fails, loses writes, waits at a gate and counts calls, as the test sets it.

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
        RotateOutcome, RotateSession, SessionData, SessionList, SessionStore, StoreError,
    },
    testing::TestClock,
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
    started_at: Option<Timestamp>,
    inner: Arc<Mutex<AnyStore>>,
    pub(crate) switches: Arc<Switches>,
    gate: Gate,
}

#[derive(Default)]
pub(crate) struct Switches {
    /// Every step fails.
    is_down: AtomicBool,
    /// Steps that end sessions fail.
    pub(crate) keeps_sessions: AtomicBool,
    /// Confirmations of a first use fail.
    pub(crate) loses_notes: AtomicBool,
    /// The entries of the log are gone, as if trimmed.
    pub(crate) log_is_lost: AtomicBool,
    /// Reading the log never completes.
    pub(crate) log_hangs: AtomicBool,
    /// Reading the log panics from the second time on.
    pub(crate) log_panics: AtomicBool,
    finds: AtomicUsize,
    confirms: AtomicUsize,
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
        let inner = Arc::new(Mutex::new(store));
        Self { backend, clock: clock.clone(), started_at, inner, switches: Arc::default(), gate: Gate::default() }
    }

    /// The same store behind a gate.
    pub(crate) fn behind(&self, gate: &Gate) -> Self {
        Self { gate: gate.clone(), ..self.clone() }
    }

    /// Makes every step fail, or succeed.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.switches.is_down.store(is_down, SeqCst);
    }

    /// Returns how often a session was looked up.
    pub(crate) fn finds(&self) -> usize {
        self.switches.finds.load(SeqCst)
    }

    /// Returns how often a first use was to be confirmed.
    pub(crate) fn confirms(&self) -> usize {
        self.switches.confirms.load(SeqCst)
    }

    pub(crate) fn log_reads(&self) -> usize {
        self.switches.log_reads.load(SeqCst)
    }

    /// Fails over to a server that has only the login of this session.
    pub(crate) async fn lose_all_but_login(&self, user: &str, id: SessionId) {
        let store = self.backend.open(&self.clock).await;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = store;
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let login = NewSession::new(owner(user), id, days(7), days(30), days(1));
        self.create(&login).await.expect("a session");
    }

    fn current(&self, doing: &'static str) -> Result<AnyStore, StoreError> {
        self.fail_if(&self.switches.is_down, doing)?;
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn fail_if(&self, switch: &AtomicBool, doing: &'static str) -> Result<(), StoreError> {
        match switch.load(SeqCst) {
            true => Err(StoreError::new(doing, "connection refused")),
            false => Ok(()),
        }
    }
}

macro_rules! pass_on {
    ($store:ident.$step:ident($($arg:expr),*)) => {
        match $store.current(stringify!($step))? {
            AnyStore::Memory(store) => $store.gate.around(stringify!($step), store.$step($($arg),*)).await,
            AnyStore::Redis(store) => $store.gate.around(stringify!($step), store.$step($($arg),*)).await,
        }
    };
}

impl SessionStore for TestStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        pass_on!(self.create(new))
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.switches.finds.fetch_add(1, SeqCst);
        pass_on!(self.find(owner, id))
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        pass_on!(self.rotate(rotation))
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.switches.confirms.fetch_add(1, SeqCst);
        self.fail_if(&self.switches.loses_notes, "confirm")?;
        pass_on!(self.confirm(owner, id, generation))
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.fail_if(&self.switches.keeps_sessions, "end")?;
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

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let reads = self.switches.log_reads.fetch_add(1, SeqCst);
        if self.switches.log_hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        assert!(reads == 0 || !self.switches.log_panics.load(SeqCst), "a bug in a store");
        let mut page = match self.current("read_log")? {
            AnyStore::Memory(store) => store.read_log(after, wait).await?,
            AnyStore::Redis(store) => store.read_log(after, wait).await?,
        };
        self.fail_if(&self.switches.is_down, "read_log")?;
        if self.switches.log_is_lost.load(SeqCst) {
            page.entries.clear();
        }
        Ok(page)
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.started_at.filter(|_| !self.switches.log_hangs.load(SeqCst))
    }
}
