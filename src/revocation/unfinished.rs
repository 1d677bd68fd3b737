//! Ends of sessions that were requested and that the store has not carried out yet.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

use crate::{
    event::{EndCause, LOG_TARGET},
    id::{SessionId, UserId},
    measure,
    store::{Owner, WhichSessions},
};

/// An end that was requested.
#[derive(Clone, Debug)]
pub(super) struct UnfinishedEnd {
    pub(super) owner: Owner,
    pub(super) which: WhichSessions,
    pub(super) why: EndCause,
    /// Who acts as the user in one of the sessions, if a token told.
    pub(super) actor: Option<(SessionId, UserId)>,
    /// Sessions that begin later are spared.
    pub(super) requested_at: Instant,
}

/// The unfinished ends of a manager, oldest first. They are lost when the process ends.
#[derive(Debug)]
pub(super) struct UnfinishedEnds {
    table: Mutex<Table>,
    added: Notify,
    capacity: usize,
}

/// Each takes some 300 bytes, and up to as many again for the user agent of its request.
const CAPACITY: usize = 10_000;
/// One user must not displace the ends of others: `end` takes any id.
const CAPACITY_OF_USER: usize = 100;

#[derive(Debug, Default)]
struct Table {
    /// By ascending numbers.
    ends: BTreeMap<u64, UnfinishedEnd>,
    of_owner: HashMap<Owner, Vec<u64>>,
    next: u64,
    /// What was logged since the table was last empty.
    is_reported: bool,
    is_overflow_reported: bool,
}

impl Default for UnfinishedEnds {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl UnfinishedEnds {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { table: Mutex::default(), added: Notify::new(), capacity }
    }

    /// An attempt to carry out an end. The end is kept unless [`Attempt::succeeded`] is called, even if the future that
    /// holds the attempt is dropped.
    pub(super) fn attempt(&self, end: UnfinishedEnd) -> Attempt<'_> {
        Attempt { ends: self, end, has_succeeded: false }
    }

    fn keep(&self, end: UnfinishedEnd) {
        self.table().keep(end, self.capacity);
        self.added.notify_one();
    }

    /// Waits until there is an unfinished end.
    pub(super) async fn wait(&self) {
        while self.table().ends.is_empty() {
            self.added.notified().await;
        }
    }

    /// Returns the end that was tried least recently, with its number.
    pub(super) fn first(&self) -> Option<(u64, UnfinishedEnd)> {
        self.table().ends.first_key_value().map(|(number, end)| (*number, end.clone()))
    }

    /// Returns the ends that may concern this session of this user.
    pub(super) fn concerning(&self, owner: &Owner, session: SessionId) -> Vec<(u64, UnfinishedEnd)> {
        let table = self.table();
        let numbers = table.of_owner.get(owner).into_iter().flatten();
        let ends = numbers.filter_map(|number| Some((*number, table.ends.get(number)?)));
        ends.filter(|(_, end)| end.which.includes(session)).map(|(number, end)| (number, end.clone())).collect()
    }

    /// Removes an end that the store has carried out, unless it was requested again after `requested_at`.
    pub(super) fn finish(&self, number: u64, requested_at: Instant) {
        self.table().finish(number, requested_at);
    }

    /// Moves an end that failed again behind all others.
    pub(super) fn postpone(&self, number: u64) {
        self.table().postpone(number);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn keep(&mut self, new: UnfinishedEnd, capacity: usize) {
        let of_owner = self.of_owner.get(&new.owner).map(Vec::as_slice).unwrap_or_default();
        let is_same = |number: &u64| self.ends.get(number).is_some_and(|end| end.which == new.which);
        let same = of_owner.iter().copied().find(is_same);
        // The oldest of those that mean the fewest sessions: else a user whose sessions are all to end could have that
        // forgotten, by ending single ones.
        let breadth = |number: &u64| self.ends.get(number).map(|end| breadth(end.which));
        let is_full = of_owner.len() >= CAPACITY_OF_USER;
        let dropped_of_owner = of_owner.iter().copied().min_by_key(breadth).filter(|_| is_full);
        if let Some(same) = same.and_then(|number| self.ends.get_mut(&number)) {
            // The later end includes all that the earlier one meant.
            same.requested_at = same.requested_at.max(new.requested_at);
            return;
        }
        // The same among those of all users: accounts that work together could displace the ends of others.
        let oldest = || {
            let is_full = self.ends.len() >= capacity;
            is_full
                .then(|| self.ends.iter().min_by_key(|(_, end)| self::breadth(end.which)))?
                .map(|(number, _)| *number)
        };
        if let Some(dropped) = dropped_of_owner.or_else(oldest) {
            self.drop_unfinished(dropped);
        }
        self.insert(new);
        measure::unfinished_ends(1.0);
    }

    fn drop_unfinished(&mut self, number: u64) {
        self.remove(number);
        measure::unfinished_ends(-1.0);
        measure::dropped_end();
        if !std::mem::replace(&mut self.is_overflow_reported, true) {
            tracing::error!(target: LOG_TARGET, "unfinished session ends dropped: too many are waiting for the session store");
        }
    }

    fn finish(&mut self, number: u64, requested_at: Instant) {
        // Unless it was requested again meanwhile.
        if self.ends.get(&number).is_none_or(|end| end.requested_at != requested_at) {
            return;
        }
        self.remove(number);
        measure::unfinished_ends(-1.0);
        if self.ends.is_empty() {
            self.is_overflow_reported = false;
            if std::mem::take(&mut self.is_reported) {
                tracing::info!(target: LOG_TARGET, "unfinished session ends completed");
            }
        }
    }

    /// Forgets what an end has carried out along with itself.
    fn finish_covered(&mut self, done: &UnfinishedEnd) {
        let covers = |end: &UnfinishedEnd| {
            // A session that the store has lost is published by its name alone.
            let by_all = done.which == WhichSessions::All && !matches!(end.which, WhichSessions::Proven(_));
            end.requested_at <= done.requested_at && (by_all || end.which == done.which)
        };
        let of_owner = self.of_owner.get(&done.owner).into_iter().flatten();
        let ends = of_owner.filter_map(|number| Some((*number, self.ends.get(number)?)));
        let covered: Vec<_> =
            ends.filter(|(_, end)| covers(end)).map(|(number, end)| (number, end.requested_at)).collect();
        covered.into_iter().for_each(|(number, requested_at)| self.finish(number, requested_at));
    }

    fn postpone(&mut self, number: u64) {
        let Some(end) = self.remove(number) else { return };
        self.insert(end);
        // Not at the first failure: often the next attempt succeeds.
        if !std::mem::replace(&mut self.is_reported, true) {
            tracing::warn!(
                target: LOG_TARGET,
                "session ends unfinished: the session store failed, retrying until they succeed"
            );
        }
    }

    fn insert(&mut self, end: UnfinishedEnd) {
        self.of_owner.entry(end.owner.clone()).or_default().push(self.next);
        self.ends.insert(self.next, end);
        self.next += 1;
    }

    fn remove(&mut self, number: u64) -> Option<UnfinishedEnd> {
        let end = self.ends.remove(&number)?;
        if let Entry::Occupied(mut numbers) = self.of_owner.entry(end.owner.clone()) {
            numbers.get_mut().retain(|other| *other != number);
            if numbers.get().is_empty() {
                numbers.remove();
            }
        }
        Some(end)
    }
}

