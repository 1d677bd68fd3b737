//! A record whose time stands still: instead of the clock moving on, what happened moves into the past, and what no
//! window reaches any more is all equally long ago. So the states are finite although time is not.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use tower_jwt_sessions::{
    ReplayWindow, Timestamp,
    store::{Presentation, Rotation, SessionRecord, Step},
};

use crate::table::Table;

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

    fn presentation(self, generation: u32) -> Presentation {
        let length = TICK * u32::from(self.length);
        Presentation {
            generation,
            token_expires_at: NOW.saturating_add(FAR),
            window: match self.window {
                Window::Fixed => ReplayWindow::Fixed(length),
                Window::UntilConfirmed => ReplayWindow::UntilConfirmed(length),
            },
            refresh_lifetime: FAR,
        }
    }
}

/// The rows of the table under which a session lives on.
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
        match rules.table.rotate(&mut self.0, &rules.presentation(generation), NOW) {
            Step::Live { rotation, .. } => {
                self.0.idle_end = NOW.saturating_add(FAR);
                Some(rotation)
            }
            Step::Reused | Step::Ended => None,
        }
    }

    /// Notes the use of an access token. Says whether it was one of the current generation.
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

    /// Which generation whoever presents this one would have then, if the session would live on.
    pub(crate) fn successor(mut self, rules: Rules, generation: u32) -> Option<u32> {
        self.present(rules, generation)?;
        Some(self.0.generation)
    }

    /// The row that applies to this generation.
    pub(crate) fn row(mut self, rules: Rules, generation: u32) -> Option<Row> {
        let superseded = self.0.previous == Some(generation);
        Some(match self.present(rules, generation)? {
            Rotation::Current => Row::Current,
            Rotation::Rotated if superseded => Row::Advanced,
            Rotation::Rotated => Row::Rotated,
            Rotation::Repeated => Row::Repeated,
        })
    }

    /// Whether two tokens, presented at once and in either order, could leave their holders with different
    /// generations that are both alive.
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
        let back = |at: Timestamp, windows| at.saturating_sub(TICK).max(oldest(windows));
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

/// Numbers generations anew from 1, in the same order. The table only compares them and counts on from the newest, so
/// nothing else about them matters, as long as the record's is the newest of all.
pub(crate) struct Renumbering(Vec<u32>);

impl Renumbering {
    pub(crate) fn of(generations: impl IntoIterator<Item = u32>) -> Self {
        let mut sorted: Vec<u32> = generations.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self(sorted)
    }

    pub(crate) fn apply(&self, generation: &mut u32) {
        let rank = self.0.binary_search(generation).expect("every generation was named");
        *generation = u32::try_from(rank).expect("few generations") + 1;
    }

    pub(crate) fn apply_to_record(&self, record: &mut Record) {
        self.apply(&mut record.0.generation);
        record.0.previous.iter_mut().for_each(|generation| self.apply(generation));
    }
}
