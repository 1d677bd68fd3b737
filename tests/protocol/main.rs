//! The protocol at the level of the manager, with a clock and a store whose time and failures the tests set.

mod changed;
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
