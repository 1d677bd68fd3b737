//! The rows of `docs/faults.md`.

mod clocks;
mod cluster;
mod network;
mod replicas;
mod server;
mod settings;
mod values;
