//! Keys: how they are read, what is refused, how they change while serving, and services that only verify.

mod cached;
mod der;
mod jwk;
mod jwks;
mod swap;
mod swap_nodes;
mod types;
mod verify_only;

#[path = "support.rs"]
mod support;
