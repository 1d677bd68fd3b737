//! The reference store: everything in this process, forgotten when it ends.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{
    AccessExpiry, CreateOutcome, Device, EndMark, EndSessions, FoundSession, ListedSession, LogEntry, LogPage,
    LogPosition, MARKS_REMEMBERED, NewSession, Owner, PutData, PutOutcome, Revocation, RotateDecision, RotateOutcome,
    RotateSession, SessionData, SessionList, SessionRecord, SessionStore, StoreError, WhichSessions, record::is_ahead,
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
    /// The longest retention that was ever asked for.
    log_retention: Duration,
    /// What a login that is under way may have missed.
    marks: HashMap<Owner, Marks>,
    added_since_sweep: usize,
    /// How many sessions and marks.
    left_by_sweep: usize,
    swept_at: Timestamp,
}

#[derive(Clone, Copy, Default)]
struct Marks {
    access_expired_at: Option<Timestamp>,
    ended: Option<EndOfSessions>,
}

#[derive(Clone, Copy)]
struct EndOfSessions {
    at: Timestamp,
    /// For its age, which must not depend on a wall clock that may be set.
    reading: Instant,
}

impl Marks {
    fn latest(&self) -> Option<Timestamp> {
        self.access_expired_at.max(self.ended.map(|ended| ended.at))
    }

    /// Gives marks that lie ahead the time of this step.
    fn met(&mut self, now: Timestamp) -> &Self {
        let times = [self.access_expired_at.as_mut(), self.ended.as_mut().map(|ended| &mut ended.at)];
        for at in times.into_iter().flatten().filter(|at| is_ahead(**at, now)) {
            *at = now;
        }
        self
    }

    /// The time for a mark that is left now.
    fn next(&mut self, now: Timestamp) -> Timestamp {
        self.met(now).latest().map_or(now, |latest| now.max(latest.saturating_add(Duration::from_millis(1))))
    }

    /// The marks that are not too old.
    fn remembered(&self, now: Timestamp) -> Self {
        let is_remembered = |at: &Timestamp| now.since(*at) < MARKS_REMEMBERED;
        Self {
            access_expired_at: self.access_expired_at.filter(is_remembered),
            ended: self.ended.filter(|ended| is_remembered(&ended.at)),
        }
    }
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
    fn remove(&mut self, owner: &Owner, now: Timestamp, ids: impl IntoIterator<Item = SessionId>) -> Vec<SessionId> {
        let Some(sessions) = self.users.get_mut(owner) else { return Vec::new() };
        let removed = ids.into_iter().filter_map(|id| sessions.remove(&id).map(|entry| (id, entry)));
        let ended = removed.filter(|(_, entry)| entry.record.is_live(now)).map(|(id, _)| id).collect();
        if sessions.is_empty() {
            self.users.remove(owner);
        }
        ended
    }

    /// Removes those that are meant, after a look at each session of the user.
    fn remove_where(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        is_meant: impl Fn(SessionId, &SessionRecord) -> bool,
    ) -> Vec<SessionId> {
        let sessions = self.users.get(owner).into_iter().flatten();
        let meant: Vec<_> = sessions.filter(|(id, entry)| is_meant(**id, &entry.record)).map(|(id, _)| *id).collect();
        self.remove(owner, now, meant)
    }

    /// Which sessions of a user have to end so that one more fits; `None` when the limit says to refuse. Looks at each
    /// of them only when there may be too many.
    fn over_limit(&mut self, owner: &Owner, limit: Option<SessionLimit>, now: Timestamp) -> Option<Vec<SessionId>> {
        let Some(limit) = limit else { return Some(Vec::new()) };
        let keep = limit.max() as usize - 1;
        if self.users.get(owner).is_none_or(|sessions| sessions.len() <= keep) {
            return Some(Vec::new());
        }
        self.remove_where(owner, now, |_, record| !record.is_live(now));
        let sessions = self.users.get(owner).into_iter().flatten();
        let mut by_age: Vec<_> = sessions.map(|(id, entry)| (entry.record.refreshed_at(), *id)).collect();
        let surplus = by_age.len().saturating_sub(keep);
        match limit.when_full() {
            WhenFull::Refuse if surplus > 0 => None,
            WhenFull::Refuse => Some(Vec::new()),
            WhenFull::EndLeastRecentlyRefreshed => {
                by_age.sort_unstable();
                Some(by_age.into_iter().take(surplus).map(|(_, id)| id).collect())
            }
        }
    }

