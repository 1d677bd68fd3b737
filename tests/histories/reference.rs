//! What a store must do, as a pure function: the sessions of one user, one operation after the other. Records change only
//! by the methods of `SessionRecord`.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    time::Duration,
};

use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    keys::DeviceKey,
    policy::{MAX_CLOCK_SKEW, WhenFull},
    store::{
        AccessExpiry, CreateOutcome, Device, EndMark, EndSessions, FoundSession, ListedSession, MARKS_REMEMBERED,
        NewSession, PutData, PutOutcome, RegisterOutcome, Revocation, RotateDecision, RotateOutcome, RotateSession,
        SessionData, SessionList, SessionRecord, WhichSessions,
    },
};

use crate::{
    cluster::Unpublished,
    operation::{Answer, Operation, sorted},
};

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// What ends is published in the same step.
    Memory,
    /// Also publishes the end of a session that it does not have if a token proves that it existed.
    Redis,
    /// Publishes in a second step: `cluster.rs`.
    Cluster,
}

/// What differs between stores that fulfil the contract.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) place: Place,
    /// Whether the age of a mark is compared: it is unknown after the clock was set back.
    pub(crate) ages: bool,
    /// Whether times are compared: the clock of a server moves while an operation runs.
    pub(crate) times: bool,
}

/// All that a store knows of one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct User {
    sessions: BTreeMap<SessionId, Entry>,
    /// Sessions whose end was published although the store did not have them.
    tombstones: Vec<SessionId>,
    access_expired_at: Option<Timestamp>,
    /// The mark of the last end of all or of the others, and when it was requested.
    ended: Option<(Timestamp, Timestamp)>,
    /// The latest time of an operation: the clock may have been set back since then.
    latest: Timestamp,
    /// What was published since the history begins.
    log: Vec<Vec<(SessionId, u32)>>,
    unpublished: Unpublished,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    record: SessionRecord,
    device: Device,
    data: SessionData,
    key: Option<DeviceKey>,
}

impl Entry {
    fn found(&self, now: Timestamp) -> FoundSession {
        let mut found = FoundSession::new(self.record, now);
        found.device_key = self.key;
        found
    }
}

impl Hash for User {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (id, entry) in &self.sessions {
            (id, &*entry.record.to_bytes(), entry.data.version, &entry.data.bytes).hash(state);
            entry.key.map(|key| *key.as_bytes()).hash(state);
        }
        (&self.tombstones, self.access_expired_at, self.ended, &self.log, &self.unpublished).hash(state);
    }
}

impl User {
    /// Returns a user without sessions.
    pub(crate) fn new(rules: Rules) -> Self {
        Self { unpublished: Unpublished::new(rules.place == Place::Cluster), ..Self::default() }
    }

    /// Returns whether all that was revoked is in the log.
    pub(crate) fn is_published(&self) -> bool {
        self.unpublished.is_empty()
    }

    /// Returns what the user may be where one history ends and the next one begins. Users that differ only in what is
    /// unpublished become one.
    pub(crate) fn at_rest(ends: Vec<Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for mut user in ends {
            user.log.clear();
            let is_like = |other: &&mut Self| {
                user.sessions == other.sessions
                    && user.tombstones == other.tombstones
                    && user.access_expired_at == other.access_expired_at
                    && user.ended == other.ended
                    && user.unpublished.on_probation() == other.unpublished.on_probation()
            };
            match merged.iter_mut().find(is_like) {
                Some(other) => other.unpublished.merge(user.unpublished),
                None => merged.push(user),
            }
        }
        merged.iter_mut().for_each(|user| user.unpublished.at_rest());
        merged
    }

    /// Returns what the user may be after an operation at this time that answered so: nothing if it cannot; after one
    /// whose answer was lost, if there is none.
    pub(crate) fn after(
        &self,
        operation: &Operation,
        now: Timestamp,
        answer: Option<&Answer>,
        rules: Rules,
    ) -> Vec<Self> {
        let mut users = self.after_one(operation, now, answer, rules);
        if let Some(forgetful) = self.without_marks_that_were_over(now) {
            users.extend(forgetful.after_one(operation, now, answer, rules));
        }
        users
    }

    /// A store may have dropped marks when they were too old. Where the clock was set back since then, it has them or not.
    fn without_marks_that_were_over(&self, now: Timestamp) -> Option<Self> {
        let is_kept = |at: &Timestamp| now >= self.latest || self.latest.since(*at) < MARKS_REMEMBERED;
        let access_expired_at = self.access_expired_at.filter(is_kept);
        let ended = self.ended.filter(|(at, _)| is_kept(at));
        let is_changed = (access_expired_at, ended) != (self.access_expired_at, self.ended);
        is_changed.then(|| Self { access_expired_at, ended, ..self.clone() })
    }

