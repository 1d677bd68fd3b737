//! The reference store, in the memory of the process.

mod marks;
mod state;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use self::{
    marks::EndOfSessions,
    state::{Entry, State},
};
use super::{
    contract::SessionStore,
    create::{CreateOutcome, NewSession},
    data::{PutData, PutOutcome, SessionData},
    device::{RegisterDevice, RegisterOutcome},
    end::{EndSessions, WhichSessions},
    error::StoreError,
    log::{LogPage, LogPosition, Revocation},
    marks::{AccessExpiry, EndMark},
    owner::Owner,
    record::{RotateDecision, SessionRecord},
    rotate::{RotateOutcome, RotateSession},
    session::{FoundSession, ListedSession, SessionList},
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    id::SessionId,
};

/// A [`SessionStore`] in the memory of this process, for services of one node, for tests and for development.
///
/// Clones share their sessions. Sessions are lost when the process ends, so access tokens issued before its start are
/// refused. Expired sessions are dropped at logins, at the latest at the first login of the next hour.
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

impl MemoryStore {
    /// Returns an empty store on the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Returns an empty store on this clock.
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
        // No step can panic while the state is half changed.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, after: LogPosition) -> LogPage {
        LogPage { read_at: Some(self.now()), ..self.state().page(after) }
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

fn ended(ids: &[SessionId]) -> Vec<Revocation> {
    ids.iter().copied().map(Revocation::ended).collect()
}

impl SessionStore for MemoryStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        state.sweep(now);

        let marks = state.marks.get_mut(&new.owner).map(|marks| marks.read(now).remembered(now)).unwrap_or_default();
        if let (Some(proof), Some(EndOfSessions { at, reading })) = (new.proof, marks.ended)
            && proof.is_outdated_by(at)
        {
            let age = self.shared.clock.instant().saturating_duration_since(reading);
            return Ok(CreateOutcome::ProofOutdated(EndMark::new(at, age)));
        }
        let expiry = marks.latest().map(|at| AccessExpiry::new(at, 0));
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
        let data = new.data.clone().map(|bytes| SessionData::new(1, bytes)).unwrap_or_default();
        let entry = Entry { record, device: new.device.clone(), data, device_key: None };
        state.users.entry(new.owner.clone()).or_default().insert(new.id, entry);
        Ok(CreateOutcome::created(record, now, gone))
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let now = self.now();
        Ok(self.state().live(owner, id, now).map(|entry| entry.found(now)))
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        let now = self.now();
        let state = &mut *self.state();
        let Some(entry) = state.live(&rotate.owner, rotate.id, now) else { return Ok(RotateOutcome::Ended) };
        if let Some(expiry) = rotate.outdated_claims(&entry.record, now) {
            return Ok(RotateOutcome::ClaimsOutdated(expiry));
        }
        let decision = entry.record.rotate(&rotate.attempt, now);
        let record = entry.record;
        if decision == RotateDecision::Reused {
            state.remove(&rotate.owner, now, [rotate.id]);
            self.publish(state, now, rotate.log_retention, ended(&[rotate.id]));
        }
        Ok(decision.outcome(record, now))
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
                // The age counts from when this end, or a later one, was requested.
                let requested_at = instant.checked_sub(end.min_age).unwrap_or(instant);
                let reading = marks.ended.map_or(requested_at, |before| before.reading.max(requested_at));
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
        let listed = sessions.map(|(id, entry)| ListedSession::new(*id, entry.record, entry.device.clone()));
        Ok(SessionList::new(listed.collect(), now))
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
        let revocations = raised.iter().map(|(session, min_epoch)| Revocation::new(*session, *min_epoch));
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
        entry.data = SessionData::new(version, put.bytes.clone());
        Ok(PutOutcome::Stored { version })
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        let now = self.now();
        let mut state = self.state();
        let Some(entry) = state.live(&register.owner, register.id, now) else { return Ok(RegisterOutcome::Ended) };
        if entry.device_key.is_some() {
            return Ok(RegisterOutcome::Known);
        }
        entry.device_key = Some(register.key);
        Ok(RegisterOutcome::Registered(entry.found(now)))
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        // Registered before the first look, so that no entry is missed in between.
        let published = self.shared.published.notified();
        let page = self.page(after);
        if !page.entries.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let _ = tokio::time::timeout(wait, published).await;
        Ok(self.page(after))
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
