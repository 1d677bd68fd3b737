//! What differs in a cluster, where the log is on another server than the sessions: what a step revokes is kept with the
//! user, then published, then removed there. A step that fails in between has revoked, and later steps publish it:
//! `src/redis/cluster/mod.rs`.

use std::{collections::BTreeSet, time::Duration};

use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    store::{CreateOutcome, EndSessions, Revocation},
};

use crate::operation::{Answer, Operation};

/// After which a step counts as failed.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// What was revoked, and the sessions on probation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Unpublished {
    pub(crate) is_used: bool,
    /// Whether the running step answers: then it has published.
    is_answered: bool,
    /// Not yet seen in the log.
    owed: Vec<Owed>,
    /// Ended sessions that a later end may report.
    unsettled: BTreeSet<SessionId>,
    /// Sessions that steps without an answer have ended: they may be pending even when their end was published before.
    unanswered: BTreeSet<SessionId>,
    /// Sessions whose login has failed after it ended others.
    on_probation: Vec<(SessionId, Timestamp)>,
}

/// A revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Owed {
    id: SessionId,
    epoch: u32,
    /// Whether it was published before something was answered.
    must: bool,
    /// Whether it has happened, whichever operations without an answer have.
    is_sure: bool,
}

impl Unpublished {
    pub(crate) fn new(is_used: bool) -> Self {
        Self { is_used, ..Self::default() }
    }

    /// Whether all that has happened is published.
    pub(crate) fn is_empty(&self) -> bool {
        !self.owed.iter().any(|owed| owed.is_sure)
    }

    /// The sessions of the user are these, so no others are on probation.
    pub(crate) fn keep(&mut self, is_live: impl Fn(&SessionId) -> bool) {
        self.on_probation.retain(|(id, _)| is_live(id));
    }

    /// Returns what is unpublished if it is either this or that, with the same sessions on probation.
    pub(crate) fn merge(&mut self, other: Self) {
        let same = |one: &Owed, other: &Owed| (one.id, one.epoch) == (other.id, other.epoch);
        for owed in &mut self.owed {
            owed.is_sure &= other.owed.iter().any(|other| same(owed, other) && other.is_sure);
        }
        for owed in other.owed {
            if !self.owed.iter().any(|known| same(known, &owed)) {
                self.owed.push(Owed { is_sure: false, ..owed });
            }
        }
        self.owed.sort_unstable();
        self.unsettled.extend(other.unsettled);
        self.unanswered.extend(other.unanswered);
    }

    pub(crate) fn on_probation(&self) -> &[(SessionId, Timestamp)] {
        &self.on_probation
    }

    pub(crate) fn add(&mut self, revocations: &[(SessionId, u32)]) {
        for (id, epoch) in revocations {
            self.owed.push(Owed { id: *id, epoch: *epoch, must: self.is_answered, is_sure: true });
            if *epoch == Revocation::ENDED {
                self.unsettled.insert(*id);
                if !self.is_answered {
                    self.unanswered.insert(*id);
                }
            }
        }
        self.owed.sort_unstable();
    }

    /// Whether an earlier step has ended the session and may not have removed that from what is pending.
    pub(crate) fn may_be_pending(&self, id: SessionId) -> bool {
        self.unsettled.contains(&id)
    }

    pub(crate) fn await_publication(&mut self, id: SessionId, now: Timestamp) {
        if self.is_used {
            self.on_probation.push((id, now));
        }
    }

    /// A step begins. Returns the sessions that it removes first.
    pub(crate) fn begin(&mut self, operation: &Operation, now: Timestamp, is_answered: bool) -> Vec<SessionId> {
        self.is_answered = is_answered;
        if matches!(operation, Operation::ReadLog { .. }) {
            return Vec::new();
        }
        // What a step publishes before it answers: everything, or the end of its session if that is pending.
        let names = |id: SessionId| match operation {
            Operation::Find(of) | Operation::GetData(of) | Operation::Confirm(of, _) => *of == id,
            Operation::Rotate(rotate) => rotate.id == id,
            Operation::PutData(put) => put.id == id,
            Operation::Register(register) => register.id == id,
            _ => false,
        };
        if is_answered {
            for owed in &mut self.owed {
                let is_named = names(owed.id) && owed.epoch == Revocation::ENDED;
                owed.must |= owed.is_sure && (completes_all(operation) || is_named);
            }
        }
        let (failed, waiting) = self.on_probation.iter().partition(|(_, since)| now.since(*since) >= LEFT_BEHIND);
        self.on_probation = waiting;
        failed.into_iter().map(|(id, _)| id).collect()
    }

    /// Whether a step may answer so: it also reports what an earlier one ended and could not publish.
    pub(crate) fn allows(&self, operation: &Operation, answer: &Answer, expected: &Answer) -> bool {
        let (ended, needed) = match (answer, expected) {
            (Answer::Ended(ended), Answer::Ended(needed)) => (ended, needed),
            (
                Answer::Created(CreateOutcome::Created { record, now, ended, .. }),
                Answer::Created(CreateOutcome::Created { record: expected, now: at, ended: needed, .. }),
            ) if (record, now) == (expected, at) => (ended, needed),
            _ => return answer == expected,
        };
        let may_be_added = |id: &SessionId| {
            let is_meant = match operation {
                Operation::End(EndSessions { which, .. }) => which.includes(*id),
                Operation::Create(new) => new.replaces == Some(*id),
                _ => false,
            };
            is_meant && self.may_be_pending(*id)
        };
        needed.iter().all(|id| ended.contains(id)) && ended.iter().all(|id| needed.contains(id) || may_be_added(id))
    }

    /// Whether the log may be read so: it says nothing that is not true, and at rest what must be there is there.
    pub(crate) fn is_read_as(
        &mut self,
        operation: &Operation,
        answer: &Answer,
        is_true: impl Fn(SessionId, u32) -> bool,
    ) -> bool {
        let (Operation::ReadLog { at_rest, .. }, Answer::Log(entries)) = (operation, answer) else { return false };
        let read: BTreeSet<(SessionId, u32)> = entries.iter().flatten().copied().collect();
        if *at_rest {
            self.owed.retain(|owed| !read.iter().any(|(id, epoch)| *id == owed.id && *epoch >= owed.epoch));
        }
        read.iter().all(|(id, epoch)| is_true(*id, *epoch)) && !(*at_rest && self.owed.iter().any(|owed| owed.must))
    }

    pub(crate) fn at_rest(&mut self) {
        self.is_answered = false;
        self.unsettled = self.owed.iter().map(|owed| owed.id).chain(self.unanswered.iter().copied()).collect();
    }
}

fn completes_all(operation: &Operation) -> bool {
    matches!(operation, Operation::End(_) | Operation::ExpireAccess(_))
}
