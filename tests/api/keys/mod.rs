//! Keys: their encodings, which are rejected, rotation on running nodes, and services that only verify.

mod der;
mod jwk;
mod jwks;
mod malleability;
mod rotation;
mod rotation_nodes;
mod signature_cache;
pub(crate) mod support;
mod types;
mod verify_only;
mod weak_keys;
mod white_space;