    /// Drops what has expired: when as much was added as the last sweep left, so that the work for each login does not
    /// grow with what is there, and at least once an hour, so that what a busy time left does not stay through a quiet
    /// one.
    fn sweep(&mut self, now: Timestamp) {
        self.added_since_sweep += 1;
        if self.added_since_sweep <= self.left_by_sweep && now.since(self.swept_at) < SWEEP_INTERVAL {
            return;
        }
        self.added_since_sweep = 0;
        self.swept_at = now;
        self.marks.retain(|_, marks| marks.remembered(now).latest().is_some());
        self.users.retain(|_, sessions| {
            sessions.retain(|_, entry| entry.record.is_live(now));
            !sessions.is_empty()
        });
        self.left_by_sweep = self.marks.len() + self.users.values().map(HashMap::len).sum::<usize>();
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

        let marks = state.marks.get_mut(&new.owner).map(|marks| marks.met(now).remembered(now)).unwrap_or_default();
        if let (Some(proof), Some(EndOfSessions { at, reading })) = (new.proof, marks.ended)
            && proof.is_outdated_by(at)
        {
            let age = self.shared.clock.instant().saturating_duration_since(reading);
            return Ok(CreateOutcome::ProofOutdated(EndMark { at, age }));
        }
        let expiry = marks.latest().map(|at| AccessExpiry { at, epoch: 0 });
        if let (Some(claims), Some(expiry)) = (new.claims, expiry)
            && claims.is_outdated_by(expiry, now)
        {
            return Ok(CreateOutcome::ClaimsOutdated(expiry));
        }

        let replaced = new.replaces.filter(|id| state.live(&new.owner, *id, now).is_some());
        let kept_out = replaced.and_then(|id| state.users.get_mut(&new.owner)?.remove(&id).map(|entry| (id, entry)));
        let Some(evicted) = state.over_limit(&new.owner, new.limit, now) else {
            // Refused: the session that would have been replaced stays.
            if let Some((id, entry)) = kept_out {
                state.users.entry(new.owner.clone()).or_default().insert(id, entry);
            }
            return Ok(CreateOutcome::LimitReached);
        };
        let mut gone: Vec<SessionId> = replaced.into_iter().collect();
        gone.extend(state.remove(&new.owner, now, evicted));
        self.publish(state, now, new.log_retention, ended(&gone));

        let mut record = SessionRecord::begin(now, new.refresh_lifetime, new.absolute_lifetime);
        record.access_expired_at = marks.latest();
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
            && now < rotation.attempt.token_expires_at
            && rotation.attempt.min_epoch != Revocation::ENDED
            && claims.is_outdated_by(expiry, now)
        {
            return Ok(RotateOutcome::ClaimsOutdated(expiry));
        }
        Ok(match entry.record.rotate(&rotation.attempt, now) {
            RotateDecision::Live { rotation, rolled_back } => {
                RotateOutcome::Live { rotation, record: entry.record, now, rolled_back }
            }
            RotateDecision::Ended => RotateOutcome::Ended,
            RotateDecision::Reused => {
                state.remove(&rotation.owner, now, [rotation.id]);
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
        let gone = match end.which {
            WhichSessions::One(id) | WhichSessions::Proven(id) => {
                let is_meant = |entry: &mut Entry| !end.spares(entry.record.created_at, now);
                match state.live(&end.owner, id, now).is_none_or(is_meant) {
                    true => state.remove(&end.owner, now, [id]),
                    false => Vec::new(),
                }
            }
            WhichSessions::Others(_) | WhichSessions::All => {
                state.sweep(now);
                let marks = state.marks.entry(end.owner.clone()).or_default();
                let instant = self.shared.clock.instant();
                // The age counts from when the end was asked for, unless a later end was asked for.
                let asked_at = instant.checked_sub(end.min_age).unwrap_or(instant);
                let reading = marks.ended.map_or(asked_at, |before| before.reading.max(asked_at));
                marks.ended = Some(EndOfSessions { at: marks.next(now), reading });
                let is_meant =
                    |id, record: &SessionRecord| end.which.includes(id) && !end.spares(record.created_at, now);
                state.remove_where(&end.owner, now, is_meant)
            }
        };
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
        let marks = state.marks.entry(owner.clone()).or_default();
        let at = marks.next(now);
        marks.access_expired_at = Some(at);
        let raised: Vec<(SessionId, u32)> = state
            .users
            .get_mut(owner)
            .into_iter()
            .flatten()
            .filter(|(_, entry)| entry.record.is_live(now))
            .map(|(id, entry)| (*id, entry.record.expire_access(at)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id::UserId, store::Population, testing::TestClock};

    /// Otherwise the cost of a login would grow with the number of sessions.
    #[tokio::test]
    async fn sweeps_become_rare_as_sessions_grow() {
        let store = MemoryStore::with_clock(TestClock::new());
        let owner = Owner::new(Population::new("https://app.test", "https://app.test"), UserId::new("user").unwrap());
        let hour = Duration::from_secs(3600);
        let mut sweeps = 0;
        for _ in 0..2_000 {
            let new = NewSession::new(owner.clone(), SessionId::random().unwrap(), hour, hour, hour);
            store.create(&new).await.unwrap();
            sweeps += u32::from(store.state().added_since_sweep == 0);
        }
        assert!(sweeps <= 12, "{sweeps} sweeps");
    }
}
