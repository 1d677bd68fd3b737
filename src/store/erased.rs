//! A store with its type erased, so that the types of managers and handlers do not name it.

use std::{future::Future, pin::Pin, time::Duration};

#[cfg(feature = "dbsc")]
use super::device::{RegisterDevice, RegisterOutcome};
use super::{
    contract::SessionStore,
    create::{CreateOutcome, NewSession},
    data::{PutData, PutOutcome, SessionData},
    end::EndSessions,
    error::StoreError,
    log::{LogPage, LogPosition},
    owner::Owner,
    rotate::{RotateOutcome, RotateSession},
    session::{FoundSession, SessionList},
};
use crate::{clock::Timestamp, id::SessionId, measure::store_step};

type Outcome<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`SessionStore`] with boxed futures, as the manager holds it. Each step but reading the log, which waits, is measured.
pub(crate) trait DynStore: Send + Sync {
    fn create<'a>(&'a self, new: &'a NewSession) -> Outcome<'a, CreateOutcome>;
    fn find<'a>(&'a self, owner: &'a Owner, id: SessionId) -> Outcome<'a, Option<FoundSession>>;
    fn rotate<'a>(&'a self, rotate: &'a RotateSession) -> Outcome<'a, RotateOutcome>;
    fn confirm<'a>(&'a self, owner: &'a Owner, id: SessionId, generation: u32) -> Outcome<'a, ()>;
    fn end<'a>(&'a self, end: &'a EndSessions) -> Outcome<'a, Vec<SessionId>>;
    fn list<'a>(&'a self, owner: &'a Owner) -> Outcome<'a, SessionList>;
    fn expire_access<'a>(&'a self, owner: &'a Owner, log_retention: Duration) -> Outcome<'a, Vec<(SessionId, u32)>>;
    fn get_data<'a>(&'a self, owner: &'a Owner, id: SessionId) -> Outcome<'a, Option<SessionData>>;
    fn put_data<'a>(&'a self, put: &'a PutData) -> Outcome<'a, PutOutcome>;
    #[cfg(feature = "dbsc")]
    fn register_device<'a>(&'a self, register: &'a RegisterDevice) -> Outcome<'a, RegisterOutcome>;
    fn read_log(&self, after: LogPosition, wait: Duration) -> Outcome<'_, LogPage>;
    fn started_at(&self) -> Option<Timestamp>;
}

impl<S: SessionStore> DynStore for S {
    fn create<'a>(&'a self, new: &'a NewSession) -> Outcome<'a, CreateOutcome> {
        Box::pin(store_step("create", SessionStore::create(self, new)))
    }

    fn find<'a>(&'a self, owner: &'a Owner, id: SessionId) -> Outcome<'a, Option<FoundSession>> {
        Box::pin(store_step("find", SessionStore::find(self, owner, id)))
    }

    fn rotate<'a>(&'a self, rotate: &'a RotateSession) -> Outcome<'a, RotateOutcome> {
        Box::pin(store_step("rotate", SessionStore::rotate(self, rotate)))
    }

    fn confirm<'a>(&'a self, owner: &'a Owner, id: SessionId, generation: u32) -> Outcome<'a, ()> {
        Box::pin(store_step("confirm", SessionStore::confirm(self, owner, id, generation)))
    }

    fn end<'a>(&'a self, end: &'a EndSessions) -> Outcome<'a, Vec<SessionId>> {
        Box::pin(store_step("end", SessionStore::end(self, end)))
    }

    fn list<'a>(&'a self, owner: &'a Owner) -> Outcome<'a, SessionList> {
        Box::pin(store_step("list", SessionStore::list(self, owner)))
    }

    fn expire_access<'a>(&'a self, owner: &'a Owner, log_retention: Duration) -> Outcome<'a, Vec<(SessionId, u32)>> {
        Box::pin(store_step("expire_access", SessionStore::expire_access(self, owner, log_retention)))
    }

    fn get_data<'a>(&'a self, owner: &'a Owner, id: SessionId) -> Outcome<'a, Option<SessionData>> {
        Box::pin(store_step("get_data", SessionStore::get_data(self, owner, id)))
    }

    fn put_data<'a>(&'a self, put: &'a PutData) -> Outcome<'a, PutOutcome> {
        Box::pin(store_step("put_data", SessionStore::put_data(self, put)))
    }

    #[cfg(feature = "dbsc")]
    fn register_device<'a>(&'a self, register: &'a RegisterDevice) -> Outcome<'a, RegisterOutcome> {
        Box::pin(store_step("register_device", SessionStore::register_device(self, register)))
    }

    fn read_log(&self, after: LogPosition, wait: Duration) -> Outcome<'_, LogPage> {
        Box::pin(SessionStore::read_log(self, after, wait))
    }

    fn started_at(&self) -> Option<Timestamp> {
        SessionStore::started_at(self)
    }
}
