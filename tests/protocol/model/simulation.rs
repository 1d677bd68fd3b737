//! Random days of ordinary use: honest browsers on bad networks, whose sessions must stay, and a thief who keeps pace
//! with one of them.
//!
//! The exhaustive models explore the worst network within assumptions. This one measures how often those hold. The
//! environment sets the number of runs, `HONEST_RUNS` and `THEFT_RUNS`.

use std::{collections::BinaryHeap, env, time::Duration};

use tower_jwt_sessions::{
    clock::Timestamp,
    policy::ReplayWindow,
    store::{RefreshAttempt, RotateDecision, Rotation, SessionRecord},
};

use crate::model::{explore::print, table::Table};

mod honest;
mod thief;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// The defaults: the replay window, and the lifetimes of an access token and of a short one.
const WINDOW: u64 = 10 * SECOND;
const LONG: u64 = HOUR;
const SHORT: u64 = MINUTE;
const BEGIN: u64 = 1_000_000 * HOUR;

/// Random numbers that are the same in every run: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Returns the time until an event with this mean interval.
    fn wait(&mut self, mean: u64) -> u64 {
        (-(1.0 - self.unit()).ln() * mean as f64) as u64 + 1
    }

    fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least)
    }
}

/// The response to a refresh: cookies of these generations.
#[derive(Clone, Copy, Debug)]
struct Response {
    refresh: Option<u32>,
    access: Access,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    generation: u32,
    expires_at: u64,
}

/// One session as a server keeps it.
struct Server {
    record: SessionRecord,
    table: Table,
    /// Whether access tokens of superseded generations are short.
    short: bool,
    over: bool,
}

impl Server {
    fn new(table: Table) -> Self {
        let forever = Duration::from_secs(1_000 * 24 * 60 * 60);
        let record = SessionRecord::begin(Timestamp::from_millis(BEGIN), forever, forever);
        Self { record, table, short: true, over: false }
    }

    /// Takes the step and issues what the manager would. `None`: the session has ended.
    fn refresh(&mut self, generation: u32, now: u64) -> Option<Response> {
        if self.over {
            return None;
        }
        let window = Duration::from_millis(WINDOW);
        let now_at = Timestamp::from_millis(now);
        let attempt = RefreshAttempt::new(
            generation,
            self.record.absolute_end,
            ReplayWindow::UntilConfirmed(window),
            Duration::from_secs(1_000 * 24 * 60 * 60),
        );
        let RotateDecision::Live { rotation, .. } = self.table.rotate(&mut self.record, &attempt, now_at) else {
            self.over = true;
            return None;
        };
        let newest = self.record.generation;
        let is_fresh = self.record.rotated_at.is_some_and(|at| now_at.since(at) < 2 * window);
        let (refresh, access, lives) = match rotation {
            Rotation::Rotated | Rotation::Repeated => (Some(newest), newest, LONG),
            Rotation::Current if self.short && generation < newest || !is_fresh => (None, generation, SHORT),
            Rotation::Current => (None, generation, LONG),
            _ => unreachable!("a new row of the table"),
        };
        Some(Response { refresh, access: Access { generation: access, expires_at: now + lives } })
    }

    /// Returns whether an access token is accepted.
    fn serves(&self, access: Access, now: u64) -> bool {
        !self.over && now < access.expires_at
    }

    /// A node notes the use of an access token.
    fn note(&mut self, access: Access, now: u64) {
        self.table.confirm(&mut self.record, access.generation, Timestamp::from_millis(now));
    }

    fn distance(&self) -> usize {
        self.record.previous.map_or(0, |previous| self.record.generation - previous) as usize
    }
}

/// Returns the number of runs, from the environment if it is set there.
fn runs(name: &str, otherwise: u64) -> u64 {
    env::var(name).ok().and_then(|runs| runs.parse().ok()).unwrap_or(otherwise)
}
