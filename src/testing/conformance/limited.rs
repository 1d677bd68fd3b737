//! Keeps cases from hanging, and names them.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use crate::{
    clock::Timestamp,
    id::SessionId,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, SessionData, SessionList, SessionStore,
        StoreError,
    },
};

/// How long a step of a store may take: a minute of real time.
pub const STEP_LIMIT: Duration = Duration::from_secs(60);

/// A store whose steps panic, with the name of the case, when they take too long.
pub(super) struct Limited<S> {
    case: &'static str,
    limit: Duration,
    store: S,
}

pub(super) fn limited<S>(case: &'static str, store: S) -> Limited<S> {
    Limited { case, limit: STEP_LIMIT, store }
}

impl<S> Limited<S> {
    async fn within<T>(&self, step: &str, work: impl Future<Output = T>) -> T {
        match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done,
            Err(_) => panic!("conformance case {}: {step} took longer than {:?}", self.case, self.limit),
        }
    }
}

impl<S: SessionStore> SessionStore for Limited<S> {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.within("create", self.store.create(new)).await
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.within("find", self.store.find(owner, id)).await
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.within("rotate", self.store.rotate(rotate)).await
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.within("confirm", self.store.confirm(owner, id, generation)).await
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.within("end", self.store.end(end)).await
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.within("list", self.store.list(owner)).await
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.within("expire_access", self.store.expire_access(owner, log_retention)).await
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.within("get_data", self.store.get_data(owner, id)).await
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.within("put_data", self.store.put_data(put)).await
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        self.within("register_device", self.store.register_device(register)).await
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        self.within("read_log", self.store.read_log(after, wait)).await
    }

    fn started_at(&self) -> Option<Timestamp> {
        self.store.started_at()
    }
}

/// Runs a case. The error is the text of its panic.
pub(super) async fn caught(mut case: Pin<Box<dyn Future<Output = ()> + '_>>) -> Result<(), String> {
    poll_fn(|context| {
        // What a panic leaves behind is dropped with the case.
        match catch_unwind(AssertUnwindSafe(|| case.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
            Err(panic) => Poll::Ready(Err(message(&*panic))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without text").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::UserId,
        store::{MemoryStore, Population},
        testing::{Fault, FaultyStore, StoreStep},
    };

    #[tokio::test]
    async fn step_that_never_ends_fails_its_case_by_name() {
        let store = FaultyStore::new(MemoryStore::new());
        store.inject(Fault::delays().at(StoreStep::List));
        let limited = Limited { case: "lists_something", limit: Duration::from_millis(1), store };
        let owner = Owner::new(Population::new("issuer", "audience"), UserId::new("alice").unwrap());
        let failed = caught(Box::pin(async { drop(limited.list(&owner).await) })).await;
        assert_eq!(failed.unwrap_err(), "conformance case lists_something: list took longer than 1ms");
    }
}
