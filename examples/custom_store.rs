//! A session store outside the crate. It keeps packed records in tables in memory, as a database would, with a lock in
//! place of transactions.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example custom_store
//!
//! curl -c jar -b jar -X POST localhost:3000/login
//! curl -c jar -b jar localhost:3000/auth/sessions
//! curl -c jar -b jar -X POST localhost:3000/auth/logout
//! ```
//!
//! Run the conformance suite in your own tests, with the feature `test-util`:
//!
//! ```ignore
//! #[tokio::test]
//! async fn conforms() {
//!     tower_jwt_sessions::testing::conformance::run(async |clock| TableStore::new(clock)).await;
//! }
//! ```

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, response::Result as Response, routing::post};
use tokio::{sync::Notify, time::timeout};
use tower_jwt_sessions::{
    ConfigError, KeyRing, PresentedTokens, SessionCookies, SessionId, SessionManager,
    clock::{Clock, SystemClock, Timestamp},
    keys::DeviceKey,
    policy::{MAX_CLOCK_SKEW, WhenFull},
    store::{
        AccessExpiry, CreateOutcome, Device, EndMark, EndSessions, FoundSession, ListedSession, LogEntry, LogPage,
        LogPosition, MARKS_REMEMBERED, NewSession, Owner, PutData, PutOutcome, RegisterDevice, RegisterOutcome,
        Revocation, RotateDecision, RotateOutcome, RotateSession, SessionData, SessionList, SessionRecord,
        SessionStore, StoreError, WhichSessions,
    },
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    let app = app(sessions(TableStore::new(SystemClock), &secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

pub(crate) fn sessions(store: TableStore, jwt: &str, refresh: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt)?)
        .refresh_keys(KeyRing::hs256(refresh)?)
        .issuer("http://localhost:3000")
        .store(store)
        .build()
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/login", post(login).layer(sessions.cross_site_guard()))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions)
}

/// Checks no password: see the example `minimal`.
async fn login(State(sessions): State<SessionManager>, presented: PresentedTokens) -> Response<SessionCookies> {
    Ok(sessions.login("alice").replacing(presented).await?)
}

pub(crate) struct TableStore {
    /// The clock of the database. Every step uses it, so that all nodes agree.
    clock: Box<dyn Clock>,
    started_at: Timestamp,
    tables: Mutex<Tables>,
    /// Stands for `LISTEN` and `NOTIFY` of PostgreSQL. Without notifications, a store polls the log.
    appended: Notify,
}

#[derive(Default)]
struct Tables {
    /// Rows that have expired can be deleted at any time, for example by a job.
    sessions: BTreeMap<(Owner, SessionId), Row>,
    marks: BTreeMap<Owner, Marks>,
    log: Vec<LogEntry>,
    log_retention: Duration,
}

struct Row {
    record: Vec<u8>,
    device: Device,
    data: SessionData,
    device_key: Option<DeviceKey>,
}

/// What a login in progress may have missed.
#[derive(Clone, Copy, Default)]
struct Marks {
    access_expired_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    /// When that end was requested. Earlier than `ended_at` if it was retried.
    end_requested_at: Timestamp,
}

impl Marks {
    fn latest(&self) -> Option<Timestamp> {
        self.access_expired_at.max(self.ended_at)
    }

    /// Returns the time for a new mark: later than both, so that it differs from them.
    fn next(&self, now: Timestamp) -> Timestamp {
        self.latest().map_or(now, |latest| now.max(latest.saturating_add(Duration::from_millis(1))))
    }
}

impl Tables {
    fn live(&self, owner: &Owner, id: SessionId, now: Timestamp) -> Result<Option<SessionRecord>, StoreError> {
        let row = self.sessions.get(&(owner.clone(), id));
        Ok(row.map(Row::read).transpose()?.filter(|record| record.is_live(now)))
    }

    fn find(&self, owner: &Owner, id: SessionId, now: Timestamp) -> Result<Option<FoundSession>, StoreError> {
        let Some(record) = self.live(owner, id, now)? else { return Ok(None) };
        let mut found = FoundSession::new(record, now);
        found.device_key = self.sessions.get(&(owner.clone(), id)).and_then(|row| row.device_key);
        Ok(Some(found))
    }

    fn live_of<'a>(
        &'a self,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<Vec<(SessionId, SessionRecord, &'a Row)>, StoreError> {
        let first = (owner.clone(), SessionId::from_bytes([0; SessionId::LEN]));
        let last = (owner.clone(), SessionId::from_bytes([u8::MAX; SessionId::LEN]));
        let rows = self.sessions.range(first..=last).map(|((_, id), row)| Ok((*id, row.read()?, row)));
        let rows: Vec<_> = rows.collect::<Result<_, StoreError>>()?;
        Ok(rows.into_iter().filter(|(_, record, _)| record.is_live(now)).collect())
    }

    fn write(&mut self, owner: &Owner, id: SessionId, record: &SessionRecord) {
        if let Some(row) = self.sessions.get_mut(&(owner.clone(), id)) {
            row.record = record.to_bytes().to_vec();
        }
    }

    /// Ends sessions: removes their rows and appends to the log, in one transaction.
    fn end(&mut self, owner: &Owner, ids: &[SessionId], now: Timestamp, retention: Duration) {
        self.sessions.retain(|(of, id), _| of != owner || !ids.contains(id));
        self.publish(ids.iter().copied().map(Revocation::ended).collect(), now, retention);
    }

    fn publish(&mut self, revocations: Vec<Revocation>, now: Timestamp, retention: Duration) {
        if revocations.is_empty() {
            return;
        }
        // Positions grow even if the clock was set back.
        let newest = self.newest();
        let next = LogPosition::new(newest.at().as_millis(), newest.sequence() + 1);
        let position = LogPosition::new(now.as_millis(), 0).max(next);
        self.log_retention = self.log_retention.max(retention);
        let oldest = now.saturating_sub(self.log_retention);
        self.log.retain(|entry| entry.position.at() >= oldest);
        self.log.push(LogEntry::new(position, revocations));
    }

    fn newest(&self) -> LogPosition {
        self.log.last().map_or(LogPosition::START, |entry| entry.position)
    }

    /// Returns the marks of an owner. A mark in the future was set before the clock was set back; it counts as set now.
    fn marks(&mut self, owner: &Owner, now: Timestamp) -> &mut Marks {
        let marks = self.marks.entry(owner.clone()).or_default();
        let is_ahead = |at: &Timestamp| *at > now.saturating_add(MAX_CLOCK_SKEW);
        if marks.access_expired_at.as_ref().is_some_and(is_ahead) {
            marks.access_expired_at = Some(now);
        }
        if marks.ended_at.as_ref().is_some_and(is_ahead) {
            (marks.ended_at, marks.end_requested_at) = (Some(now), now);
        }
        let is_remembered = |at: &Timestamp| now.since(*at) < MARKS_REMEMBERED;
        marks.access_expired_at = marks.access_expired_at.filter(is_remembered);
        marks.ended_at = marks.ended_at.filter(is_remembered);
        marks
    }
}

