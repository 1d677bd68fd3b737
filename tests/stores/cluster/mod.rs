//! Redis Cluster: sessions and log on different servers. Needs a redis-server (6.2 or later).

mod conformance;
mod crashes;
mod late;
mod nodes;
mod outages;
mod random;
pub(crate) mod scene;
pub(crate) mod servers;
mod slots;
