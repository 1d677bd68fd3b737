//! A store that fails on command.

mod fault;

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};

use tokio::sync::watch;

use self::fault::Kind;
pub use self::fault::{Fault, InjectedFault, StoreStep};
use crate::{
    clock::Timestamp,
    id::SessionId,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, SessionData, SessionList, SessionStore,
        StoreError,
    },
};

/// A store around another one that fails, delays or loses answers on command. Clones are the same store.
///
/// Nothing here waits for time to pass: a delay lasts until the test ends it.
///
/// ```
/// use tower_jwt_sessions::{
///     KeyRing, MemoryStore, SessionManager,
///     error::ErrorKind,
///     testing::{Fault, FaultyStore, StoreStep},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = FaultyStore::new(MemoryStore::new());
/// let sessions = SessionManager::<()>::builder()
///     .access_keys(KeyRing::hs256("only for tests, and long enough for it")?)
///     .refresh_keys(KeyRing::hs256("another one, which is long enough as well")?)
///     .issuer("https://app.test")
///     .store(store.clone())
///     .build()?;
///
/// store.fail();
/// let refused = sessions.login("alice").await.unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::Store);
/// store.recover();
/// let _tokens = sessions.login("alice").tokens().await?;
///
/// let lost = store.inject(Fault::loses_answer().at(StoreStep::Create).times(1));
/// assert!(sessions.login("alice").await.is_err());
/// assert_eq!((lost.happened(), sessions.list("alice").await?.len()), (1, 2));
/// # Ok(())
/// # }
/// ```
pub struct FaultyStore<S> {
    inner: Arc<S>,
    switches: Arc<Switches>,
}

struct Switches {
    faults: Mutex<Vec<InjectedFault>>,
    /// Changes with the faults, for readers that wait for the log.
    changed: watch::Sender<()>,
    counts: [AtomicUsize; StoreStep::COUNT],
}

impl<S> FaultyStore<S> {
    /// Returns a store that works as this one does, until a fault is injected.
    pub fn new(store: S) -> Self {
        let switches =
            Switches { faults: Mutex::default(), changed: watch::Sender::new(()), counts: Default::default() };
        Self { inner: Arc::new(store), switches: Arc::new(switches) }
    }

    /// Returns the store that it wraps, which no fault concerns.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets a fault happen from now on. Of several that concern a step, all happen, in the order in which they were
    /// injected.
    pub fn inject(&self, fault: Fault) -> InjectedFault {
        let injected = InjectedFault::new(fault);
        self.faults().push(injected.clone());
        self.switches.changed.send_replace(());
        injected
    }

    /// Lets every step fail until the store [recovers](Self::recover): an outage.
    pub fn fail(&self) -> InjectedFault {
        self.inject(Fault::fails())
    }

    /// Lets the next steps fail, so many of them, whichever they are. The reading of the revocation log, which each
    /// node does all the time, is none of them.
    pub fn fail_next(&self, steps: usize) -> InjectedFault {
        use StoreStep::{Confirm, Create, End, ExpireAccess, Find, GetData, List, PutData, RegisterDevice, Rotate};

        let all = [Create, Find, Rotate, Confirm, End, List, ExpireAccess, GetData, PutData, RegisterDevice];
        self.inject(all.into_iter().fold(Fault::fails(), Fault::at).times(steps))
    }

    /// Lifts all faults. Steps that were delayed go on.
    pub fn recover(&self) {
        for fault in self.faults().drain(..) {
            fault.lift();
        }
    }

    /// Returns how many times a step was begun, whether it failed or not.
    pub fn count(&self, step: StoreStep) -> usize {
        self.switches.counts.get(step as usize).map_or(0, |count| count.load(SeqCst))
    }

    fn faults(&self) -> MutexGuard<'_, Vec<InjectedFault>> {
        self.switches.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the faults that happen to this step.
    fn begin(&self, step: StoreStep) -> Vec<InjectedFault> {
        if let Some(count) = self.switches.counts.get(step as usize) {
            count.fetch_add(1, SeqCst);
        }
        let mut faults = self.faults();
        faults.retain(|fault| !fault.is_over());
        faults.iter().filter(|fault| fault.claims(step)).cloned().collect()
    }

    async fn around<T>(
        &self,
        step: StoreStep,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let faults = self.begin(step);
        let of = |kinds: [Kind; 2]| faults.iter().filter(move |fault| kinds.contains(&fault.kind()));
        for fault in of([Kind::Fails, Kind::Delays]) {
            fault.happens();
            match fault.kind() {
                Kind::Fails => return Err(failure(step, "connection refused, as the test wants it")),
                _ => fault.lifted().await,
            }
        }
        let outcome = work.await;
        for fault in of([Kind::LosesAnswer, Kind::DelaysAnswer]) {
            fault.happens();
            match fault.kind() {
                Kind::LosesAnswer => return Err(failure(step, "the answer was lost, as the test wants it")),
                _ => fault.lifted().await,
            }
        }
        outcome
    }

    /// Waits for a fault that interrupts a reader of the log.
    async fn interrupted(&self) {
        let mut changed = self.switches.changed.subscribe();
        loop {
            let is_cut = |fault: &&InjectedFault| fault.kind() == Kind::Fails && fault.claims(StoreStep::ReadLog);
            if let Some(fault) = self.faults().iter().find(is_cut) {
                fault.happens();
                return;
            }
            // The sender is in `self`.
            let _ = changed.changed().await;
        }
    }
}

fn failure(step: StoreStep, why: &'static str) -> StoreError {
    StoreError::new(format!("taking the step {}", step.name()), why)
}

impl<S: SessionStore> SessionStore for FaultyStore<S> {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.around(StoreStep::Create, self.inner.create(new)).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.around(StoreStep::Find, self.inner.find(owner, id)).await
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.around(StoreStep::Rotate, self.inner.rotate(rotate)).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.around(StoreStep::Confirm, self.inner.confirm(owner, id, generation)).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.around(StoreStep::End, self.inner.end(end)).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.around(StoreStep::List, self.inner.list(owner)).await
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.around(StoreStep::ExpireAccess, self.inner.expire_access(owner, log_retention)).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.around(StoreStep::GetData, self.inner.get_data(owner, id)).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.around(StoreStep::PutData, self.inner.put_data(put)).await
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        self.around(StoreStep::RegisterDevice, self.inner.register_device(register)).await
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let read = async {
            let (mut read, mut interrupted) = (pin!(self.inner.read_log(after, wait)), pin!(self.interrupted()));
            poll_fn(|context| match read.as_mut().poll(context) {
                Poll::Pending => interrupted
                    .as_mut()
                    .poll(context)
                    .map(|()| Err(failure(StoreStep::ReadLog, "the connection was lost, as the test wants it"))),
                ready => ready,
            })
            .await
        };
        self.around(StoreStep::ReadLog, read).await
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.inner.started_at()
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), switches: Arc::clone(&self.switches) }
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("inner", &self.inner)
            .field("faults", &*self.faults())
            .finish_non_exhaustive()
    }
}
