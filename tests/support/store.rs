//! A store of either kind that can be made to fail and to lose its writes.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
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

use super::{owner::owner, patient::patient_store, redis_server};

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
    down: Arc<AtomicBool>,
}

impl TestStore {
    pub(crate) async fn open(backend: Backend, clock: &TestClock) -> Self {
        let store = backend.open(clock).await;
        let started_at = match &store {
            AnyStore::Memory(store) => store.started_at(),
            AnyStore::Redis(store) => store.started_at(),
        };
        Self { backend, clock: clock.clone(), started_at, inner: Arc::new(Mutex::new(store)), down: Arc::default() }
    }

    /// Makes every step fail, or work again.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Fails over to a server that knows of nothing but the login of this session.
    pub(crate) async fn lose_all_but_login(&self, user: &str, id: SessionId) {
        let store = self.backend.open(&self.clock).await;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = store;
        let days = |days: u64| Duration::from_secs(days * 24 * 60 * 60);
        let login = NewSession::new(owner(user), id, days(7), days(30), days(1));
        self.create(&login).await.expect("a session");
    }

    fn current(&self, doing: &'static str) -> Result<AnyStore, StoreError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new(doing, "connection refused"));
        }
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

macro_rules! pass_on {
    ($store:ident.$step:ident($($arg:expr),*)) => {
        match $store.current(stringify!($step))? {
            AnyStore::Memory(store) => store.$step($($arg),*).await,
            AnyStore::Redis(store) => store.$step($($arg),*).await,
        }
    };
}

impl SessionStore for TestStore {
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

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        pass_on!(self.read_log(after, wait))
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }
}
