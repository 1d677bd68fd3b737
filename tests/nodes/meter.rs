//! What operators may watch: whether the feed of a node is live.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tower_jwt_sessions::{
    Clock, MemoryStore, SystemClock, Timestamp,
    store::{EndSessions, SessionStore as _, WhichSessions},
};

use crate::{
    owner::owner,
    redis_server::RedisServer,
    support::{becomes, is_live, is_stale, node, redis_store, soon},
};

/// The last value of the one gauge that there is.
#[derive(Clone, Default)]
struct Meter(Arc<Mutex<Option<f64>>>);

impl GaugeFn for Meter {
    fn increment(&self, _: f64) {}
    fn decrement(&self, _: f64) {}
    fn set(&self, value: f64) {
        *self.0.lock().unwrap() = Some(value);
    }
}

impl Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        assert_eq!(key.name(), "tower_jwt_sessions_feed_live");
        Gauge::from_arc(Arc::new(self.clone()))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn the_feed_is_metered() {
    // For this thread, on which the node runs too.
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let shows = async |value| soon("the gauge shows it", || *meter.0.lock().unwrap() == Some(value)).await;
    let mut server = RedisServer::start();
    let node = node(redis_store(&server.url(), "").await).build().unwrap();
    becomes(&node, is_live).await;
    shows(1.0).await;
    server.kill();
    becomes(&node, is_stale).await;
    shows(0.0).await;
    server.restart();
    becomes(&node, is_live).await;
    shows(1.0).await;
}

/// Panics when it is told to.
#[derive(Clone, Debug, Default)]
struct Fragile(Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::Relaxed), "broken on purpose");
        SystemClock.now()
    }
}

/// Whoever watches the gauge alone has to hear of that too.
#[tokio::test]
async fn a_follower_that_panics_is_metered() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let (store, clock) = (MemoryStore::new(), Fragile::default());
    let here = node(store.clone()).clock(clock.clone()).build().unwrap();
    let _ = here.login("alice").await.unwrap();
    soon("it is live", || *meter.0.lock().unwrap() == Some(1.0)).await;
    clock.0.store(true, Ordering::Relaxed);
    // Makes the follower look at its clock.
    let end = EndSessions::new(owner("alice"), WhichSessions::All, Duration::from_secs(60));
    assert_eq!(store.end(&end).await.unwrap().len(), 1);
    becomes(&here, is_stale).await;
    assert_eq!(*meter.0.lock().unwrap(), Some(0.0));
}
