//! Metrics: whether the feed of a node is up to date, unfinished ends and skipped entries.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tower_jwt_sessions::{
    MemoryStore, SessionId,
    clock::{Clock, SystemClock, Timestamp},
    store::{EndSessions, SessionStore as _, WhichSessions},
    testing::TestClock,
};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::{
        outages::{admin, command},
        unreadable::append,
    },
    support::{
        log::Log,
        nodes::{becomes, browser, is_stale, is_up_to_date, node, redis_store, soon, soon_works},
        owner::owner,
        redis_server::RedisServer,
    },
};

const FEED: &str = "tower_jwt_sessions_revocation_feed_up_to_date";
pub(super) const UNFINISHED: &str = "tower_jwt_sessions_unfinished_ends";
const DROPPED: &str = "tower_jwt_sessions_unfinished_ends_dropped_total";
const OFFSET: &str = "tower_jwt_sessions_store_clock_offset_seconds";
const LOST_LOGS: &str = "tower_jwt_sessions_revocation_log_losses_total";
const LOST_SESSIONS: &str = "tower_jwt_sessions_lost_sessions_total";
pub(super) const SKIPPED: &str = "tower_jwt_sessions_log_entries_skipped_total";

/// The values by name.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<Mutex<HashMap<String, f64>>>);

impl Meter {
    pub(super) fn shows(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap().get(name).copied()
    }
}

/// One of them.
struct Single(Meter, String);

impl Single {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        change(self.0.0.lock().unwrap().entry(self.1.clone()).or_default());
    }
}

impl GaugeFn for Single {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }
    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }
    fn set(&self, new: f64) {
        self.change(|value| *value = new);
    }
}

impl CounterFn for Single {
    fn increment(&self, by: u64) {
        self.change(|value| *value += by as f64);
    }
    fn absolute(&self, new: u64) {
        self.change(|value| *value = new as f64);
    }
}

impl Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Single(self.clone(), key.name().to_owned())))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Single(self.clone(), key.name().to_owned())))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test]
async fn feed_state_is_metered() {
    // For this thread, on which the node runs, too.
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let shows = async |value| soon("the gauge shows the state", || meter.shows(FEED) == Some(value)).await;
    let mut server = RedisServer::start();
    let node = node(redis_store(&server.url(), "").await).build().unwrap();
    becomes(&node, is_up_to_date).await;
    shows(1.0).await;
    server.kill();
    becomes(&node, is_stale).await;
    shows(0.0).await;
    server.restart();
    becomes(&node, is_up_to_date).await;
    shows(1.0).await;
}

/// A clock that panics on demand.
#[derive(Clone, Debug, Default)]
struct Fragile(Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::Relaxed), "broken on purpose");
        SystemClock.now()
    }
}

/// The gauge shows that the follower has stopped.
#[tokio::test]
async fn panicked_follower_is_metered() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let (store, clock) = (MemoryStore::new(), Fragile::default());
    let here = node(store.clone()).clock(clock.clone()).build().unwrap();
    let _ = here.login("alice").await.unwrap();
    soon("the feed is live", || meter.shows(FEED) == Some(1.0)).await;
    Log::capture(LevelFilter::ERROR);
    clock.0.store(true, Ordering::Relaxed);
    // Makes the follower read its clock.
    let end = EndSessions::new(owner("alice"), WhichSessions::All, Duration::from_secs(60));
    assert_eq!(store.end(&end).await.unwrap().len(), 1);
    becomes(&here, is_stale).await;
    assert_eq!(meter.shows(FEED), Some(0.0));
    soon("the panic is logged", || Log::so_far().contains("revocation log follower stopped: it panicked")).await;
    let _log = Log::captured();
}

#[tokio::test]
async fn unfinished_ends_and_skipped_entries_are_metered() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let mut server = RedisServer::start();
    let here = node(redis_store(&server.url(), "").await).build().unwrap();
    becomes(&here, is_up_to_date).await;
    append(&admin(&server.url()).await, &[b"junk", b"1"]).await;
    soon("the skipped entry is counted", || meter.shows(SKIPPED) == Some(1.0)).await;

    let headers = browser(here.login("alice").await.unwrap());
    server.kill();
    becomes(&here, is_stale).await;
    here.logout(&here.verifier().present(&headers)).await.unwrap_err();
    for user in ["alice", "bob"] {
        here.end_all(user).await.unwrap_err();
        // A retry is the same end.
        here.end_all(user).await.unwrap_err();
    }
    assert_eq!((meter.shows(UNFINISHED), meter.shows(DROPPED)), (Some(3.0), None));
    for n in 0..100 {
        here.end("alice", SessionId::from_bytes([n; SessionId::LEN])).await.unwrap_err();
    }
    // A hundred ends of alice, one of bob.
    assert_eq!((meter.shows(UNFINISHED), meter.shows(DROPPED)), (Some(101.0), Some(2.0)));
    server.restart();
    soon("all ends are completed", || meter.shows(UNFINISHED) == Some(0.0)).await;
    soon_works(async || here.login("alice").await.is_ok()).await;
}

/// Nothing fails, so only these values tell.
#[tokio::test]
async fn losses_and_clocks_are_metered() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let (server, clock) = (RedisServer::start(), TestClock::new());
    let store = redis_store(&server.url(), "").await.with_clock(clock.clone());
    let own = TestClock::at(clock.now().saturating_add(Duration::from_secs(90)));
    let here = node(store).clock(own.clone()).build().unwrap();
    becomes(&here, is_up_to_date).await;
    soon("the difference is metered", || meter.shows(OFFSET) == Some(-90.0)).await;
    own.set(clock.now());
    let headers = browser(here.login("alice").await.unwrap());
    here.end_all("bob").await.unwrap();
    let _cookies = here.login("bob").await.unwrap();
    here.end_all("bob").await.unwrap();
    soon("the clocks agree", || meter.shows(OFFSET) == Some(0.0)).await;
    assert_eq!((meter.shows(LOST_LOGS), meter.shows(LOST_SESSIONS)), (None, None));
    command(&admin(&server.url()).await, "FLUSHALL", &[]).await;
    soon("the log is lost", || meter.shows(LOST_LOGS) == Some(1.0)).await;
    here.refresh(&here.verifier().present(&headers)).await.unwrap_err();
    soon("the session is lost", || meter.shows(LOST_SESSIONS) == Some(1.0)).await;
}
