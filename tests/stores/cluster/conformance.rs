//! The suite that every store must pass.

use std::{cell::Cell, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy},
};
use tower_jwt_sessions::{
    redis::RedisStore,
    store::SessionStore as _,
    testing::{TestClock, conformance},
};

use crate::{
    cluster::{scene::id, servers},
    support::{nodes::soon_works, owner::owner, patient::patient_store},
};

async fn cluster_store(clock: TestClock) -> RedisStore {
    let (servers, prefix) = servers::shared().await;
    patient_store(&servers.url(), &prefix).await.with_clock(clock)
}

macro_rules! conformance {
    ($($case:ident,)*) => { $(
        #[tokio::test]
        async fn $case() {
            let clock = TestClock::new();
            conformance::$case(cluster_store(clock.clone()).await, clock).await;
        }
    )* };
}

tower_jwt_sessions::for_each_store_case!(conformance);

#[tokio::test]
async fn cluster_store_works_with_application_client() {
    let (servers, prefix) = servers::shared().await;
    let performance = PerformanceConfig { default_command_timeout: Duration::from_secs(60), ..Default::default() };
    let connection = ConnectionConfig { max_command_attempts: 1, ..Default::default() };
    let policy = ReconnectPolicy::new_exponential(0, 50, 1000, 2);
    let config = Config::from_url(&servers.url()).unwrap();
    let client = Client::new(config, Some(performance), Some(connection), Some(policy));
    client.init().await.unwrap();
    let cases = Cell::new(0);
    conformance::run(async |clock| {
        cases.set(cases.get() + 1);
        let store = RedisStore::new(client.clone()).unwrap();
        // The first step begins to connect, which a busy machine may not do within that step.
        let is_connected = || format!("{store:?}").contains("connected: true");
        soon_works(async || store.find(&owner("user"), id(1)).await.is_ok() && is_connected()).await;
        store.key_prefix(format!("{prefix}{}:", cases.get())).unwrap().with_clock(clock)
    })
    .await;
}