/// A manager that is gone has none.
impl Drop for Table {
    fn drop(&mut self) {
        measure::unfinished_ends(-(self.ends.len() as f64));
    }
}

/// How much is lost when an end is dropped.
fn breadth(which: WhichSessions) -> u8 {
    match which {
        WhichSessions::One(_) | WhichSessions::Proven(_) => 0,
        WhichSessions::Others(_) => 1,
        WhichSessions::All => 2,
    }
}

/// See [`UnfinishedEnds::attempt`].
#[must_use = "an end is kept as unfinished when this is dropped"]
pub(super) struct Attempt<'e> {
    ends: &'e UnfinishedEnds,
    pub(super) end: UnfinishedEnd,
    has_succeeded: bool,
}

impl Attempt<'_> {
    pub(super) fn succeeded(mut self) {
        self.has_succeeded = true;
        self.ends.table().finish_covered(&self.end);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.ends.keep(self.end.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::{Cause, EndReason, Operation},
        store::Population,
    };

    fn user(n: usize) -> Owner {
        Owner::new(Population::new("https://app.test", "https://app.test"), UserId::new(n).unwrap())
    }

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; SessionId::LEN])
    }

    fn end(user_number: usize, which: WhichSessions, requested_at: Instant) -> UnfinishedEnd {
        let cause = Cause { operation: Operation::Logout, client: None };
        let why = EndCause { reason: EndReason::LoggedOut, cause };
        UnfinishedEnd { owner: user(user_number), which, why, actor: None, requested_at }
    }

    fn numbers(ends: &UnfinishedEnds, user_number: usize, id: u8) -> Vec<u64> {
        ends.concerning(&user(user_number), session(id)).into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn attempt_is_kept_unless_it_succeeded() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        ends.attempt(end(1, WhichSessions::All, now)).succeeded();
        assert!(ends.first().is_none());
        drop(ends.attempt(end(1, WhichSessions::All, now)));
        let (number, kept) = ends.first().unwrap();
        assert_eq!((kept.owner, kept.which), (user(1), WhichSessions::All));
        ends.finish(number, now);
        assert!(ends.first().is_none() && ends.table().of_owner.is_empty());
    }

    #[test]
    fn ends_that_concern_a_session_are_found() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        for which in [WhichSessions::Others(session(1)), WhichSessions::Proven(session(2)), WhichSessions::All] {
            ends.keep(end(1, which, now));
        }
        assert_eq!([1, 2, 3].map(|id| numbers(&ends, 1, id)), [vec![2], vec![0, 1, 2], vec![0, 2]]);
        assert!(numbers(&ends, 2, 2).is_empty(), "they are of another user");
    }

    #[test]
    fn same_end_requested_again_is_kept_once_and_means_later_sessions_too() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        ends.keep(end(1, WhichSessions::All, now));
        let (number, tried) = ends.first().unwrap();
        ends.keep(end(1, WhichSessions::All, later));
        ends.finish(number, tried.requested_at);
        let (number, kept) = ends.first().expect("the second one was not carried out");
        assert_eq!(kept.requested_at, later);
        ends.finish(number, later);
        assert!(ends.first().is_none());
    }

    /// Otherwise the end of all would be tried again, and end a session that began after it had succeeded.
    #[test]
    fn end_that_succeeds_finishes_what_was_requested_before_it() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        let later = now + Duration::from_secs(1);
        let one = WhichSessions::One(session(1));
        let asked = |which, at| ends.keep(end(1, which, at));
        [one, WhichSessions::Others(session(2)), WhichSessions::All].into_iter().for_each(|which| asked(which, now));
        asked(WhichSessions::Proven(session(3)), now);
        ends.keep(end(2, WhichSessions::All, now));
        ends.attempt(end(1, one, now)).succeeded();
        assert_eq!(numbers(&ends, 1, 1), [1, 2], "the same one alone");
        asked(one, later + Duration::from_secs(1));
        ends.attempt(end(1, WhichSessions::All, later)).succeeded();
        assert_eq!(numbers(&ends, 1, 1), [5], "what was requested after it is left");
        assert_eq!(numbers(&ends, 1, 3), [3], "a session that the store has lost is published by its name alone");
        assert_eq!(numbers(&ends, 2, 1), [4], "another user's");
    }

    /// Accounts that work together fill the table with ends of single sessions.
    #[test]
    fn full_table_drops_ends_of_single_sessions_first() {
        let (ends, now) = (UnfinishedEnds::with_capacity(10), Instant::now());
        ends.keep(end(0, WhichSessions::All, now));
        (1..=20).for_each(|n| ends.keep(end(n, WhichSessions::One(session(1)), now)));
        assert_eq!(numbers(&ends, 0, 1), [0]);
        assert_eq!(ends.table().ends.len(), 10);
    }

    #[test]
    fn postponed_end_comes_last() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        (0..3).for_each(|n| ends.keep(end(n, WhichSessions::All, now)));
        let mut order = Vec::new();
        for _ in 0..4 {
            let (number, tried) = ends.first().unwrap();
            order.push(tried.owner);
            ends.postpone(number);
        }
        assert_eq!(order, [0, 1, 2, 0].map(user));
    }

    #[test]
    fn full_table_drops_the_oldest() {
        let (ends, now) = (UnfinishedEnds::with_capacity(3), Instant::now());
        (0..5).for_each(|n| ends.keep(end(n, WhichSessions::All, now)));
        let kept: Vec<bool> = (0..5).map(|n| !numbers(&ends, n, 1).is_empty()).collect();
        assert_eq!(kept, [false, false, true, true, true]);
        assert_eq!(ends.table().of_owner.len(), 3);
    }

    #[test]
    fn user_displaces_no_end_of_another() {
        let (ends, now) = (UnfinishedEnds::with_capacity(CAPACITY_OF_USER + 2), Instant::now());
        ends.keep(end(1, WhichSessions::All, now));
        for n in 0..=u8::MAX {
            ends.keep(end(2, WhichSessions::One(session(n)), now));
        }
        assert!(!numbers(&ends, 1, 1).is_empty());
        assert_eq!(ends.table().ends.len(), 1 + CAPACITY_OF_USER);
        assert!(numbers(&ends, 2, 0).is_empty() && !numbers(&ends, 2, u8::MAX).is_empty());
    }

    #[test]
    fn ends_of_single_sessions_displace_no_end_of_all() {
        let (ends, now) = (UnfinishedEnds::default(), Instant::now());
        ends.keep(end(1, WhichSessions::All, now));
        ends.keep(end(1, WhichSessions::Others(session(0)), now));
        for n in 1..=u8::MAX {
            ends.keep(end(1, WhichSessions::One(session(n)), now));
        }
        assert_eq!(ends.table().ends.len(), CAPACITY_OF_USER);
        assert_eq!(numbers(&ends, 1, 1), [0, 1], "all and the others are kept, the oldest single one is not");
    }
}
