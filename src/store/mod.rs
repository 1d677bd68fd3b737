//! Where sessions live: the [`SessionStore`] contract, the [`SessionRecord`] that it keeps, and the [`MemoryStore`].
//!
//! A store never sees a token. It keeps one small record for each session and changes it in atomic steps; whatever
//! ends a session also appends to the revocation log in the same step, which is how every node learns of it.
//!
//! To write a store for another database, keep [`SessionRecord::to_bytes`] in a row or value of its own, change it only
//! inside a transaction (or compare-and-set) with the methods of [`SessionRecord`], and run
//! `testing::conformance` (feature `test-util`) against it.

mod debug;
mod erased;
mod log;
mod memory;
mod owner;
mod record;

use std::{borrow::Cow, error::Error as StdError, fmt, future::Future, net::IpAddr, time::Duration};

pub(crate) use self::{debug::Redacted, erased::DynStore};
pub use self::{
    log::{LogEntry, LogPage, LogPosition, Revocation},
    memory::MemoryStore,
    owner::{Owner, Population},
    record::{CorruptRecord, RefreshAttempt, RotateDecision, Rotation, SessionRecord},
};
use crate::{clock::Timestamp, id::SessionId, policy::SessionLimit};

/// A place that keeps sessions.
///
/// Outcomes that belong to the protocol (no such session, limit reached, token reused) are values; `Err` means that the
/// store itself failed, and is answered with `503`. **No method has a default body that would weaken it.** Every method
/// that changes something is one atomic step, judged by the store's own clock, and either happens entirely or not at
/// all; only what concerns all sessions of a user may take several steps. A session is *live* while it is neither ended
/// nor past its idle or absolute limit; everything else is treated as if it did not exist.
///
/// Users of two [populations](Population) never meet: everything is keyed by both parts of the [`Owner`]. They share
/// the log, whose entries are kept for the longest `log_retention` that was ever asked for.
///
/// Implementors write `async fn`.
///
/// A whole store is in the repository, `examples/custom_store.rs`. One that adds something to another store delegates:
///
/// ```
/// use std::time::Duration;
/// use tower_jwt_sessions::{MemoryStore, SessionId, Timestamp, store::*};
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
    /// A mark further ahead of the store's clock than [`MAX_CLOCK_SKEW`](crate::MAX_CLOCK_SKEW) was left before the clock
    /// was set back, and its age is unknown. The first step that reads it, this one or one that leaves another mark, gives
    /// it the time of that step. So it is never taken for older than it is, and is forgotten in time; a login with a proof
    /// from before that step is refused although the proof may be newer than the end.
    fn create(&self, new: &NewSession) -> impl Future<Output = Result<CreateOutcome, StoreError>> + Send;

    /// Reads a live session.
    fn find(
        &self,
        owner: &Owner,
        id: SessionId,
    ) -> impl Future<Output = Result<Option<FoundSession>, StoreError>> + Send;

    /// Takes [`SessionRecord::rotate`] in one step. Reuse ends the session and publishes that. Changes nothing if the
    /// session lives and the claims are outdated.
    fn rotate(&self, rotation: &RotateSession) -> impl Future<Output = Result<RotateOutcome, StoreError>> + Send;

    /// Notes that `generation` was used for the first time ([`SessionRecord::confirm`]). Ignored unless the session is
    /// live and `generation` is its current one.
    fn confirm(
        &self,
        owner: &Owner,
        id: SessionId,
        generation: u32,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends sessions with their data: flag, publish in the log, delete. Returns the identifiers of those that were
    /// live. Ending what has ended already is no error, and completes what an earlier attempt left unfinished. Sessions
    /// that [`EndSessions::spares`] names are left alone.
    ///
    /// [`WhichSessions::All`] and [`WhichSessions::Others`] leave a mark for [`create`](Self::create), even if there is
    /// no session to end. A store may end many sessions in several steps, each of which publishes what it ends. The
    /// first step leaves the mark, and the steps end what began before it and nothing that began after. After an error,
    /// a retry ends the rest.
    ///
    /// A store that can lose records publishes the end of a session named by [`WhichSessions::Proven`] even when it does
    /// not know it: its access tokens may still be about. Nothing else that it does not know is ever published, or a
    /// user could end the sessions of others by their identifiers.
    fn end(&self, end: &EndSessions) -> impl Future<Output = Result<Vec<SessionId>, StoreError>> + Send;

    /// Lists the live sessions of a user, in no particular order. This may take several steps: each session that is
    /// live throughout is listed once.
    fn list(&self, owner: &Owner) -> impl Future<Output = Result<SessionList, StoreError>> + Send;

    /// Raises the epoch of every live session of a user ([`SessionRecord::expire_access`]) and publishes it, so that
    /// the access tokens issued until now are refused and the next refresh loads new claims. Returns the identifiers
    /// with their new epochs. Leaves a mark for [`create`](Self::create), even if there is no session; its time becomes
    /// the `access_expired_at` of the records.
    ///
    /// A mark is later than both previous marks of the owner, even within one millisecond: a login that knows of those
    /// must learn of this one too. A previous mark that lies ahead gets the time of this step first, as in
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

    /// The time before which no session of this store can have begun, if there is one.
    ///
    /// A store that forgets everything when the process ends gives the time of its creation. Access tokens issued
    /// earlier are refused: nothing could revoke them.
    fn started_at(&self) -> Option<Timestamp>;
}

