//! The contract of a store.

use std::{future::Future, time::Duration};

use super::{
    create::{CreateOutcome, NewSession},
    data::{PutData, PutOutcome, SessionData},
    end::EndSessions,
    error::StoreError,
    log::{LogPage, LogPosition},
    owner::Owner,
    rotate::{RotateOutcome, RotateSession},
    session::{FoundSession, SessionList},
};
#[cfg(doc)]
use super::{
    end::WhichSessions,
    marks::{ClaimsAge, LoginProof, MARKS_REMEMBERED},
    owner::Population,
    record::SessionRecord,
};
use crate::{clock::Timestamp, id::SessionId};

/// A place that keeps sessions. Implementors write `async fn`: the page of the [module](super) has the beginning of a
/// store.
///
/// Every method that changes something is one atomic step at the store's own time: it happens entirely or not at all.
/// Only what concerns all sessions of a user may take several steps. A session is *live* while it is neither ended nor
/// past its idle or absolute limit; everything else is treated as if it did not exist. No method has a default, since
/// none of them could be left out.
///
/// Users of two [populations](Population) are strictly separate: everything is keyed by both parts of the [`Owner`].
/// They share the log, whose entries are kept for the longest `log_retention` that was ever asked for.
///
/// # Errors
///
/// Outcomes that belong to the protocol (no such session, limit reached, token reused) are values. A [`StoreError`]
/// means that the store itself failed, and is answered with `503`. What was reported as a failure must not happen
/// later.
///
/// # Example
///
/// A store that adds something to another one delegates:
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_sessions::{MemoryStore, SessionId, clock::Timestamp, store::*};
///
/// /// Logs how long refreshes take.
/// struct Timed<S>(S);
///
/// impl<S: SessionStore> SessionStore for Timed<S> {
///     async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
///         let began = tokio::time::Instant::now();
///         let outcome = self.0.rotate(rotation).await;
///         println!("rotated in {:?}", began.elapsed());
///         outcome
///     }
///     async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
///         self.0.create(new).await
///     }
///     // … and so on:
///     # async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
///     #     self.0.find(owner, id).await
///     # }
///     # async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
///     #     self.0.confirm(owner, id, generation).await
///     # }
///     # async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
///     #     self.0.end(end).await
///     # }
///     # async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
///     #     self.0.list(owner).await
///     # }
///     # async fn expire_access(&self, owner: &Owner, keep: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
///     #     self.0.expire_access(owner, keep).await
///     # }
///     # async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
///     #     self.0.get_data(owner, id).await
///     # }
///     # async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
///     #     self.0.put_data(put).await
///     # }
///     # async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
///     #     self.0.read_log(after, wait).await
///     # }
///     fn started_at(&self) -> Option<Timestamp> {
///         self.0.started_at()
///     }
/// }
/// # let _ = Timed(MemoryStore::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store of sessions",
    label = "not a `SessionStore`",
    note = "use `MemoryStore::new()`, or with the feature `redis` the store of `RedisStore::connect(url).await?`"
)]
pub trait SessionStore: Send + Sync + 'static {
    /// Creates a session, ends the one it replaces and enforces the limit, in one step. Its cost grows with the number
    /// of sessions only up to the limit, and not at all without one.
    ///
    /// Two marks of the owner, each remembered for [`MARKS_REMEMBERED`], say what a login that is under way may have
    /// missed: when access was last expired ([`expire_access`](Self::expire_access)), and when sessions were last ended
    /// by an [`end`](Self::end) of all or of the others. Nothing changes if the proof of the login is not known to be
    /// newer than the mark of an end ([`LoginProof::is_outdated_by`]), or if the claims are outdated by the later of
    /// both marks ([`ClaimsAge::is_outdated_by`]), whose time becomes the new record's `access_expired_at`.
    ///
    /// A mark further ahead of the store's clock than [`MAX_CLOCK_SKEW`](crate::policy::MAX_CLOCK_SKEW) was left before
    /// the clock was set back, and its age is unknown. The first step that reads it, this one or one that leaves
    /// another mark, gives it the time of that step. So it is never taken for older than it is, and is forgotten in
    /// time; a login with a proof from before that step is refused although the proof may be newer than the end.
    fn create(&self, new: &NewSession) -> impl Future<Output = Result<CreateOutcome, StoreError>> + Send;

    /// Reads a live session.
    fn find(
        &self,
        owner: &Owner,
        id: SessionId,
    ) -> impl Future<Output = Result<Option<FoundSession>, StoreError>> + Send;

    /// Carries out [`SessionRecord::rotate`] in one step. Reuse ends the session and publishes that. Nothing changes if
    /// the session is live and the claims are outdated ([`RotateSession::outdated_claims`]).
    fn rotate(&self, rotate: &RotateSession) -> impl Future<Output = Result<RotateOutcome, StoreError>> + Send;

    /// Records that `generation` was used for the first time ([`SessionRecord::confirm`]). Ignored unless the session
    /// is live and `generation` is its current one.
    fn confirm(
        &self,
        owner: &Owner,
        id: SessionId,
        generation: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends sessions with their data, and publishes that in the log. Returns the identifiers of those that were live.
    /// Ending what has ended already is no error, and completes what an earlier attempt left unfinished. Sessions that
    /// [`EndSessions::spares`] names are left alone.
    ///
    /// [`WhichSessions::All`] and [`WhichSessions::Others`] leave a mark for [`create`](Self::create), even if there is
    /// no session to end. A store may end many sessions in several steps, each of which publishes what it ends. The
    /// first step leaves the mark, and the steps end what began before it and nothing that began after. After an error,
    /// a retry ends the rest.
    ///
    /// A store that can lose records publishes the end of a session named by [`WhichSessions::Proven`] even when it
    /// does not know it: its access tokens may still be in use. Nothing else that it does not know is ever published,
    /// or a user could end the sessions of others by their identifiers.
    fn end(&self, end: &EndSessions) -> impl Future<Output = Result<Vec<SessionId>, StoreError>> + Send;

    /// Lists the live sessions of a user, in no particular order. This may take several steps: each session that is
    /// live throughout is listed once.
    fn list(&self, owner: &Owner) -> impl Future<Output = Result<SessionList, StoreError>> + Send;

    /// Raises the epoch of every live session of a user ([`SessionRecord::expire_access`]) and publishes it, so that
    /// the access tokens issued until now are refused and the next refresh loads new claims. Returns the identifiers
    /// with their new epochs. Leaves a mark for [`create`](Self::create), even if there is no session; its time becomes
    /// the `access_expired_at` of the records.
    ///
    /// A mark is later than both previous marks of the owner, even within one millisecond, so that a login that knows
    /// of those is told of this one too. A previous mark that lies ahead gets the time of this step first, as in
    /// [`create`](Self::create). Many sessions may take several steps, as with [`end`](Self::end).
    fn expire_access(
        &self,
        owner: &Owner,
        log_retention: Duration,
    ) -> impl Future<Output = Result<Vec<(SessionId, u32)>, StoreError>> + Send;

    /// Reads the application's data of a live session; `None` when the session is not live.
    fn get_data(
        &self,
        owner: &Owner,
        id: SessionId,
    ) -> impl Future<Output = Result<Option<SessionData>, StoreError>> + Send;

    /// Replaces the application's data of a live session if its version is still the expected one.
    fn put_data(&self, put: &PutData) -> impl Future<Output = Result<PutOutcome, StoreError>> + Send;

    /// Reads the revocation log after a position, oldest entry first. With nothing to read it waits for up to `wait`
    /// for an entry; a zero `wait` answers at once.
    fn read_log(&self, after: LogPosition, wait: Duration) -> impl Future<Output = Result<LogPage, StoreError>> + Send;

    /// Returns the time before which no session of this store can have begun, if there is one.
    ///
    /// A store that forgets everything when the process ends returns the time of its creation. Access tokens issued
    /// earlier are refused: nothing could revoke them.
    fn started_at(&self) -> Option<Timestamp>;
}
