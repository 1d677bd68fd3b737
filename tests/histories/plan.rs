//! Which operations the clients of a world carry out, and when its clock moves: chosen by chance, near the limits at which
//! a store decides otherwise.

use std::{num::NonZeroU32, time::Duration};

use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    keys::DeviceKey,
    policy::{ReplayWindow, SessionLimit},
    store::{
        AccessExpiry, ClaimsAge, CreateOutcome, Device, EndSessions, LogPosition, LoginProof, MARKS_REMEMBERED,
        NewSession, Owner, PutData, PutOutcome, RefreshAttempt, RegisterDevice, Revocation, RotateOutcome,
        RotateSession, SessionRecord, WhichSessions,
    },
};

use crate::{
    chance::Chance,
    operation::{Answer, Operation},
    world::Settings,
};

/// Longer than any world lives, so that tombstones and entries of the log stay.
const RETENTION: Duration = Duration::from_secs(400 * 86_400);
const MILLISECOND: Duration = Duration::from_millis(1);

/// What the clients of a world know, and the rules that they share.
pub(crate) struct Plan {
    pub(crate) users: Vec<Owner>,
    window: ReplayWindow,
    refresh_lifetime: Duration,
    absolute_lifetime: Duration,
    limit: Option<SessionLimit>,
    known: Vec<Known>,
    marks: Vec<Marks>,
    began_at: Timestamp,
    /// Times are unknown, so nothing is asked that depends on them.
    is_timeless: bool,
    /// The clock is not set back any more: stores may have removed what had expired.
    has_expired: bool,
}

/// A session that a client tried to create.
struct Known {
    id: SessionId,
    user: usize,
    /// The greatest generation that was issued.
    newest: u32,
    version: u64,
    epoch: u32,
    /// As it was when all clients were at rest.
    record: Option<SessionRecord>,
    /// Stores may keep it or not, so whether they know it is open.
    has_expired: bool,
}

#[derive(Clone, Default)]
struct Marks {
    end: Option<Timestamp>,
    expiry: Option<AccessExpiry>,
}

/// What the operations of one burst have in common.
pub(crate) struct Burst {
    user: usize,
    hot: Option<usize>,
}

impl Plan {
    pub(crate) fn new(users: Vec<Owner>, began_at: Timestamp, settings: &Settings, chance: &mut Chance) -> Self {
        let is_timeless = settings.by_server_clock;
        let length = match is_timeless {
            true => Duration::from_secs(chance.of([0, 3_600])),
            false => Duration::from_micros(chance.of([10_000_000, 10_000_000, 10_000_000, 10_000_500, 1_000_000, 0])),
        };
        let window = if chance.one_in(2) { ReplayWindow::Fixed(length) } else { ReplayWindow::UntilConfirmed(length) };
        let max = NonZeroU32::new(chance.of([1, 2, 3, 3, 4, 6])).unwrap_or(NonZeroU32::MIN);
        // Which session is evicted depends on times, unless all are.
        let max = if is_timeless { NonZeroU32::MIN } else { max };
        let limit = chance.of([SessionLimit::evict(max), SessionLimit::evict(max), SessionLimit::refuse(max)]);
        Self {
            window,
            refresh_lifetime: Duration::from_secs(if is_timeless {
                86_400
            } else {
                chance.of([15, 3_600, 7 * 86_400, 7 * 86_400])
            }),
            absolute_lifetime: Duration::from_secs(if is_timeless {
                86_400
            } else {
                chance.of([60, 7_200, 30 * 86_400, 30 * 86_400, 30 * 86_400])
            }),
            limit: Some(limit).filter(|_| !is_timeless || chance.one_in(2)),
            known: Vec::new(),
            marks: vec![Marks::default(); users.len()],
            users,
            began_at,
            is_timeless: settings.by_server_clock,
            has_expired: !settings.set_back,
        }
    }

