//! The operations of a store as values, with their answers.

use std::time::Duration;

use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    store::{
        CreateOutcome, EndMark, EndSessions, FoundSession, ListedSession, LogPage, LogPosition, NewSession, Owner,
        PutData, PutOutcome, RegisterDevice, RegisterOutcome, RotateOutcome, RotateSession, Rotation, SessionData,
        SessionList, SessionRecord, SessionStore, StoreError,
    },
};

/// What a client asks of the store.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Create(Box<NewSession>),
    Find(SessionId),
    Rotate(Box<RotateSession>),
    Confirm(SessionId, u32),
    End(EndSessions),
    List,
    ExpireAccess(Duration),
    GetData(SessionId),
    PutData(PutData),
    Register(RegisterDevice),
    /// What was published since the history begins.
    ReadLog {
        after: LogPosition,
        /// Whether no other client does anything.
        at_rest: bool,
    },
}

/// What the store answers, in an order that depends on nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Created(CreateOutcome),
    Found(Option<FoundSession>),
    Rotated(RotateOutcome),
    Confirmed,
    Ended(Vec<SessionId>),
    Listed(SessionList),
    Raised(Vec<(SessionId, u32)>),
    Data(Option<SessionData>),
    Put(PutOutcome),
    Registered(RegisterOutcome),
    /// The entries of the log, of each the revocations.
    Log(Vec<Vec<(SessionId, u32)>>),
}

impl Operation {
    /// Asks the store.
    pub(crate) async fn ask(&self, store: &impl SessionStore, owner: &Owner) -> Result<Answer, StoreError> {
        Ok(match self {
            Self::Create(new) => Answer::created(store.create(new).await?),
            Self::Find(id) => Answer::Found(store.find(owner, *id).await?),
            Self::Rotate(rotate) => Answer::Rotated(store.rotate(rotate).await?),
            Self::Confirm(id, generation) => {
                store.confirm(owner, *id, *generation).await?;
                Answer::Confirmed
            }
            Self::End(end) => Answer::Ended(sorted(store.end(end).await?)),
            Self::List => Answer::listed(store.list(owner).await?),
            Self::ExpireAccess(retention) => Answer::Raised(sorted(store.expire_access(owner, *retention).await?)),
            Self::GetData(id) => Answer::Data(store.get_data(owner, *id).await?),
            Self::PutData(put) => Answer::Put(store.put_data(put).await?),
            Self::Register(register) => Answer::Registered(store.register_device(register).await?),
            Self::ReadLog { after, .. } => Answer::log(&store.read_log(*after, Duration::ZERO).await?, |_| true),
        })
    }
}

pub(crate) fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items
}

impl Answer {
    pub(crate) fn created(outcome: CreateOutcome) -> Self {
        Self::Created(match outcome {
            CreateOutcome::Created { record, now, ended, .. } => CreateOutcome::created(record, now, sorted(ended)),
            // Stores count in milliseconds or finer, and never overstate an age.
            CreateOutcome::ProofOutdated(EndMark { at, age, .. }) => {
                let millis = age.as_nanos().div_ceil(1_000_000);
                CreateOutcome::ProofOutdated(EndMark::new(at, Duration::from_millis(millis as u64)))
            }
            other => other,
        })
    }

    pub(crate) fn listed(mut list: SessionList) -> Self {
        list.sessions.sort_unstable_by_key(|session| session.id);
        Self::Listed(list)
    }

    /// Of these sessions.
    pub(crate) fn log(page: &LogPage, is_known: impl Fn(SessionId) -> bool) -> Self {
        let entries = page.entries.iter().map(|entry| {
            let revocations = entry.revocations.iter().filter(|revocation| is_known(revocation.session));
            sorted(revocations.map(|revocation| (revocation.session, revocation.min_epoch)).collect())
        });
        Self::Log(entries.filter(|entry: &Vec<_>| !entry.is_empty()).collect())
    }

