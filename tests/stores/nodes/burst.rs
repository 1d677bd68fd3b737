//! A hundred thousand sessions that end at once.

#![allow(clippy::print_stdout, reason = "what it measures belongs to its output")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value},
};
use futures_util::{StreamExt as _, stream};
use http::HeaderMap;
use tower_jwt_sessions::{
    MemoryStore, SessionId, SessionManager,
    clock::{Clock as _, SystemClock},
    store::SessionRecord,
};

use crate::{
    nodes::outages::{admin, command},
    support::{
        nodes::{accepts, browser, node},
        owner::{owner, sessions_key},
        patient::patient_store,
        redis_server::RedisServer,
    },
};

const SESSIONS: usize = 100_000;
const USERS: usize = 1_000;
const AT_ONCE: usize = 64;
/// Seconds at most on an idle machine; how long does not matter here, only that nothing is missing.
const ARRIVES_WITHIN: Duration = Duration::from_secs(300);

/// A client that sends requests meanwhile. The task returns their number and the longest duration.
struct Visitor {
    stop: Stop,
    task: tokio::task::JoinHandle<(u64, Duration)>,
}

/// Stops the client also when the test fails, since the runtime waits for it.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Visitor {
    fn of(node: &SessionManager, headers: HeaderMap) -> Self {
        let (node, stop) = (node.clone(), Arc::<AtomicBool>::default());
        let task = tokio::task::spawn_blocking({
            let stop = Arc::clone(&stop);
            move || {
                let (mut requests, mut longest) = (0, Duration::ZERO);
                while !stop.load(Relaxed) {
                    let asked = Instant::now();
                    assert!(accepts(&node, &headers), "a live session is refused");
                    longest = longest.max(asked.elapsed());
                    requests += 1;
                    // Yields the processor.
                    std::thread::sleep(Duration::from_millis(1));
                }
                (requests, longest)
            }
        });
        Self { stop: Stop(stop), task }
    }

    async fn stop(self) -> (u64, Duration) {
        drop(self.stop);
        self.task.await.unwrap()
    }
}

/// Writes sessions directly to the store, which is faster than a hundred thousand logins.
async fn put(redis: &Client, user: &str, sessions: &[SessionId]) {
    let hour = Duration::from_secs(3600);
    let record = SessionRecord::begin(SystemClock.now(), hour, hour).to_bytes();
    let key = sessions_key("", &owner(user));
    let fields = sessions.iter().flat_map(|id| [Value::from(&id.as_bytes()[..]), Value::from(&record[..])]);
    let args: Vec<Value> = [Value::from(key)].into_iter().chain(fields).collect();
    let _count: Value =
        redis.custom(CustomCommand::new_static("HSET", ClusterHash::FirstKey, false), args).await.unwrap();
}

async fn patient_node(server: &RedisServer) -> SessionManager {
    let node = node(patient_store(&server.url(), "").await).build().unwrap();
    node.revocation_feed().caught_up().await;
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn burst_of_revocations_arrives_completely() {
    let server = RedisServer::start();
    let redis = admin(&server.url()).await;
    let (here, there) = (patient_node(&server).await, patient_node(&server).await);
    // With the same keys, and another store.
    let logins = node(MemoryStore::new()).build().unwrap();
    let (mut browsers, mut users) = (Vec::with_capacity(SESSIONS), Vec::new());
    for user in 0..USERS {
        let user = format!("user-{user}");
        let mut ids = Vec::new();
        for _ in 0..SESSIONS / USERS {
            let headers = browser(logins.login(&user).await.unwrap());
            ids.push(logins.verifier().verify(&headers).unwrap().id());
            browsers.push(headers);
        }
        put(&redis, &user, &ids).await;
        users.push(user);
    }
    let visitor = Visitor::of(&there, browser(logins.login("alice").await.unwrap()));
    assert!(browsers.iter().step_by(1_000).all(|headers| accepts(&there, headers)));

    let began = Instant::now();
    // A tenth of the users end their sessions one by one, the others all at once.
    let at_once = &users[USERS / 10..];
    let logouts = stream::iter(&browsers[..SESSIONS / 10]).map(async |headers| {
        let _removal = here.logout(&here.verifier().present(headers)).await.unwrap();
    });
    let ends = stream::iter(at_once).map(async |user| {
        assert_eq!(here.end_all(user).await.unwrap(), SESSIONS / USERS);
    });
    tokio::join!(logouts.buffer_unordered(AT_ONCE).collect::<()>(), ends.buffer_unordered(AT_ONCE).collect::<()>());
    let published = began.elapsed();
    // The log has an order, so all ends have arrived with one that is published after them. To look at every session
    // again and again would take a busy machine longer than the ends.
    let last = browser(here.login("last").await.unwrap());
    here.end_all("last").await.unwrap();
    let arrival = async {
        while accepts(&there, &last) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(ARRIVES_WITHIN, arrival).await.expect("the ends arrive");
    let arrived = began.elapsed();
    assert!(browsers.iter().all(|headers| !accepts(&there, headers)), "an end has been skipped");

    let (requests, longest) = visitor.stop().await;
    let entries = command(&redis, "XLEN", &["sessions:log"]).await.as_u64().unwrap();
    let bytes = command(&redis, "MEMORY", &["USAGE", "sessions:log", "SAMPLES", "0"]).await.as_u64().unwrap();
    println!(
        "to end {SESSIONS} sessions took {published:.2?}, all were refused elsewhere after {arrived:.2?}; meanwhile \
         {requests} requests there, the longest {longest:.2?}; the log has {bytes} bytes"
    );
    assert_eq!(entries, (SESSIONS / 10 + at_once.len() + 1) as u64);
    assert!(bytes < 50 * SESSIONS as u64, "{bytes}");
    assert!(requests > 0, "no request was served meanwhile");

    // A node that starts now reads all ends before it serves.
    let late = patient_node(&server).await;
    assert!(browsers.iter().all(|headers| !accepts(&late, headers)));
}
