//! The protocol at the level of the manager, on a clock that stands still and a store that fails when told to.

mod ended;
mod expire_access;
mod gate;
mod honest;
mod model;
mod notes;
mod pace;
mod pairs;
mod store;
mod store_checked;
#[path = "../support/mod.rs"]
mod support;
mod theft;
#[cfg(feature = "router")]
mod upgrade;
mod world;
