//! Histories: clients work with a store at the same time, what they ask and what it answers is recorded, and an
//! independent checker decides whether the answers are those of a store that does one after the other.

mod chance;
mod checker;
mod operation;
mod plan;
mod recorder;
mod reference;
mod report;
mod second_checker;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::{env, fmt::Debug, str::FromStr};

use tower_jwt_sessions::{MemoryStore, redis::RedisStore, testing::TestClock};

use crate::{
    reference::Rules,
    support::{patient::patient_store, redis_server},
    world::{Caught, Settings, Tally, World},
};

const CLIENTS: usize = 3;
/// The cases of `Answer::case`.
const CASES: usize = 27;

/// Reads a number from the environment.
fn number<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}

/// The seed of the first world.
fn seed() -> u64 {
    number("SEED", 1)
}

/// About how many operations to check.
fn operations(short: usize) -> usize {
    number("OPERATIONS", short)
}

const MEMORY: Settings = Settings {
    bursts: 40,
    faults: true,
    threads: false,
    compare_one_in: 10,
    rules: Rules { can_lose_records: false, ages: true },
};

const REDIS: Settings = Settings { rules: Rules { can_lose_records: true, ..MEMORY.rules }, ..MEMORY };

/// Runs worlds until they have carried out so many operations.
async fn run(backend: &str, short: usize, world: impl AsyncFn(u64) -> Result<Tally, Caught>) -> Tally {
    let (mut all, mut seed) = (Tally::default(), seed());
    while all.operations < operations(short) {
        match world(seed).await {
            Ok(tally) => all.add(tally),
            Err(Caught { operations, report }) => {
                let operations = all.operations + operations;
                panic!("{report}\ncaught: {backend} SEED={seed} after {operations} operations");
            }
        }
        seed += 1;
    }
    #[expect(clippy::print_stdout, reason = "the counts, for scripts/test-histories")]
    {
        println!("{backend}: {all:?}");
    }
    all
}

/// Otherwise the histories would show little.
fn assert_shows_everything(all: &Tally) {
    assert!(all.lost > 0 && all.compared > 0 && all.refused > 0, "{all:?}");
    assert_eq!(all.cases.len(), CASES, "{all:?}");
}

#[tokio::test]
async fn histories_of_the_store_in_memory_are_linearizable() {
    let world = async |seed| {
        let clock = TestClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        World::new(vec![store; CLIENTS], clock, seed, MEMORY).run().await
    };
    let all = run("memory", 20_000, world).await;
    assert_shows_everything(&all);
}

/// As many clients as threads.
#[tokio::test]
async fn histories_of_threads_are_linearizable() {
    let world = async |seed| {
        let clock = TestClock::new();
        let store = MemoryStore::with_clock(clock.clone());
        World::new(vec![store; 4], clock, seed, Settings { threads: true, ..MEMORY }).run().await
    };
    run("threads", 5_000, world).await;
}

#[tokio::test]
async fn histories_of_redis_are_linearizable() {
    let (server, prefix) = redis_server::shared();
    let stores: Vec<RedisStore> = {
        let mut stores = Vec::new();
        for _ in 0..CLIENTS {
            stores.push(patient_store(&server.url(), "").await);
        }
        stores
    };
    let world = async |seed| {
        let clock = TestClock::new();
        let own = |store: &RedisStore| {
            let store = store.clone().key_prefix(format!("{prefix}{seed}:")).expect("a plain prefix");
            store.with_clock(clock.clone())
        };
        World::new(stores.iter().map(own).collect(), clock.clone(), seed, REDIS).run().await
    };
    let all = run("redis", 10_000, world).await;
    assert_shows_everything(&all);
}
