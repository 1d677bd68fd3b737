//! The rows of `docs/faults.md`.

mod clocks;
mod cluster;
mod network;
mod replicas;
mod sentinel;
mod server;
mod settings;
mod values;