    fn after_one(&self, operation: &Operation, now: Timestamp, answer: Option<&Answer>, rules: Rules) -> Vec<Self> {
        let mut next = self.clone();
        next.latest = next.latest.max(now);
        let expected = next.step(operation, now, rules, answer.is_some());
        next.unpublished.keep(|id| next.sessions.contains_key(id));
        let Some(answer) = answer else { return next.where_answer_was_lost(operation, &expected, now) };
        let is_equal = match (answer, &expected) {
            (
                Answer::Created(CreateOutcome::ProofOutdated(mark)),
                Answer::Created(CreateOutcome::ProofOutdated(expected)),
            ) => {
                // The scripts count in whole milliseconds, and round up.
                let is_as_old = mark.age.abs_diff(expected.age) <= Duration::from_millis(1);
                mark.at == expected.at && (is_as_old || !rules.ages)
            }
            (Answer::Log(_), Answer::Log(_)) if rules.place == Place::Cluster => {
                let is_true = |id, epoch| match next.sessions.get(&id) {
                    Some(live) => epoch <= live.record.epoch,
                    None => true,
                };
                next.unpublished.is_read_as(operation, answer, is_true)
            }
            (Answer::Ended(_), Answer::Ended(_)) | (Answer::Created(_), Answer::Created(_))
                if rules.place == Place::Cluster =>
            {
                next.unpublished.allows(operation, answer, &expected)
            }
            _ if !rules.times => answer.without_times() == expected.without_times(),
            _ => *answer == expected,
        };
        if is_equal { vec![next] } else { Vec::new() }
    }

    /// In a cluster, a login that ended others may have failed after that: then its session is removed in time.
    fn where_answer_was_lost(self, operation: &Operation, outcome: &Answer, now: Timestamp) -> Vec<Self> {
        let created = match (operation, outcome) {
            (Operation::Create(new), Answer::Created(CreateOutcome::Created { ended, .. }))
                if !ended.is_empty() || new.replaces.is_some_and(|id| self.unpublished.may_be_pending(id)) =>
            {
                new.id
            }
            _ => return vec![self],
        };
        let mut on_probation = self.clone();
        on_probation.unpublished.await_publication(created, now);
        if on_probation == self { vec![self] } else { vec![self, on_probation] }
    }

    /// Carries out an operation at this time.
    pub(crate) fn step(&mut self, operation: &Operation, now: Timestamp, rules: Rules, is_answered: bool) -> Answer {
        if rules.place == Place::Cluster {
            for failed in self.unpublished.begin(operation, now, is_answered) {
                self.sessions.remove(&failed);
            }
        }
        self.sessions.retain(|_, entry| entry.record.is_live(now));
        match operation {
            Operation::Create(new) => Answer::created(self.create(new, now)),
            Operation::Find(id) => Answer::Found(self.sessions.get(id).map(|entry| entry.found(now))),
            Operation::Rotate(rotate) => Answer::Rotated(self.rotate(rotate, now)),
            Operation::Confirm(id, generation) => {
                if let Some(entry) = self.sessions.get_mut(id) {
                    entry.record.confirm(*generation, now);
                }
                Answer::Confirmed
            }
            Operation::End(end) => Answer::Ended(self.end(end, now, rules)),
            Operation::List => {
                let listed =
                    |(id, entry): (&SessionId, &Entry)| ListedSession::new(*id, entry.record, entry.device.clone());
                Answer::listed(SessionList::new(self.sessions.iter().map(listed).collect(), now))
            }
            Operation::ExpireAccess(_) => Answer::Raised(self.expire_access(now)),
            Operation::GetData(id) => Answer::Data(self.sessions.get(id).map(|entry| entry.data.clone())),
            Operation::PutData(put) => Answer::Put(self.put_data(put)),
            Operation::Register(register) => Answer::Registered(match self.sessions.get_mut(&register.id) {
                None => RegisterOutcome::Ended,
                Some(entry) if entry.key.is_some() => RegisterOutcome::Known,
                Some(entry) => {
                    entry.key = Some(register.key);
                    RegisterOutcome::Registered(entry.found(now))
                }
            }),
            Operation::ReadLog { .. } => Answer::Log(self.log.clone()),
        }
    }

    fn create(&mut self, new: &NewSession, now: Timestamp) -> CreateOutcome {
        self.read_marks(now);
        let is_remembered = |at: &Timestamp| now.since(*at) < MARKS_REMEMBERED;
        let ended = self.ended.filter(|(at, _)| is_remembered(at));
        let expired_at = self.access_expired_at.filter(is_remembered);
        if let (Some(proof), Some((at, requested_at))) = (new.proof, ended)
            && proof.is_outdated_by(at)
        {
            return CreateOutcome::ProofOutdated(EndMark::new(at, now.since(requested_at)));
        }
        let marked_at = expired_at.max(ended.map(|(at, _)| at));
        let expiry = marked_at.map(|at| AccessExpiry::new(at, 0));
        if let (Some(claims), Some(expiry)) = (new.claims, expiry)
            && claims.is_outdated_by(expiry, now)
        {
            return CreateOutcome::ClaimsOutdated(expiry);
        }
        let replaced = new.replaces.filter(|id| self.sessions.contains_key(id));
        let mut gone: Vec<SessionId> = replaced.into_iter().collect();
        if let Some(limit) = new.limit {
            let others = self.sessions.iter().filter(|(id, _)| Some(**id) != replaced);
            let others = sorted(others.map(|(id, entry)| (entry.record.refreshed_at(), *id)).collect());
            let surplus = (others.len() + 1).saturating_sub(limit.max() as usize);
            match limit.when_full() {
                WhenFull::Refuse if surplus > 0 => return CreateOutcome::LimitReached,
                WhenFull::EndLeastRecentlyRefreshed => gone.extend(others.iter().take(surplus).map(|(_, id)| *id)),
                _ => {}
            }
        }
        self.remove(&gone);
        let mut record = SessionRecord::begin(now, new.refresh_lifetime, new.absolute_lifetime);
        record.access_expired_at = marked_at;
        let data = new.data.clone().map(|bytes| SessionData::new(1, bytes)).unwrap_or_default();
        self.sessions.insert(new.id, Entry { record, device: new.device.clone(), data, key: None });
        CreateOutcome::created(record, now, gone)
    }

