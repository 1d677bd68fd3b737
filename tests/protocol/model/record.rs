//! A record at a constant time: instead of the clock, the times in the record move, into the past, and all that no
//! window reaches are equal. So the number of states is finite although time is not.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use tower_jwt_sessions::{
    clock::Timestamp,
    policy::ReplayWindow,
    store::{RefreshAttempt, RotateDecision, Rotation, SessionRecord},
};

use crate::model::table::Table;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const TICK: Duration = Duration::from_secs(1);
const FAR: Duration = Duration::from_secs(100_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    Fixed,
    UntilConfirmed,
}

/// The rules of one model: the table, the kind of window and its length in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) table: Table,
    pub(crate) window: Window,
    pub(crate) length: u8,
}

impl Rules {
    pub(crate) fn new(window: Window, length: u8) -> Self {
        Self { table: Table::Real, window, length }
    }

    pub(crate) fn with(self, table: Table) -> Self {
        Self { table, ..self }
    }

    pub(crate) fn window(self) -> ReplayWindow {
        let length = TICK * u32::from(self.length);
        match self.window {
            Window::Fixed => ReplayWindow::Fixed(length),
            Window::UntilConfirmed => ReplayWindow::UntilConfirmed(length),
        }
    }

    fn attempt(self, generation: u32, min_epoch: u32) -> RefreshAttempt {
        let mut attempt = RefreshAttempt::new(generation, NOW.saturating_add(FAR), self.window(), FAR);
        attempt.min_epoch = min_epoch;
        attempt
    }
}

/// The rows of the table that keep a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    Current,
    Rotated,
    Repeated,
    Advanced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) SessionRecord);

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bytes().hash(state);
    }
}

impl Record {
    pub(crate) fn login() -> Self {
        Self(SessionRecord::begin(NOW, FAR, FAR))
    }

    /// Takes the step, as a store does. `None` means that the session has ended.
    pub(crate) fn present(&mut self, rules: Rules, generation: u32) -> Option<Rotation> {
        self.present_at(rules, generation, 0)
    }

    /// The same at a node that knows this smallest valid epoch.
    pub(crate) fn present_at(&mut self, rules: Rules, generation: u32, min_epoch: u32) -> Option<Rotation> {
        match rules.table.rotate(&mut self.0, &rules.attempt(generation, min_epoch), NOW) {
            RotateDecision::Live { rotation, .. } => {
                self.0.idle_end = NOW.saturating_add(FAR);
                // No model has claims.
                self.0.access_expired_at = None;
                Some(rotation)
            }
            _ => None,
        }
    }

    /// Takes the step of a refresh that the device has proven, or has not. The first proof binds the session.
    pub(crate) fn present_by_device(&mut self, rules: Rules, generation: u32, is_proven: bool) -> RotateDecision {
        let mut attempt = rules.attempt(generation, 0);
        attempt.is_proven = is_proven;
        let decision = rules.table.rotate(&mut self.0, &attempt, NOW);
        self.0.idle_end = NOW.saturating_add(FAR);
        decision
    }

    /// Binds the session without a proof.
    pub(crate) fn bind(&mut self) {
        self.0.bound_at = Some(NOW);
    }

    /// Returns how many generations the newest is ahead of the one that may be repeated.
    pub(crate) fn distance(&self) -> u32 {
        self.0.previous.map_or(0, |previous| self.0.generation - previous)
    }

    /// Sets the store's clock back by an hour: its noted times are in the future for the whole model.
    pub(crate) fn set_back(&mut self) {
        let ahead = |at: Timestamp| at.saturating_add(TICK * 3_600);
        self.0.rotated_at = self.0.rotated_at.map(ahead);
        self.0.confirmed_at = self.0.confirmed_at.map(ahead);
    }

    /// Notes the use of an access token. Returns whether it was one of the current generation.
    pub(crate) fn confirm(&mut self, rules: Rules, generation: u32) -> bool {
        let current = generation == self.0.generation;
        rules.table.confirm(&mut self.0, generation, NOW);
        current
    }

