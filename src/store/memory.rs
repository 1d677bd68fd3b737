//! The reference store: everything in this process, forgotten when it ends.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    AccessExpiry, CreateOutcome, Device, EXPIRY_REMEMBERED, EndSessions, FoundSession, ListedSession, LogEntry,
    LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome, Revocation, RotateOutcome, RotateSession,
    SessionData, SessionList, SessionRecord, SessionStore, Step, StoreError,
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    id::SessionId,
    policy::{SessionLimit, WhenFull},
};

/// A [`SessionStore`] in the memory of this process, for one node, for tests and for trying things out.
///
/// Clones share their sessions. When the process ends every session is gone, so access tokens issued before its start
/// are refused. Expired sessions are dropped as new ones come, at the latest with the first login of the next hour.
///
/// ```
/// use tower_jwt_sessions::MemoryStore;
///
/// let store = MemoryStore::new();
/// # let _ = store;
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    state: Mutex<State>,
    published: Notify,
}

#[derive(Default)]
struct State {
    users: HashMap<Owner, HashMap<SessionId, Entry>>,
    log: VecDeque<LogEntry>,
    newest: LogPosition,
    /// The longest time for which anybody asked that entries be kept.
    log_retention: Duration,
    created_since_sweep: usize,
    swept_at: Timestamp,
    /// When access was expired lately.
    expired_at: HashMap<Owner, Timestamp>,
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

struct Entry {
    record: SessionRecord,
    device: Device,
    data: SessionData,
}

impl MemoryStore {
    /// An empty store on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store on this clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        Self {
            shared: Arc::new(Shared {
                started_at: clock.now(),
                clock: Arc::new(clock),
                state: Mutex::default(),
                published: Notify::new(),
            }),
        }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No step leaves the state half changed at a point where it could panic.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &mut State, now: Timestamp, retention: Duration, revocations: Vec<Revocation>) {
        if !revocations.is_empty() {
            state.append(now, retention, revocations);
            self.shared.published.notify_waiters();
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions: usize = self.state().users.values().map(HashMap::len).sum();
        f.debug_struct("MemoryStore").field("sessions", &sessions).finish_non_exhaustive()
    }
}

impl State {
    fn live(&mut self, owner: &Owner, id: SessionId, now: Timestamp) -> Option<&mut Entry> {
        self.users.get_mut(owner)?.get_mut(&id).filter(|entry| entry.record.is_live(now))
    }

    /// Removes sessions of a user and returns those that were live.
    fn remove(&mut self, owner: &Owner, now: Timestamp, mut chosen: impl FnMut(SessionId) -> bool) -> Vec<SessionId> {
        self.remove_records(owner, now, |id, _| chosen(id))
    }

    /// As [`remove`](Self::remove), chosen also by their records.
    fn remove_records(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        mut chosen: impl FnMut(SessionId, &SessionRecord) -> bool,
    ) -> Vec<SessionId> {
        let Some(sessions) = self.users.get_mut(owner) else { return Vec::new() };
        let mut ended = Vec::new();
        sessions.retain(|id, entry| {
            let remove = chosen(*id, &entry.record);
            if remove && entry.record.is_live(now) {
                ended.push(*id);
            }
            !remove
        });
        if sessions.is_empty() {
            self.users.remove(owner);
        }
        ended
    }

    /// Which sessions of a user must go so that one more fits; `None` when the limit says to refuse.
    fn over_limit(&self, owner: &Owner, limit: Option<SessionLimit>) -> Option<Vec<SessionId>> {
        let (Some(limit), Some(sessions)) = (limit, self.users.get(owner)) else { return Some(Vec::new()) };
        let keep = limit.max() as usize - 1;
        if sessions.len() <= keep {
            return Some(Vec::new());
        }
        match limit.when_full() {
            WhenFull::Refuse => None,
            WhenFull::EndLeastRecentlyRefreshed => {
                let mut by_age: Vec<_> =
                    sessions.iter().map(|(id, entry)| (entry.record.refreshed_at(), *id)).collect();
                by_age.sort_unstable();
                by_age.truncate(sessions.len() - keep);
                Some(by_age.into_iter().map(|(_, id)| id).collect())
            }
        }
    }