/// How long the marks of [`SessionStore::expire_access`] and [`SessionStore::end`] are remembered for logins that are under
/// way: one hour. A login is refused when its proof is older than half of that.
pub const MARKS_REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// What [`SessionStore::create`] creates.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewSession {
    /// The owner.
    pub owner: Owner,
    /// The identifier, drawn for this session.
    pub id: SessionId,
    /// Idle time: how long after the last rotation the session ends.
    pub refresh_lifetime: Duration,
    /// How long after the login the session ends, whatever happens.
    pub absolute_lifetime: Duration,
    /// How many sessions the user may have; `None` for no limit.
    pub limit: Option<SessionLimit>,
    /// A session *of the same user* that ends in the same step and does not count for the limit.
    pub replaces: Option<SessionId>,
    /// The first version of the application's data.
    pub data: Option<Vec<u8>>,
    /// Where the login came from.
    pub device: Device,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// The claims that will be signed; `None` when there is nothing to compare.
    pub claims: Option<ClaimsAge>,
    /// What the login states about its proof; with `None`, no mark refuses it.
    pub proof: Option<LoginProof>,
}

impl NewSession {
    /// A session with these lifetimes, without limit, data or device; set the other fields as needed.
    pub fn new(
        owner: Owner,
        id: SessionId,
        refresh_lifetime: Duration,
        absolute_lifetime: Duration,
        log_retention: Duration,
    ) -> Self {
        Self {
            owner,
            id,
            refresh_lifetime,
            absolute_lifetime,
            limit: None,
            replaces: None,
            data: None,
            device: Device::default(),
            log_retention,
            claims: None,
            proof: None,
        }
    }
}

/// States that a login knows when the proof of its user began, such as the check of a password.
///
/// Sessions may have been ended since then, because the password changed, and then the proof is worth nothing. The
/// store does not compare times. It answers with the last [`EndMark`] unless the login states that it is newer; the
/// node, which knows the age of the proof by its own clock, compares ages and takes the step again if the proof is
/// newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginProof {
    /// The [`EndMark::at`] of the mark that the proof is known to be newer than.
    pub newer_than: Option<Timestamp>,
}

impl LoginProof {
    /// Whether the proof may be older than the mark of this time.
    pub fn is_outdated_by(&self, mark: Timestamp) -> bool {
        // A mark that was left after the clock was set back may have an earlier time than one before.
        self.newer_than != Some(mark)
    }
}

/// The mark of an owner's last [`SessionStore::end`] of all sessions or of the others, as a step found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMark {
    /// Its time by the store's clock, later than that of every previous mark of the owner unless the clock was set back,
    /// so that it identifies the mark.
    pub at: Timestamp,
    /// How long before this step the mark was left, as exactly as the store knows, and never overstated: a store that
    /// counts milliseconds subtracts one.
    pub age: Duration,
}

/// How old claims are that will be signed after a step, by the clock of the node that loaded them.
///
/// Since then access may have been expired ([`SessionStore::expire_access`]) or, for a login, sessions ended because
/// the user is gone. Claims must then be loaded again *before* the step: if a source failed after it, the step would
/// have been taken and nobody would have its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimsAge {
    /// How long ago they were asked for.
    pub age: Duration,
    /// They were asked for when this one was already known, so they are newer, whatever their age.
    pub newer_than: Option<AccessExpiry>,
}

/// A call of [`SessionStore::expire_access`], as a step found it; for [`SessionStore::create`] also the mark of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessExpiry {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// The epoch of the session since then; 0 where there is no session yet.
    pub epoch: u32,
}

impl ClaimsAge {
    /// Whether the claims may be older than this expiry.
    pub fn is_outdated_by(&self, expiry: AccessExpiry, now: Timestamp) -> bool {
        self.newer_than != Some(expiry) && now.since(expiry.at) <= self.age
    }
}

/// Where a login came from, as the application told it. Shown in the list of sessions, never used to decide anything.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// The `User-Agent` of the login, cut to 255 bytes.
    pub user_agent: Option<String>,
    /// The address of the client.
    pub ip: Option<IpAddr>,
}

/// What came of [`SessionStore::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The session lives.
    Created {
        /// The new record.
        record: SessionRecord,
        /// The store's time of the step.
        now: Timestamp,
        /// The sessions that ended for it: the replaced one and those over the limit.
        ended: Vec<SessionId>,
    },
    /// The user has as many sessions as allowed and the limit says to refuse. Nothing changed.
    LimitReached,
    /// [`NewSession::claims`] are outdated. Nothing changed.
    ClaimsOutdated(AccessExpiry),
    /// [`NewSession::proof`] is not known to be newer than this. Nothing changed.
    ProofOutdated(EndMark),
}

