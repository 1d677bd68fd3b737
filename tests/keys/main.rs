//! Keys: how they are read, what is refused, how they change while serving, and services that only verify.

mod blanks;
mod cached;
mod der;
mod jwk;
mod jwks;
mod spelling;
mod swap;
mod swap_nodes;
mod types;
mod verify_only;
mod weak;

#[path = "../support/log.rs"]
mod log;
#[path = "support.rs"]
mod support;
