//! The conformance suite itself: it names what fails, ends, and demands nothing that the contract does not.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Mutex, time::Duration};

use futures_util::FutureExt as _;
use tower_jwt_sessions::{
    MemoryStore, SessionId,
    clock::Timestamp,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, SessionData, SessionList, SessionStore,
        StoreError,
    },
    testing::{Fault, FaultyStore, StoreStep, conformance},
};

#[tokio::test]
async fn failed_cases_are_named_with_their_reasons() {
    let broken = conformance::run(async |clock| {
        let store = FaultyStore::new(MemoryStore::with_clock(clock));
        store.inject(Fault::fails().at(StoreStep::PutData));
        store
    });
    let panic = AssertUnwindSafe(broken).catch_unwind().await.expect_err("a failure");
    let text = panic.downcast_ref::<String>().expect("a text");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("cases of the conformance suite failed:"), "{text}");
    let case = "data_may_be_any_bytes: store failed: the session store failed while taking the step put_data: \
                connection refused, as the test wants it";
    assert!(lines.contains(&case), "{text}");
    assert!(lines.iter().all(|line| !line.starts_with("log_")), "{text}");
}

/// A store with a unique key on the identifier of live sessions, of all owners.
struct Unique(MemoryStore, Mutex<HashMap<SessionId, Owner>>);

#[tokio::test]
async fn suite_creates_no_identifier_that_is_live() {
    conformance::run(async |clock| Unique(MemoryStore::with_clock(clock), Mutex::default())).await;
}

impl SessionStore for Unique {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let owner = self.1.lock().unwrap().insert(new.id, new.owner.clone());
        let is_live = match owner {
            Some(owner) => self.0.find(&owner, new.id).await?.is_some(),
            None => false,
        };
        if is_live {
            return Err(StoreError::new("create", "duplicate key value violates unique constraint"));
        }
        self.0.create(new).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.0.find(owner, id).await
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.0.rotate(rotate).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.0.confirm(owner, id, generation).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.0.end(end).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.0.list(owner).await
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.0.expire_access(owner, log_retention).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.0.get_data(owner, id).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.0.put_data(put).await
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        self.0.register_device(register).await
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        self.0.read_log(after, wait).await
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.0.started_at()
    }
}