    pub(crate) fn expire_access(&mut self) -> u32 {
        let epoch = self.0.expire_access(NOW);
        self.0.access_expired_at = None;
        epoch
    }

    /// Returns the generation that a client has after presenting this one, unless the session ends.
    pub(crate) fn successor(mut self, rules: Rules, generation: u32) -> Option<u32> {
        self.present(rules, generation)?;
        Some(self.0.generation)
    }

    /// Returns the row that applies to this generation.
    pub(crate) fn row(mut self, rules: Rules, generation: u32) -> Option<Row> {
        let superseded = self.0.previous == Some(generation);
        Some(match self.present(rules, generation)? {
            Rotation::Current => Row::Current,
            Rotation::Rotated if superseded => Row::Advanced,
            Rotation::Rotated => Row::Rotated,
            Rotation::Repeated => Row::Repeated,
            _ => unreachable!("a new row of the table"),
        })
    }

    /// Returns whether two tokens, presented at once and in either order, could give their holders different
    /// generations that are both valid.
    pub(crate) fn forks(self, rules: Rules, tokens: &[u32]) -> bool {
        let both = |first: u32, second: u32| {
            let mut record = self;
            record.present(rules, first)?;
            let one = record.0.generation;
            record.present(rules, second)?;
            let other = record.0.generation;
            record.present(rules, one)?;
            record.present(rules, other)?;
            Some(one != other)
        };
        tokens.iter().any(|first| tokens.iter().any(|second| both(*first, *second) == Some(true)))
    }

    /// One tick passes.
    pub(crate) fn age(&mut self, rules: Rules) {
        let oldest = |windows: u32| NOW.saturating_sub(TICK * u32::from(rules.length) * windows);
        let back = |at: Timestamp, windows| match at <= NOW {
            true => at.saturating_sub(TICK).max(oldest(windows)),
            false => at,
        };
        self.0.rotated_at = self.0.rotated_at.map(|at| back(at, 2));
        self.0.confirmed_at = self.0.confirmed_at.map(|at| back(at, 1));
    }

    /// Whether the last rotation was at least this many ticks ago.
    pub(crate) fn rotated_ago(&self, ticks: u8) -> bool {
        self.0.rotated_at.is_some_and(|at| NOW.since(at) >= TICK * u32::from(ticks))
    }

    /// The generations that the record names.
    pub(crate) fn generations(&self) -> impl Iterator<Item = u32> {
        [Some(self.0.generation), self.0.previous].into_iter().flatten()
    }
}

/// Numbers generations anew from 1, in the same order. The table compares them and counts on from the newest, as long
/// as the record's is the newest of all; and it bounds how far the newest is ahead of the previous one, which is less
/// than the bound where only the order is kept.
pub(crate) struct Renumbering {
    sorted: Vec<u32>,
    /// From here on distances stay as they are.
    exact_from: u32,
}

impl Renumbering {
    pub(crate) fn of(generations: impl IntoIterator<Item = u32>) -> Self {
        let mut sorted: Vec<u32> = generations.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self { sorted, exact_from: u32::MAX }
    }

    /// One that keeps the distance from the generation that may be repeated to the newer ones.
    pub(crate) fn exact(generations: impl IntoIterator<Item = u32>, record: &Record) -> Self {
        Self { exact_from: record.0.previous.unwrap_or(record.0.generation), ..Self::of(generations) }
    }

    pub(crate) fn apply(&self, generation: &mut u32) {
        let beyond = generation.saturating_sub(self.exact_from);
        let named = self.sorted.binary_search(&(*generation - beyond)).expect("every generation was named");
        *generation = u32::try_from(named).expect("few generations") + 1 + beyond;
    }

    pub(crate) fn apply_to_record(&self, record: &mut Record) {
        self.apply(&mut record.0.generation);
        record.0.previous.iter_mut().for_each(|generation| self.apply(generation));
    }
}
