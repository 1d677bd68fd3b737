//! Histories: clients work with a store at the same time, what they ask and what it answers is recorded, and an
//! independent checker decides whether the answers are those of a store that does one after the other.

mod backends;
mod chance;
mod checker;
mod checks;
mod cluster;
mod failover;
mod late;
mod managers;
mod operation;
mod plan;
mod planted;
mod recorder;
mod reference;
mod report;
mod second_checker;
#[path = "../stores/cluster/servers.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::{env, fmt::Debug, str::FromStr};

use crate::{
    backends::{Connected, InCluster},
    checks::{Caught, Tally},
    failover::Pair,
    late::Behind,
    managers::Nodes,
};

/// The cases of `Answer::case`.
const CASES: usize = 31;
/// How many times as many operations are carried out at most until every case was seen.
const MOST: usize = 20;

/// Reads a number from the environment.
fn number<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}

/// Runs worlds until they have carried out so many operations, or a part of what OPERATIONS says, and show what they
/// should: the order on a server is another in each run, and some cases are rare. SEED is that of the first.
async fn run(
    backend: &str,
    short: usize,
    part: usize,
    shows: impl Fn(&Tally) -> bool,
    world: impl AsyncFn(u64) -> Result<Tally, Caught>,
) {
    let (mut all, mut seed) = (Tally::default(), number("SEED", 1));
    let operations = number("OPERATIONS", short * part) / part;
    while all.operations < operations || !shows(&all) {
        assert!(all.operations < MOST * operations.max(short), "{backend}: histories that show too little: {all:?}");
        match Box::pin(world(seed)).await {
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
}

/// Every case, lost answers, comparisons with the second checker, and falsified histories that were refused.
fn everything(all: &Tally) -> bool {
    all.lost > 0 && all.compared > 0 && all.refused > 0 && all.cases.len() == CASES
}

#[tokio::test]
async fn histories_of_the_store_in_memory_are_linearizable() {
    run("memory", 20_000, 1, everything, backends::memory).await;
}

#[tokio::test]
async fn histories_of_threads_are_linearizable() {
    run("threads", 5_000, 1, |_| true, backends::threads).await;
}

#[tokio::test]
async fn histories_of_redis_are_linearizable() {
    let connected = Connected::to_redis().await;
    run("redis", 10_000, 1, everything, async |seed| connected.redis(seed).await).await;
}

/// What managers do with their stores, also in the background.
#[tokio::test]
async fn histories_of_managers_are_linearizable() {
    let nodes = Nodes(Connected::to_redis().await);
    let cases = ["confirmed", "created, others ended", "repeated", "reused", "stored", "expired access"];
    let shows = |all: &Tally| cases.iter().all(|case| all.cases.contains_key(case));
    run("managers", 3_000, 4, shows, async |seed| nodes.world(seed).await).await;
}

/// The log fails now and then, so that ends are published by later steps.
#[tokio::test]
async fn histories_of_a_cluster_are_linearizable() {
    let cluster = InCluster::start().await;
    run("cluster", 4_000, 1, everything, async |seed| cluster.cluster(seed).await).await;
}

/// By the clock of the server, with commands that arrive after their deadline.
#[tokio::test]
async fn histories_with_late_commands_are_linearizable() {
    let behind = Behind::start().await;
    run("late", 600, 200, |_| true, async |seed| behind.world(seed).await).await;
}

/// A replica takes over that has not received the last writes.
#[tokio::test]
async fn histories_with_failovers_lose_only_their_ends() {
    let pair = Pair::start().await;
    let shows = |all: &Tally| all.failovers > 0 && all.cases.contains_key("rolled back");
    run("failover", 300, 100, shows, async |seed| pair.world(seed).await).await;
}