    /// Returns the identifier with this number, in an order that is not that of their age.
    fn id(number: usize) -> SessionId {
        let number = number as u16;
        let mut bytes = [0xaa; SessionId::LEN];
        bytes[..2].copy_from_slice(&number.wrapping_mul(0x9e37).to_be_bytes());
        bytes[2..4].copy_from_slice(&number.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    pub(crate) fn burst(&self, chance: &mut Chance) -> Burst {
        let user = usize::from(chance.one_in(4)) % self.users.len();
        let live: Vec<usize> = self.live(user).collect();
        Burst { user, hot: chance.pick(&live) }
    }

    fn live(&self, user: usize) -> impl Iterator<Item = usize> {
        let is_live = move |(_, known): &(usize, &Known)| known.user == user && known.record.is_some();
        self.known.iter().enumerate().filter(is_live).map(|(index, _)| index)
    }

    /// Returns a session for an operation: mostly that of the burst or a recent one.
    fn session(&self, burst: &Burst, chance: &mut Chance) -> Option<usize> {
        let recent = self.known.len().saturating_sub(1 + chance.below(6));
        let any = if self.known.is_empty() { None } else { Some(recent) };
        match chance.below(10) {
            0..6 => burst.hot.or(any),
            6 => any,
            _ => chance.pick(&self.live(burst.user).collect::<Vec<_>>()).or(any),
        }
    }

    /// Returns the next operation of a client, with its user.
    pub(crate) fn next(
        &mut self,
        burst: &Burst,
        chance: &mut Chance,
        now: Timestamp,
        log: LogPosition,
    ) -> (Owner, Operation) {
        let user = if chance.one_in(8) { chance.below(self.users.len()) } else { burst.user };
        let owner = self.users[user].clone();
        let choice = chance.below(100);
        let Some(index) =
            self.session(burst, chance).filter(|_| choice >= 12 && (burst.hot.is_some() || chance.one_in(2)))
        else {
            return (owner, self.create(user, chance));
        };
        let Known { id, newest, version, has_expired, user: user_of_session, .. } = self.known[index];
        let operation = match choice {
            12..44 => Operation::Rotate(Box::new(self.rotation(&owner, index, chance, now))),
            44..56 => Operation::Confirm(id, if chance.one_in(5) { newest.saturating_sub(1) } else { newest }),
            56..63 => {
                let which = match chance.below(8) {
                    0..4 => WhichSessions::One(id),
                    // A token of the user has proven that the session was theirs.
                    4..6 if user == user_of_session && !has_expired => WhichSessions::Proven(id),
                    6 => WhichSessions::Others(id),
                    _ => WhichSessions::All,
                };
                let mut end = EndSessions::new(owner.clone(), which, RETENTION);
                end.min_age =
                    if self.is_timeless { Duration::ZERO } else { MILLISECOND * chance.of([0, 0, 0, 1, 2, 5_000]) };
                Operation::End(end)
            }
            63..67 => Operation::ExpireAccess(RETENTION),
            67..70 => Operation::Find(id),
            70..73 => {
                let key = DeviceKey::from_bytes([2 + chance.below(2) as u8; DeviceKey::LEN]);
                Operation::Register(RegisterDevice::new(owner.clone(), id, key))
            }
            73..78 => Operation::List,
            78..83 => Operation::GetData(id),
            83..93 => {
                let expected = chance.of([version, version, version, version.saturating_sub(1), version + 1, u64::MAX]);
                let bytes = format!("{}", chance.below(1_000)).into_bytes();
                Operation::PutData(PutData::new(owner.clone(), id, expected, bytes))
            }
            _ => Operation::ReadLog { after: log, at_rest: false },
        };
        (owner, operation)
    }

    fn create(&mut self, user: usize, chance: &mut Chance) -> Operation {
        let id = Self::id(self.known.len());
        self.known.push(Known { id, user, newest: 1, version: 0, epoch: 0, record: None, has_expired: false });
        let index = self.known.len() - 1;
        let owner = self.users[user].clone();
        let mut new = NewSession::new(owner, id, self.refresh_lifetime, self.absolute_lifetime, RETENTION);
        new.limit = self.limit.filter(|_| !chance.one_in(5));
        let recent = &self.known[index.saturating_sub(4)..index];
        let replaced: Vec<SessionId> = recent.iter().map(|known| known.id).collect();
        new.replaces = chance.pick(&replaced).filter(|_| chance.one_in(3));
        if chance.one_in(2) {
            new.data = Some(format!("of {index}").into_bytes());
            self.known[index].version = 1;
        }
        new.device = Device::new(chance.one_in(2).then(|| format!("agent {index}")), None);
        new.claims = self.claims(self.marks[user].expiry, chance);
        let newer_than = self.marks[user].end.filter(|_| !chance.one_in(3));
        new.proof = (chance.one_in(2) && !self.is_timeless).then(|| LoginProof::new(newer_than));
        Operation::Create(Box::new(new))
    }

    fn rotation(&self, owner: &Owner, index: usize, chance: &mut Chance, now: Timestamp) -> RotateSession {
        let Known { id, newest, epoch, user, .. } = self.known[index];
        let generation = match chance.below(20) {
            0..12 => newest,
            12..18 => newest.saturating_sub(1),
            18 => newest.saturating_sub(2),
            _ => newest + 1,
        };
        let lives = if chance.one_in(10) { chance.of([0, 1]) } else { 86_400_000 };
        let until = now.saturating_add(MILLISECOND * lives);
        let until = if self.is_timeless { Timestamp::from_secs(1 << 33) } else { until };
        let mut attempt = RefreshAttempt::new(generation, until, self.window, self.refresh_lifetime);
        attempt.min_epoch = match chance.below(20) {
            0..14 => 0,
            14..18 => epoch,
            18 => epoch + 1,
            _ => Revocation::ENDED,
        };
        // Whether the session is bound is not known to all clients.
        let is_bound = self.known[index].record.is_some_and(|record| record.bound_at.is_some());
        attempt.is_proven = chance.one_in(8) || is_bound && !chance.one_in(4);
        let mut rotation = RotateSession::new(owner.clone(), id, attempt, RETENTION);
        let expiry =
            self.known[index].record.and_then(|record| Some(AccessExpiry::new(record.access_expired_at?, epoch)));
        rotation.claims = self.claims(expiry.or(self.marks[user].expiry), chance);
        rotation
    }

    fn claims(&self, known: Option<AccessExpiry>, chance: &mut Chance) -> Option<ClaimsAge> {
        let age = MILLISECOND * chance.of([0, 0, 1, 10_000]);
        (chance.one_in(2) && !self.is_timeless).then(|| ClaimsAge::new(age, known.filter(|_| !chance.one_in(3))))
    }

    /// A client has received an answer.
    pub(crate) fn learn(&mut self, operation: &Operation, answer: &Answer) {
        let named = match operation {
            Operation::Create(new) => Some(new.id),
            Operation::Rotate(rotate) => Some(rotate.id),
            Operation::PutData(put) => Some(put.id),
            Operation::GetData(id) | Operation::Find(id) => Some(*id),
            _ => None,
        };
        let user_of = |owner: &Owner| self.users.iter().position(|user| user == owner);
        match (operation, answer) {
            (Operation::Create(new), Answer::Created(outcome)) => {
                let marks = user_of(&new.owner).and_then(|user| self.marks.get_mut(user));
                match (marks, outcome) {
                    (Some(marks), CreateOutcome::ProofOutdated(mark)) => marks.end = Some(mark.at),
                    (Some(marks), CreateOutcome::ClaimsOutdated(expiry)) => marks.expiry = Some(*expiry),
                    _ => {}
                }
            }
            (_, Answer::Raised(raised)) => {
                for (id, epoch) in raised {
                    if let Some(known) = self.known.iter_mut().find(|known| known.id == *id) {
                        known.epoch = *epoch;
                    }
                }
            }
            _ => {}
        }
        let Some(known) = self.known.iter_mut().find(|known| Some(known.id) == named) else { return };
        match answer {
            Answer::Rotated(RotateOutcome::Live { record, .. }) => {
                known.newest = known.newest.max(record.generation);
                known.epoch = known.epoch.max(record.epoch);
            }
            Answer::Data(Some(data)) => known.version = data.version,
            Answer::Put(PutOutcome::Stored { version }) => known.version = *version,
            _ => {}
        }
    }

    /// All clients are at rest, and these are the live sessions of a user.
    pub(crate) fn rest(&mut self, user: usize, live: &[(SessionId, SessionRecord)]) {
        for known in self.known.iter_mut().filter(|known| known.user == user) {
            known.record = live.iter().find(|(id, _)| *id == known.id).map(|(_, record)| *record);
            if let Some(record) = known.record {
                // What a failover has lost is known to clients and nodes.
                known.newest = known.newest.max(record.generation);
                known.epoch = known.epoch.max(record.epoch);
            }
        }
    }

    /// Returns what the clock shows next.
    pub(crate) fn moved(&mut self, now: Timestamp, chance: &mut Chance) -> Timestamp {
        if self.is_timeless || chance.one_in(3) {
            return now;
        }
        if !self.has_expired && chance.one_in(12) {
            // Around the difference that clocks may have.
            return now
                .saturating_sub(MILLISECOND * chance.of([1, 10_000, 59_999, 60_000, 60_001, 120_000, 3_600_000]));
        }
        let mut limits: Vec<Timestamp> = Vec::new();
        let length = self.window.length();
        for record in self.known.iter().filter_map(|known| known.record) {
            let times = [record.rotated_at, record.confirmed_at, record.access_expired_at];
            limits.extend(times.into_iter().flatten().flat_map(|at| {
                [length, length * 2, Duration::from_secs(10), MARKS_REMEMBERED].map(|later| at.saturating_add(later))
            }));
            limits.extend([record.idle_end, record.absolute_end]);
        }
        limits.extend(self.marks.iter().filter_map(|marks| marks.end).map(|at| at.saturating_add(MARKS_REMEMBERED)));
        limits.retain(|at| *at > now);
        limits.sort_unstable();
        limits.dedup();
        limits.truncate(if chance.one_in(6) { usize::MAX } else { 3 });
        let later = match chance.pick(&limits) {
            Some(limit) if !chance.one_in(4) => match chance.below(3) {
                0 => limit.saturating_sub(MILLISECOND),
                1 => limit,
                _ => limit.saturating_add(MILLISECOND),
            },
            _ => now.saturating_add(MILLISECOND * chance.of([1, 1, 2, 999, 1_000, 5_000])),
        };
        for known in &mut self.known {
            if known.record.is_some_and(|record| !record.is_live(later)) {
                known.has_expired = true;
                known.record = None;
                self.has_expired = true;
            }
        }
        // The marks of users are forgotten.
        self.has_expired |= later.since(self.began_at) >= MARKS_REMEMBERED;
        later
    }
}
