//! The contract of a store of sessions, the record that it keeps, and a store in memory.
//!
//! A [`SessionStore`] keeps one small [`SessionRecord`] for each session and changes it in atomic steps. A step that
//! ends sessions also appends to the revocation log, from which every node learns of it. No store sees a token.
//!
//! # Writing a store
//!
//! Keep the [packed record](SessionRecord::to_bytes) in a row of its own, and change it only within a transaction, with
//! the methods of [`SessionRecord`]. Then run `testing::conformance` (feature `test-util`) against the store. The
//! example `custom_store` in the repository is a whole one. This is the beginning of another:
//!
//! ```
//! use std::time::Duration;
//! use tower_jwt_sessions::{
//!     SessionId, clock::Timestamp,
//!     store::{
//!         CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner,
//!         PutData, PutOutcome, RegisterDevice, RegisterOutcome, RotateDecision, RotateOutcome, RotateSession, SessionData,
//!         SessionList, SessionRecord, SessionStore, StoreError,
//!     },
//! };
//! # struct Pool;
//! # struct Transaction { now: Timestamp }
//! # impl Pool {
//! #     async fn begin(&self) -> Result<Transaction, StoreError> { todo!() }
//! # }
//! # impl Transaction {
//! #     async fn lock_row(&self, _: &Owner, _: SessionId) -> Result<Option<Vec<u8>>, StoreError> { todo!() }
//! #     async fn write_row(&self, _: &Owner, _: SessionId, _: &[u8]) -> Result<(), StoreError> { todo!() }
//! #     async fn delete_row(&self, _: &Owner, _: SessionId) -> Result<(), StoreError> { todo!() }
//! #     async fn publish_end(&self, _: SessionId, _: Duration) -> Result<(), StoreError> { todo!() }
//! #     async fn commit(self) -> Result<(), StoreError> { todo!() }
//! # }
//!
//! struct PostgresStore {
//!     pool: Pool,
//! }
//!
//! impl SessionStore for PostgresStore {
//!     async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
//!         let transaction = self.pool.begin().await?;
//!         let now = transaction.now; // the time of the database, so that all nodes agree
//!         let Some(row) = transaction.lock_row(&rotate.owner, rotate.id).await? else {
//!             return Ok(RotateOutcome::Ended);
//!         };
//!         let mut record =
//!             SessionRecord::from_bytes(&row).map_err(|corrupt| StoreError::new("reading a record", corrupt))?;
//!         if let Some(expiry) = rotate.outdated_claims(&record, now) {
//!             return Ok(RotateOutcome::ClaimsOutdated(expiry));
//!         }
//!         let decision = record.rotate(&rotate.attempt, now);
//!         match decision {
//!             RotateDecision::Live { .. } => {
//!                 transaction.write_row(&rotate.owner, rotate.id, &record.to_bytes()).await?;
//!             }
//!             RotateDecision::Reused => {
//!                 transaction.delete_row(&rotate.owner, rotate.id).await?;
//!                 transaction.publish_end(rotate.id, rotate.log_retention).await?;
//!             }
//!             _ => {}
//!         }
//!         transaction.commit().await?;
//!         Ok(decision.outcome(record, now))
//!     }
//!
//!     // …
//! #     async fn create(&self, _: &NewSession) -> Result<CreateOutcome, StoreError> { todo!() }
//! #     async fn find(&self, _: &Owner, _: SessionId) -> Result<Option<FoundSession>, StoreError> { todo!() }
//! #     async fn confirm(&self, _: &Owner, _: SessionId, _: u32) -> Result<(), StoreError> { todo!() }
//! #     async fn end(&self, _: &EndSessions) -> Result<Vec<SessionId>, StoreError> { todo!() }
//! #     async fn list(&self, _: &Owner) -> Result<SessionList, StoreError> { todo!() }
//! #     async fn expire_access(&self, _: &Owner, _: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> { todo!() }
//! #     async fn get_data(&self, _: &Owner, _: SessionId) -> Result<Option<SessionData>, StoreError> { todo!() }
//! #     async fn put_data(&self, _: &PutData) -> Result<PutOutcome, StoreError> { todo!() }
//! #     async fn register_device(&self, _: &RegisterDevice) -> Result<RegisterOutcome, StoreError> { todo!() }
//! #     async fn read_log(&self, _: LogPosition, _: Duration) -> Result<LogPage, StoreError> { todo!() }
//! #     fn started_at(&self) -> Option<Timestamp> { None }
//! }
//! # let _ = PostgresStore { pool: Pool };
//! ```

mod contract;
mod create;
mod data;
mod device;
mod end;
mod erased;
mod error;
mod log;
mod marks;
mod memory;
mod owner;
mod packed;
mod record;
mod redacted;
mod rotate;
mod session;

pub use self::{
    contract::SessionStore,
    create::{CreateOutcome, NewSession},
    data::{PutData, PutOutcome, SessionData},
    device::{RegisterDevice, RegisterOutcome},
    end::{EndSessions, WhichSessions},
    error::StoreError,
    log::{LogEntry, LogPage, LogPosition, Revocation},
    marks::{AccessExpiry, ClaimsAge, EndMark, LoginProof, MARKS_REMEMBERED},
    memory::MemoryStore,
    owner::{Owner, Population},
    packed::{CorruptRecord, PackedRecord},
    record::{RefreshAttempt, RotateDecision, Rotation, SessionRecord},
    rotate::{RotateOutcome, RotateSession},
    session::{Device, FoundSession, ListedSession, SessionList},
};
pub(crate) use self::{erased::DynStore, redacted::Redacted};
