//! The stores: the conformance suite on each of them, one against the other, and what is special about Redis.

mod cluster;
mod expire_many;
mod forbidden;
mod log;
mod many;
mod model;
mod nodes;
mod outage;
mod redis;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "redis-rustls")]
mod tls;

use tower_jwt_sessions::{MemoryStore, redis::RedisStore, testing::TestClock};

use crate::support::{patient::patient_store, redis_server};

/// An empty store in the shared server, by the server's clock.
async fn redis_store() -> RedisStore {
    let (server, prefix) = redis_server::shared();
    patient_store(&server.url(), &prefix).await
}

async fn memory_store(clock: TestClock) -> MemoryStore {
    MemoryStore::with_clock(clock)
}

async fn redis_store_at(clock: TestClock) -> RedisStore {
    redis_store().await.with_clock(clock)
}

macro_rules! conformance {
    ($($case:ident,)*) => {
        mod memory_store_conforms { $(
            #[tokio::test]
            async fn $case() {
                let clock = super::TestClock::new();
                tower_jwt_sessions::testing::conformance::$case(super::memory_store(clock.clone()).await, clock).await;
            }
        )* }

        mod redis_store_conforms { $(
            #[tokio::test]
            async fn $case() {
                let clock = super::TestClock::new();
                tower_jwt_sessions::testing::conformance::$case(super::redis_store_at(clock.clone()).await, clock).await;
            }
        )* }
    };
}

tower_jwt_sessions::for_each_store_case!(conformance);

#[tokio::test]
async fn conformance_run_passes_as_a_whole() {
    tower_jwt_sessions::testing::conformance::run(memory_store).await;
}