/// A live session, as read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSession {
    /// The record.
    pub record: SessionRecord,
    /// The store's time of the reading.
    pub now: Timestamp,
}

/// What [`SessionStore::rotate`] is asked to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RotateSession {
    /// The owner.
    pub owner: Owner,
    /// The session.
    pub id: SessionId,
    /// The refresh token and the rules that apply to it.
    pub attempt: RefreshAttempt,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// The claims that will be signed; `None` when there is nothing to compare.
    pub claims: Option<ClaimsAge>,
}

impl RotateSession {
    /// A refresh token presented for this session.
    pub fn new(owner: Owner, id: SessionId, attempt: RefreshAttempt, log_retention: Duration) -> Self {
        Self { owner, id, attempt, log_retention, claims: None }
    }
}

/// What came of [`SessionStore::rotate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// The session lives on.
    Live {
        /// Which row of the table applied.
        rotation: Rotation,
        /// The record after the step.
        record: SessionRecord,
        /// The store's time of the step.
        now: Timestamp,
        /// Whether the record was behind the token or the node: the store had lost writes, for example in a failover.
        rolled_back: bool,
    },
    /// [`RotateSession::claims`] are outdated. Nothing changed.
    ClaimsOutdated(AccessExpiry),
    /// The token was superseded and its window closed. The session was ended and published in this step.
    Reused,
    /// The token or the session is over, or there never was one.
    Ended,
}

/// What [`SessionStore::end`] ends.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndSessions {
    /// The owner.
    pub owner: Owner,
    /// Which of the owner's sessions.
    pub which: WhichSessions,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// Spares sessions that began less than this ago, by the store's clock. Zero, the default, spares none.
    ///
    /// For an end that is tried again: how long ago it was asked for, so that later logins are spared.
    pub min_age: Duration,
}

impl EndSessions {
    /// The end of these sessions of this user, however young they are.
    pub fn new(owner: Owner, which: WhichSessions, log_retention: Duration) -> Self {
        Self { owner, which, log_retention, min_age: Duration::ZERO }
    }

    /// Whether a session that was created then is too young to be ended.
    ///
    /// One from the future is not: the store's clock was set back, so its age is unknown.
    pub fn spares(&self, created_at: Timestamp, now: Timestamp) -> bool {
        created_at <= now && now.since(created_at) < self.min_age
    }
}

/// A choice among the sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichSessions {
    /// This one, if it is one of the user's.
    One(SessionId),
    /// This one, which a token of the user that we signed has named: it existed, even if the store has lost it.
    Proven(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All of them.
    All,
}

impl WhichSessions {
    /// Whether `id` is among them.
    pub fn includes(self, id: SessionId) -> bool {
        match self {
            Self::One(one) | Self::Proven(one) => one == id,
            Self::Others(kept) => kept != id,
            Self::All => true,
        }
    }
}

/// The live sessions of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionList {
    /// The sessions.
    pub sessions: Vec<ListedSession>,
    /// The store's time of the reading.
    pub now: Timestamp,
}

/// One row of [`SessionList`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// The session.
    pub id: SessionId,
    /// Its record.
    pub record: SessionRecord,
    /// Where its login came from.
    pub device: Device,
}

/// The application's data of a session, opaque to the store.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SessionData {
    /// Counts the writes; 0 when there was none.
    pub version: u64,
    /// The data, `None` when there was no write.
    pub bytes: Option<Vec<u8>>,
}

/// What [`SessionStore::put_data`] writes.
#[derive(Clone)]
#[non_exhaustive]
pub struct PutData {
    /// The owner.
    pub owner: Owner,
    /// The session.
    pub id: SessionId,
    /// The version that the writer read.
    pub expected_version: u64,
    /// The new data.
    pub bytes: Vec<u8>,
}

impl PutData {
    /// New data from a writer that read `expected_version`.
    pub fn new(owner: Owner, id: SessionId, expected_version: u64, bytes: Vec<u8>) -> Self {
        Self { owner, id, expected_version, bytes }
    }
}

/// What came of [`SessionStore::put_data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// Written.
    Stored {
        /// The new version.
        version: u64,
    },
    /// Somebody else wrote first. Nothing changed.
    Conflict,
    /// The session is not live. Nothing changed, and nothing came back to life.
    Ended,
}

/// The store failed: unreachable, too slow, or holding something unreadable.
///
/// It says nothing about any session. What caused it is its [`source`](StdError::source).
#[derive(Debug)]
pub struct StoreError {
    doing: Cow<'static, str>,
    source: Box<dyn StdError + Send + Sync>,
}

impl StoreError {
    /// An error met while `doing` something, for example `"rotating a session"`.
    pub fn new(doing: impl Into<Cow<'static, str>>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { doing: doing.into(), source: source.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the session store failed while {}", self.doing)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}
