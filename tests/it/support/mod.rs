//! What the tests share.

pub(crate) mod redis_server;
