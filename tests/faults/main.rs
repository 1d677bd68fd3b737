//! The fault matrix: two nodes on one store, under load of browsers, while something breaks. `docs/faults.md` has a row
//! for each test.
//!
//! A fault lasts a second or so; with `FAULTS=long`, which `scripts/test-faults` sets, ten, and the bounds are those of
//! an idle machine.

mod ledger;
mod network;
mod report;
mod scene;
mod server;
#[path = "../support/mod.rs"]
mod support;
mod visitor;