impl Row {
    fn read(&self) -> Result<SessionRecord, StoreError> {
        SessionRecord::from_bytes(&self.record).map_err(|corrupt| StoreError::new("reading a record", corrupt))
    }
}

impl TableStore {
    pub(crate) fn new(clock: impl Clock) -> Self {
        Self { started_at: clock.now(), clock: Box::new(clock), tables: Mutex::default(), appended: Notify::new() }
    }

    /// Runs one step, completely or not at all. So a step makes all checks before it writes.
    fn transaction<T>(&self, step: impl FnOnce(&mut Tables, Timestamp) -> T) -> T {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = tables.newest();
        let outcome = step(&mut tables, self.clock.now());
        if tables.newest() > newest {
            self.appended.notify_waiters();
        }
        outcome
    }

    fn page(&self, after: LogPosition) -> LogPage {
        self.transaction(|tables, _| {
            let entries = tables.log.iter().filter(|entry| entry.position > after).cloned();
            LogPage::new(entries.collect(), tables.newest())
        })
    }
}

impl SessionStore for TableStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.transaction(|tables, now| {
            let marks = *tables.marks(&new.owner, now);
            if let (Some(proof), Some(at)) = (new.proof, marks.ended_at)
                && proof.is_outdated_by(at)
            {
                // Rounded down: an end must not look older than it is.
                let age = now.since(marks.end_requested_at).saturating_sub(Duration::from_millis(1));
                return Ok(CreateOutcome::ProofOutdated(EndMark::new(at, age)));
            }
            let expiry = marks.latest().map(|at| AccessExpiry::new(at, 0));
            if let (Some(claims), Some(expiry)) = (new.claims, expiry)
                && claims.is_outdated_by(expiry, now)
            {
                return Ok(CreateOutcome::ClaimsOutdated(expiry));
            }

            let replaced = new.replaces.map(|id| tables.live(&new.owner, id, now)).transpose()?.flatten();
            let mut ended: Vec<SessionId> = new.replaces.filter(|_| replaced.is_some()).into_iter().collect();
            if let Some(limit) = new.limit {
                let mut others = tables.live_of(&new.owner, now)?;
                others.retain(|(id, ..)| !ended.contains(id));
                let surplus = (others.len() + 1).saturating_sub(limit.max() as usize);
                if surplus > 0 && limit.when_full() == WhenFull::Refuse {
                    return Ok(CreateOutcome::LimitReached);
                }
                others.sort_by_key(|(_, record, _)| record.refreshed_at());
                ended.extend(others.iter().take(surplus).map(|(id, ..)| *id));
            }
            tables.end(&new.owner, &ended, now, new.log_retention);

            let mut record = SessionRecord::begin(now, new.refresh_lifetime, new.absolute_lifetime);
            record.access_expired_at = marks.latest();
            let data = new.data.clone().map(|bytes| SessionData::new(1, bytes)).unwrap_or_default();
            let row = Row { record: record.to_bytes().to_vec(), device: new.device.clone(), data, device_key: None };
            tables.sessions.insert((new.owner.clone(), new.id), row);
            Ok(CreateOutcome::created(record, now, ended))
        })
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.transaction(|tables, now| tables.find(owner, id, now))
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.transaction(|tables, now| {
            let Some(mut record) = tables.live(&rotate.owner, rotate.id, now)? else {
                return Ok(RotateOutcome::Ended);
            };
            if let Some(expiry) = rotate.outdated_claims(&record, now) {
                return Ok(RotateOutcome::ClaimsOutdated(expiry));
            }
            let decision = record.rotate(&rotate.attempt, now);
            match decision {
                RotateDecision::Live { .. } => tables.write(&rotate.owner, rotate.id, &record),
                RotateDecision::Reused => tables.end(&rotate.owner, &[rotate.id], now, rotate.log_retention),
                _ => {}
            }
            Ok(decision.outcome(record, now))
        })
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.transaction(|tables, now| {
            if let Some(mut record) = tables.live(owner, id, now)? {
                record.confirm(generation, now);
                tables.write(owner, id, &record);
            }
            Ok(())
        })
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        self.transaction(|tables, now| {
            let live = tables.live_of(&end.owner, now)?.into_iter();
            let meant = live.filter(|(id, record, _)| end.which.includes(*id) && !end.spares(record.created_at, now));
            let ended: Vec<SessionId> = meant.map(|(id, ..)| id).collect();
            if matches!(end.which, WhichSessions::All | WhichSessions::Others(_)) {
                let marks = tables.marks(&end.owner, now);
                let requested_at = now.saturating_sub(end.min_age);
                marks.end_requested_at = match marks.ended_at {
                    Some(_) => marks.end_requested_at.max(requested_at),
                    None => requested_at,
                };
                marks.ended_at = Some(marks.next(now));
            }
            tables.end(&end.owner, &ended, now, end.log_retention);
            Ok(ended)
        })
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.transaction(|tables, now| {
            let live = tables.live_of(owner, now)?.into_iter();
            let listed = live.map(|(id, record, row)| ListedSession::new(id, record, row.device.clone()));
            Ok(SessionList::new(listed.collect(), now))
        })
    }

    async fn expire_access(&self, owner: &Owner, retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.transaction(|tables, now| {
            let live: Vec<_> = tables.live_of(owner, now)?.into_iter().map(|(id, record, _)| (id, record)).collect();
            let marks = tables.marks(owner, now);
            let at = marks.next(now);
            marks.access_expired_at = Some(at);
            let mut raised = Vec::new();
            for (id, mut record) in live {
                raised.push((id, record.expire_access(at)));
                tables.write(owner, id, &record);
            }
            let revocations = raised.iter().map(|(session, min_epoch)| Revocation::new(*session, *min_epoch));
            tables.publish(revocations.collect(), now, retention);
            Ok(raised)
        })
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.transaction(|tables, now| {
            let is_live = tables.live(owner, id, now)?.is_some();
            Ok(tables.sessions.get(&(owner.clone(), id)).filter(|_| is_live).map(|row| row.data.clone()))
        })
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.transaction(|tables, now| {
            let is_live = tables.live(&put.owner, put.id, now)?.is_some();
            let row = tables.sessions.get_mut(&(put.owner.clone(), put.id)).filter(|_| is_live);
            Ok(match row {
                None => PutOutcome::Ended,
                Some(row) if row.data.version != put.expected_version => PutOutcome::Conflict,
                Some(row) => {
                    let version = put.expected_version + 1;
                    row.data = SessionData::new(version, put.bytes.clone());
                    PutOutcome::Stored { version }
                }
            })
        })
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        self.transaction(|tables, now| {
            let Some(mut found) = tables.find(&register.owner, register.id, now)? else {
                return Ok(RegisterOutcome::Ended);
            };
            if found.device_key.is_some() {
                return Ok(RegisterOutcome::Known);
            }
            found.device_key = Some(register.key);
            if let Some(row) = tables.sessions.get_mut(&(register.owner.clone(), register.id)) {
                row.device_key = found.device_key;
            }
            Ok(RegisterOutcome::Registered(found))
        })
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        // Before the first read, so that no entry is missed in between.
        let appended = self.appended.notified();
        let page = self.page(after);
        if !page.is_empty() || wait.is_zero() {
            return Ok(page);
        }
        let _ = timeout(wait, appended).await;
        Ok(self.page(after))
    }

    /// A store that survives its process returns `None`.
    fn started_at(&self) -> Option<Timestamp> {
        Some(self.started_at)
    }
}
