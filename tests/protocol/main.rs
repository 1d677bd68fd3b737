//! The protocol at the level of the manager, on a clock that stands still and a store that fails when told to.

mod claims_source;
mod ended;
mod expire_access;
mod feed;
mod honest;
mod model;
mod notes;
mod pace;
mod pairs;
mod store_checked;
#[path = "../support/mod.rs"]
mod support;
mod theft;
#[cfg(feature = "router")]
mod upgrade;
mod world;
