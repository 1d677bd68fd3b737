//! The sessions, marks and log of a store in memory.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    super::{
        data::SessionData,
        log::{LogEntry, LogPage, LogPosition, Revocation},
        owner::Owner,
        record::SessionRecord,
        session::{Device, FoundSession},
    },
    marks::Marks,
};
use crate::{
    clock::Timestamp,
    id::SessionId,
    keys::DeviceKey,
    policy::{SessionLimit, WhenFull},
};

#[derive(Default)]
pub(super) struct State {
    pub(super) users: HashMap<Owner, HashMap<SessionId, Entry>>,
    pub(super) log: VecDeque<LogEntry>,
    pub(super) newest: LogPosition,
    /// The longest retention that was ever asked for.
    pub(super) log_retention: Duration,
    pub(super) marks: HashMap<Owner, Marks>,
    pub(super) added_since_sweep: usize,
    /// The number of sessions and marks that the last sweep left.
    left_by_sweep: usize,
    swept_at: Timestamp,
}

pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

pub(super) struct Entry {
    pub(super) record: SessionRecord,
    pub(super) device: Device,
    pub(super) data: SessionData,
    pub(super) device_key: Option<DeviceKey>,
}

impl Entry {
    pub(super) const fn found(&self, now: Timestamp) -> FoundSession {
        FoundSession { record: self.record, now, device_key: self.device_key }
    }
}

impl State {
    /// Returns a live session.
    pub(super) fn live(&mut self, owner: &Owner, id: SessionId, now: Timestamp) -> Option<&mut Entry> {
        self.users.get_mut(owner)?.get_mut(&id).filter(|entry| entry.record.is_live(now))
    }

    /// Removes sessions of a user and returns those that were live.
    pub(super) fn remove(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        ids: impl IntoIterator<Item = SessionId>,
    ) -> Vec<SessionId> {
        let Some(sessions) = self.users.get_mut(owner) else { return Vec::new() };
        let removed = ids.into_iter().filter_map(|id| sessions.remove(&id).map(|entry| (id, entry)));
        let ended = removed.filter(|(_, entry)| entry.record.is_live(now)).map(|(id, _)| id).collect();
        if sessions.is_empty() {
            self.users.remove(owner);
        }
        ended
    }

    /// Removes the sessions of a user that are meant, and returns those that were live.
    pub(super) fn remove_where(
        &mut self,
        owner: &Owner,
        now: Timestamp,
        is_meant: impl Fn(SessionId, &SessionRecord) -> bool,
    ) -> Vec<SessionId> {
        let sessions = self.users.get(owner).into_iter().flatten();
        let meant: Vec<_> = sessions.filter(|(id, entry)| is_meant(**id, &entry.record)).map(|(id, _)| *id).collect();
        self.remove(owner, now, meant)
    }

    /// Returns which sessions of a user have to end so that one more fits; `None` when the limit says to refuse. Looks
    /// at each of them only when there may be too many.
    pub(super) fn over_limit(
        &mut self,
        owner: &Owner,
        limit: Option<SessionLimit>,
        now: Timestamp,
    ) -> Option<Vec<SessionId>> {
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

    /// Drops what has expired: when as much was added as the last sweep left, so that the cost of a login does not grow
    /// with the number of sessions, and at least once an hour, so that memory is freed after a peak.
    pub(super) fn sweep(&mut self, now: Timestamp) {
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

    pub(super) fn append(&mut self, now: Timestamp, retention: Duration, revocations: Vec<Revocation>) {
        let next = LogPosition::new(self.newest.at().as_millis(), self.newest.sequence().saturating_add(1));
        self.newest = LogPosition::new(now.as_millis(), 0).max(next);
        self.log.push_back(LogEntry::new(self.newest, revocations));
        self.log_retention = self.log_retention.max(retention);
        let oldest = now.saturating_sub(self.log_retention);
        while self.log.front().is_some_and(|entry| entry.position.at() < oldest) {
            self.log.pop_front();
        }
    }

    pub(super) fn page(&self, after: LogPosition) -> LogPage {
        let start = self.log.partition_point(|entry| entry.position <= after);
        LogPage::new(self.log.range(start..).cloned().collect(), self.newest)
    }
}
