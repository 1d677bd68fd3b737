//! What the tests share.

pub(crate) mod folder;
pub(crate) mod redis_server;