    /// Drops what has expired whenever as many sessions were created as there are users, so that the work is constant
    /// for each login, and at least once an hour, so that little traffic does not keep what a lot of it has left.
    fn sweep(&mut self, now: Timestamp) {
        self.created_since_sweep += 1;
        if self.created_since_sweep <= self.users.len() && now.since(self.swept_at) < SWEEP_INTERVAL {
            return;
        }
        self.created_since_sweep = 0;
        self.swept_at = now;
        self.expired_at.retain(|_, at| now.since(*at) < EXPIRY_REMEMBERED);
        self.users.retain(|_, sessions| {
            sessions.retain(|_, entry| entry.record.is_live(now));
            !sessions.is_empty()
        });
    }

    fn append(&mut self, now: Timestamp, retention: Duration, revocations: Vec<Revocation>) {
        let next = LogPosition::new(self.newest.at().as_millis(), self.newest.sequence().saturating_add(1));
        self.newest = LogPosition::new(now.as_millis(), 0).max(next);
        self.log.push_back(LogEntry { position: self.newest, revocations });
        self.log_retention = self.log_retention.max(retention);
        let oldest = now.saturating_sub(self.log_retention);
        while self.log.front().is_some_and(|entry| entry.position.at() < oldest) {
            self.log.pop_front();
        }
    }

    fn page(&self, after: LogPosition) -> LogPage {
        let start = self.log.partition_point(|entry| entry.position <= after);
        LogPage { entries: self.log.range(start..).cloned().collect(), newest: self.newest, ..LogPage::default() }
    }
}

fn ended(ids: &[SessionId]) -> Vec<Revocation> {
    ids.iter().copied().map(Revocation::ended).collect()
}

