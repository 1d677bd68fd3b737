//! The contract of a store.

use std::{future::Future, time::Duration};

use super::{
    create::{CreateOutcome, NewSession},
    data::{PutData, PutOutcome, SessionData},
    device::{RegisterDevice, RegisterOutcome},
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
/// User ids differ if one byte of them does, and may contain any characters, also NUL. The data of an application is
/// any bytes. A user may have thousands of sessions. No method has a time limit of its own in the contract, but one that
/// waits forever keeps a request waiting: use the time limits of your client.
///
/// `testing::conformance` (feature `test-util`) checks all of this, and demands nothing else.
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
///     # async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
///     #     self.0.register_device(register).await
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
    /// The record is [`SessionRecord::begin`] at the store's time, with the data of [`NewSession::data`] as version 1 (0
    /// without data) and the device as given. Identifiers are random: no session is created with one that is live, not
    /// even at the same time, so a unique key on it is fine. One whose session was ended or has expired may come again,
    /// and then begins without the former data.
    ///
    /// The session of [`NewSession::replaces`] counts for no limit. It ends only if it is a live session of the owner;
    /// otherwise nothing happens to it. Beyond the limit the live sessions end that were refreshed, or else created,
    /// longest ago, those of the same time in the order of their identifiers: as many as needed, where the limit was
    /// lowered. With [`WhenFull::Refuse`](crate::policy::WhenFull::Refuse) nothing changes, and the session that would
    /// have been replaced stays. The limit holds exactly for logins at the same time. What ends is published; sessions
    /// that have expired make room without that.
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

    /// Reads a live session, up to the last millisecond before its limit, with the key of its device and together with
    /// the store's time.
    fn find(
        &self,
        owner: &Owner,
        id: SessionId,
    ) -> impl Future<Output = Result<Option<FoundSession>, StoreError>> + Send;

    /// Carries out [`SessionRecord::rotate`] in one step, also for refreshes at the same time: one of them rotates.
    /// Reuse ends the session and publishes that, once. Nothing changes if the session is live and the claims are
    /// outdated ([`RotateSession::outdated_claims`]), or if it is bound to a device and the attempt is not proven.
    fn rotate(&self, rotate: &RotateSession) -> impl Future<Output = Result<RotateOutcome, StoreError>> + Send;

    /// Records that `generation` was used for the first time ([`SessionRecord::confirm`]). Ignored unless the session
    /// is live and `generation` is its current one.
    fn confirm(
        &self,
        owner: &Owner,
        id: SessionId,
        generation: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends sessions with their data, and publishes that in the log. Returns the identifiers of those that were live;
    /// what had expired is neither returned nor published. Ending what has ended already is no error, and completes what
    /// an earlier attempt left unfinished. Sessions that [`EndSessions::spares`] names are left alone. Nothing revives
    /// what has ended.
    ///
    /// [`WhichSessions::All`] and [`WhichSessions::Others`] leave a mark for [`create`](Self::create), even if there is
    /// no session to end. The mark is as old as the request for the end: by [`EndSessions::min_age`] older than this
    /// step, for an end that is tried again, but no older than the mark of a later end. A store may end many sessions
    /// in several steps, each of which publishes what it ends. The first step leaves the mark, and the steps end what
    /// began before it and nothing that began after. After an error, a retry ends the rest.
    ///
    /// A store that can lose records publishes the end of a session named by [`WhichSessions::Proven`] even when it
    /// does not know it: its access tokens may still be in use. Nothing else that it does not know is ever published,
    /// or a user could end the sessions of others by their identifiers.
    fn end(&self, end: &EndSessions) -> impl Future<Output = Result<Vec<SessionId>, StoreError>> + Send;

    /// Lists the live sessions of a user, in no particular order, with the device of their login and the store's time.
    /// This may take several steps: each session that is live throughout is listed once.
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

    /// Replaces the application's data of a live session if its version is still the expected one, and counts the
    /// version up by one. Of writers at the same time that expect one version, one writes. Any version may be expected,
    /// also [`u64::MAX`].
    fn put_data(&self, put: &PutData) -> impl Future<Output = Result<PutOutcome, StoreError>> + Send;

    /// Keeps the key of a device for a live session that has none, as one step: of registrations at the same time, one
    /// succeeds. The key never changes, also when it is registered again, and is removed with the session. The record
    /// stays as it is: [`SessionRecord::rotate`] binds the session when the device has proven to have the key.
    ///
    /// The key and the fact that it is demanded ([`SessionRecord::bound_at`]) must not be lost one without the other by
    /// anything but a failure of the store.
    fn register_device(
        &self,
        register: &RegisterDevice,
    ) -> impl Future<Output = Result<RegisterOutcome, StoreError>> + Send;

    /// Reads the revocation log after a position, oldest entry first. With nothing to read it waits for up to `wait`
    /// for an entry, and returns as soon as there is one, or else an empty page; a zero `wait` answers at once. It waits
    /// in real time, whatever the clock of the store shows. `wait` may be as long as [`Duration::MAX`], which overflows
    /// if it is added to a time.
    ///
    /// What one step revokes is one entry, unless the step is split. A position has the store's time of its entry, and is
    /// greater than all before it, also within a millisecond and after the clock was set back. Before the first entry
    /// [`LogPage::newest`] is [`LogPosition::START`]. Entries are kept for at least their retention, however many follow.
    fn read_log(&self, after: LogPosition, wait: Duration) -> impl Future<Output = Result<LogPage, StoreError>> + Send;

    /// Returns the time before which no session of this store can have begun, if there is one.
    ///
    /// A store that forgets everything when the process ends returns the time of its creation. Access tokens issued
    /// earlier are refused: nothing could revoke them.
    fn started_at(&self) -> Option<Timestamp>;
}