    fn rotate(&mut self, rotate: &RotateSession, now: Timestamp) -> RotateOutcome {
        let Some(entry) = self.sessions.get_mut(&rotate.id) else { return RotateOutcome::Ended };
        if let Some(expiry) = rotate.outdated_claims(&entry.record, now) {
            return RotateOutcome::ClaimsOutdated(expiry);
        }
        let decision = entry.record.rotate(&rotate.attempt, now);
        let record = entry.record;
        if decision == RotateDecision::Reused {
            self.remove(&[rotate.id]);
        }
        decision.outcome(record, now)
    }

    fn end(&mut self, end: &EndSessions, now: Timestamp, rules: Rules) -> Vec<SessionId> {
        let is_meant = |entry: &Entry| !end.spares(entry.record.created_at, now);
        match end.which {
            WhichSessions::One(id) | WhichSessions::Proven(id) => {
                if let Some(entry) = self.sessions.get(&id) {
                    return if is_meant(entry) { self.remove(&[id]) } else { Vec::new() };
                }
                let is_proven = matches!(end.which, WhichSessions::Proven(_));
                if is_proven && rules.place != Place::Memory && !self.tombstones.contains(&id) {
                    self.publish(vec![(id, Revocation::ENDED)]);
                    self.tombstones.push(id);
                    self.tombstones.sort_unstable();
                }
                Vec::new()
            }
            WhichSessions::Others(_) | WhichSessions::All => {
                let at = self.next_mark(now);
                let requested_at = now.saturating_sub(end.min_age);
                self.ended = Some((at, self.ended.map_or(requested_at, |(_, before)| before.max(requested_at))));
                let meant = self.sessions.iter().filter(|(id, entry)| end.which.includes(**id) && is_meant(entry));
                let meant: Vec<SessionId> = meant.map(|(id, _)| *id).collect();
                self.remove(&meant)
            }
        }
    }

    fn expire_access(&mut self, now: Timestamp) -> Vec<(SessionId, u32)> {
        let at = self.next_mark(now);
        self.access_expired_at = Some(at);
        let raised: Vec<_> =
            self.sessions.iter_mut().map(|(id, entry)| (*id, entry.record.expire_access(at))).collect();
        self.publish(raised.clone());
        raised
    }

    fn put_data(&mut self, put: &PutData) -> PutOutcome {
        let Some(entry) = self.sessions.get_mut(&put.id) else { return PutOutcome::Ended };
        match put.expected_version.checked_add(1) {
            Some(version) if entry.data.version == put.expected_version => {
                entry.data = SessionData::new(version, put.bytes.clone());
                PutOutcome::Stored { version }
            }
            _ => PutOutcome::Conflict,
        }
    }

    /// Ends live sessions, and publishes that in one entry.
    fn remove(&mut self, ids: &[SessionId]) -> Vec<SessionId> {
        for id in ids {
            self.sessions.remove(id);
        }
        let ids = sorted(ids.to_vec());
        self.publish(ids.iter().map(|id| (*id, Revocation::ENDED)).collect());
        ids
    }

    fn publish(&mut self, revocations: Vec<(SessionId, u32)>) {
        if self.unpublished.is_used {
            self.unpublished.add(&revocations);
        } else if !revocations.is_empty() {
            self.log.push(sorted(revocations));
        }
    }

    /// A mark that lies ahead was left before the clock was set back, and counts as left now.
    fn read_marks(&mut self, now: Timestamp) {
        let is_ahead = |at: Timestamp| at > now.saturating_add(MAX_CLOCK_SKEW);
        self.access_expired_at = self.access_expired_at.map(|at| if is_ahead(at) { now } else { at });
        self.ended = self.ended.map(|(at, requested_at)| if is_ahead(at) { (now, now) } else { (at, requested_at) });
    }

    /// Later than both marks.
    fn next_mark(&mut self, now: Timestamp) -> Timestamp {
        self.read_marks(now);
        let latest = self.access_expired_at.max(self.ended.map(|(at, _)| at));
        latest.map_or(now, |latest| now.max(latest.saturating_add(Duration::from_millis(1))))
    }
}