    /// Returns the answer with the same time everywhere.
    pub(crate) fn without_times(&self) -> Self {
        let zero = Timestamp::default();
        let timeless = |record: &SessionRecord| {
            let mut record = *record;
            (record.created_at, record.idle_end, record.absolute_end) = (zero, zero, zero);
            record.rotated_at = record.rotated_at.map(|_| zero);
            record.confirmed_at = record.confirmed_at.map(|_| zero);
            record.access_expired_at = record.access_expired_at.map(|_| zero);
            record.bound_at = record.bound_at.map(|_| zero);
            record
        };
        let timeless_found = |found: &FoundSession| {
            let mut timeless = FoundSession::new(timeless(&found.record), zero);
            timeless.device_key = found.device_key;
            timeless
        };
        match self {
            Self::Created(CreateOutcome::Created { record, ended, .. }) => {
                Self::Created(CreateOutcome::created(timeless(record), zero, ended.clone()))
            }
            Self::Found(Some(found)) => Self::Found(Some(timeless_found(found))),
            Self::Registered(RegisterOutcome::Registered(found)) => {
                Self::Registered(RegisterOutcome::Registered(timeless_found(found)))
            }
            Self::Rotated(RotateOutcome::Live { rotation, record, rolled_back, .. }) => {
                Self::Rotated(RotateOutcome::live(*rotation, timeless(record), zero, *rolled_back))
            }
            Self::Listed(list) => {
                let rows = list.sessions.iter();
                let rows = rows.map(|row| ListedSession::new(row.id, timeless(&row.record), row.device.clone()));
                Self::Listed(SessionList::new(rows.collect(), zero))
            }
            other => other.clone(),
        }
    }

    /// Returns the case of the protocol that the answer belongs to.
    pub(crate) fn case(&self) -> &'static str {
        match self {
            Self::Created(CreateOutcome::Created { ended, .. }) if ended.is_empty() => "created",
            Self::Created(CreateOutcome::Created { .. }) => "created, others ended",
            Self::Created(CreateOutcome::LimitReached) => "limit reached",
            Self::Created(CreateOutcome::ClaimsOutdated(_)) => "login with outdated claims",
            Self::Created(CreateOutcome::ProofOutdated(_)) => "login with outdated proof",
            Self::Found(None) => "not found",
            Self::Found(Some(_)) => "found",
            Self::Rotated(RotateOutcome::Live { rolled_back: true, .. }) => "rolled back",
            Self::Rotated(RotateOutcome::Live { rotation: Rotation::Current, .. }) => "current",
            Self::Rotated(RotateOutcome::Live { rotation: Rotation::Rotated, .. }) => "rotated",
            Self::Rotated(RotateOutcome::Live { rotation: Rotation::Repeated, .. }) => "repeated",
            Self::Rotated(RotateOutcome::ClaimsOutdated(_)) => "refresh with outdated claims",
            Self::Rotated(RotateOutcome::Reused) => "reused",
            Self::Rotated(RotateOutcome::ProofRequired) => "proof required",
            Self::Registered(RegisterOutcome::Registered(_)) => "registered",
            Self::Registered(RegisterOutcome::Known) => "known device",
            Self::Registered(_) => "device of an ended session",
            Self::Rotated(RotateOutcome::Ended) => "refresh of an ended session",
            Self::Confirmed => "confirmed",
            Self::Ended(ended) if ended.is_empty() => "ended none",
            Self::Ended(_) => "ended",
            Self::Listed(_) => "listed",
            Self::Raised(raised) if raised.is_empty() => "expired no access",
            Self::Raised(_) => "expired access",
            Self::Data(None) => "no data",
            Self::Data(Some(_)) => "data",
            Self::Put(PutOutcome::Stored { .. }) => "stored",
            Self::Put(PutOutcome::Conflict) => "conflict",
            Self::Put(PutOutcome::Ended) => "write to an ended session",
            Self::Log(entries) if entries.is_empty() => "nothing published",
            Self::Log(_) => "published",
            Self::Created(_) | Self::Rotated(_) | Self::Put(_) => "unknown",
        }
    }
}