impl SessionStore for MemoryStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        state.sweep(now);
        state.remove_expired(&new.owner, now);

        let expired_at = state.expired_at.get(&new.owner).copied();
        let expired_at = expired_at.filter(|at| now.since(*at) < EXPIRY_REMEMBERED);
        let expiry = expired_at.map(|at| AccessExpiry { at, epoch: 0 });
        if let (Some(claims), Some(expiry)) = (new.claims, expiry)
            && claims.is_outdated_by(expiry, now)
        {
            return Ok(CreateOutcome::ClaimsOutdated(expiry));
        }

        let replaced = new.replaces.filter(|id| state.live(&new.owner, *id, now).is_some());
        let kept_out = replaced.and_then(|id| state.users.get_mut(&new.owner)?.remove(&id).map(|entry| (id, entry)));
        let Some(evicted) = state.over_limit(&new.owner, new.limit) else {
            // Refused: the session that would have been replaced stays.
            if let Some((id, entry)) = kept_out {
                state.users.entry(new.owner.clone()).or_default().insert(id, entry);
            }
            return Ok(CreateOutcome::LimitReached);
        };
        let mut gone: Vec<SessionId> = replaced.into_iter().collect();
        gone.extend(state.remove(&new.owner, now, |id| evicted.contains(&id)));
        self.publish(state, now, new.log_retention, ended(&gone));

        let mut record = SessionRecord::begin(now, new.refresh_lifetime, new.absolute_lifetime);
        record.access_expired_at = expired_at;
        let data = match &new.data {
            Some(bytes) => SessionData { version: 1, bytes: Some(bytes.clone()) },
            None => SessionData::default(),
        };
        let entry = Entry { record, device: new.device.clone(), data };
        state.users.entry(new.owner.clone()).or_default().insert(new.id, entry);
        Ok(CreateOutcome::Created { record, now, ended: gone })
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let now = self.now();
        Ok(self.state().live(owner, id, now).map(|entry| FoundSession { record: entry.record, now }))
    }

    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        let Some(entry) = state.live(&rotation.owner, rotation.id, now) else { return Ok(RotateOutcome::Ended) };
        let expiry = entry.record.access_expired_at.map(|at| AccessExpiry { at, epoch: entry.record.epoch });
        if let (Some(claims), Some(expiry)) = (rotation.claims, expiry)
            && now < rotation.presentation.token_expires_at
            && rotation.presentation.min_epoch != Revocation::ENDED
            && claims.is_outdated_by(expiry, now)
        {
            return Ok(RotateOutcome::ClaimsOutdated(expiry));
        }
        Ok(match entry.record.rotate(&rotation.presentation, now) {
            Step::Live { rotation, rolled_back } => {
                RotateOutcome::Live { rotation, record: entry.record, now, rolled_back }
            }
            Step::Ended => RotateOutcome::Ended,
            Step::Reused => {
                state.remove(&rotation.owner, now, |id| id == rotation.id);
                self.publish(state, now, rotation.log_retention, ended(&[rotation.id]));
                RotateOutcome::Reused
            }
        })
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        let now = self.now();
        if let Some(entry) = self.state().live(owner, id, now) {
            entry.record.confirm(generation, now);
        }
        Ok(())
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        let gone = state.remove_records(&end.owner, now, |id, record| {
            end.which.includes(id) && !end.spares(record.created_at, now)
        });
        self.publish(state, now, end.log_retention, ended(&gone));
        Ok(gone)
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        let now = self.now();
        let state = self.state();
        let sessions = state.users.get(owner).into_iter().flatten().filter(|(_, entry)| entry.record.is_live(now));
        let listed = |(id, entry): (&SessionId, &Entry)| ListedSession {
            id: *id,
            record: entry.record,
            device: entry.device.clone(),
        };
        Ok(SessionList { sessions: sessions.map(listed).collect(), now })
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        state.sweep(now);
        // Later than the last time, also within one millisecond: a login that has heard of that one must hear of this one
        // too.
        let latest = state.expired_at.entry(owner.clone()).or_default();
        *latest = now.max(latest.saturating_add(Duration::from_millis(1)));
        let raised: Vec<(SessionId, u32)> = state
            .users
            .get_mut(owner)
            .into_iter()
            .flatten()
            .filter(|(_, entry)| entry.record.is_live(now))
            .map(|(id, entry)| (*id, entry.record.expire_access(now)))
            .collect();
        let revocations =
            raised.iter().map(|(session, min_epoch)| Revocation { session: *session, min_epoch: *min_epoch });
        self.publish(state, now, log_retention, revocations.collect());
        Ok(raised)
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        let now = self.now();
        Ok(self.state().live(owner, id, now).map(|entry| entry.data.clone()))
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        let now = self.now();
        let mut state = self.state();
        let Some(entry) = state.live(&put.owner, put.id, now) else { return Ok(PutOutcome::Ended) };
        if entry.data.version != put.expected_version {
            return Ok(PutOutcome::Conflict);
        }
        let version = put.expected_version + 1;
        entry.data = SessionData { version, bytes: Some(put.bytes.clone()) };
        Ok(PutOutcome::Stored { version })
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        // Registered before looking, so that no entry slips in between.
        let published = self.shared.published.notified();
        let page = self.state().page(after);
        if !page.entries.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let _ = tokio::time::timeout(wait, published).await;
        Ok(self.state().page(after))
    }

    fn started_at(&self) -> Option<Timestamp> {
        Some(self.shared.started_at)
    }
}

impl State {
    fn remove_expired(&mut self, owner: &Owner, now: Timestamp) {
        let expired: Vec<SessionId> = self
            .users
            .get(owner)
            .into_iter()
            .flatten()
            .filter(|(_, entry)| !entry.record.is_live(now))
            .map(|(id, _)| *id)
            .collect();
        if !expired.is_empty() {
            self.remove(owner, now, |id| expired.contains(&id));
        }
    }
}
