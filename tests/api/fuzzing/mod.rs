//! The properties that `fuzz/` looks for counterexamples to, on the seeds and a fixed number of mutations of them.
//!
//! The same files are the fuzz targets of cargo-fuzz, which finds its way by what the code does with an input. Here the
//! mutations are blind, few and always the same, so that every change is tried with a stable toolchain.

mod cookie_header;
mod members;
mod mutate;
#[cfg(feature = "dbsc")]
mod proof;
mod target;
mod token;

use std::collections::BTreeMap;

use mutate::Mutator;
use target::Target;

/// How many mutations of seeds are tried for each target.
const MUTATIONS: usize = 100_000;
/// The same where each takes a signature.
#[cfg(feature = "dbsc")]
const SIGNED_MUTATIONS: usize = 20_000;

/// Checks seeds and mutations, and counts their outcomes: a property that only sees refusals shows nothing.
fn run(target: &Target, mutations: usize, expected: &[(&'static str, usize)]) {
    let seeds = (target.seeds)();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in &seeds {
        *outcomes.entry((target.check)(seed)).or_default() += 1;
    }
    let mut mutator = Mutator::new(seeds, (target.words)());
    for _ in 0..mutations {
        *outcomes.entry((target.check)(mutator.next())).or_default() += 1;
    }
    for (outcome, times) in expected {
        let seen = outcomes.get(outcome).copied().unwrap_or_default();
        assert!(seen >= *times, "only {seen} inputs with outcome {outcome}: {outcomes:?}");
    }
}

#[test]
fn mutated_tokens_agree_with_plain_reading() {
    run(&token::TARGET, MUTATIONS, &[("access accepted", 500), ("refresh accepted", 100), ("refused", 30_000)]);
}

#[test]
fn mutated_cookie_headers_agree_with_plain_reading() {
    run(
        &cookie_header::TARGET,
        MUTATIONS,
        &[("session", 10_000), ("another session", 1_000), ("ambiguous", 3_000), ("only refresh", 3_000)],
    );
}

#[cfg(feature = "dbsc")]
#[test]
fn mutated_proofs_agree_with_plain_reading() {
    let expected = [("proof", 300), ("registration", 40), ("other challenge", 100), ("refused", 5_000)];
    run(&proof::TARGET, SIGNED_MUTATIONS, &expected);
}
