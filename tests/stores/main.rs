//! The stores: the conformance suite on each of them, one compared with the other, and properties of Redis.

mod acl;
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
mod suite;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "redis-rustls")]
mod tls;

use std::time::Duration;

use tower_jwt_sessions::{MemoryStore, redis::RedisStore, testing::TestClock};

use crate::support::{patient::patient_store, redis_server};

/// Returns an empty store in the shared server, with the server's clock.
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

/// New sessions remove expired ones: memory is bounded by twice the number of live sessions.
#[tokio::test]
async fn memory_store_removes_expired_sessions() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let sessions = support::nodes::node(store.clone()).clock(clock.clone()).build().unwrap();
    for user in 0..1000 {
        let _cookies = sessions.login(user).await.unwrap();
    }
    // Removes nothing while all of them are live.
    for _ in 0..5 {
        let _cookies = sessions.login("alice").await.unwrap();
    }
    clock.advance(Duration::from_secs(365 * 24 * 3600));
    for _ in 0..10 {
        let _cookies = sessions.login("alice").await.unwrap();
    }
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 10, .. }");
}
