//! The fault matrix: two nodes on one store, under load of browsers, while something breaks. `docs/faults.md` has a row
//! for each test.
//!
//! A fault lasts a second or so; with `FAULTS=long`, which `scripts/test-faults` sets, ten, and the bounds are those of
//! an idle machine.

#[allow(dead_code, reason = "the tests of the stores use the rest")]
#[path = "../stores/cluster/servers.rs"]
mod cluster_servers;
mod ledger;
mod matrix;
mod report;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod visitor;
