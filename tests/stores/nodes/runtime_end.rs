//! Runtimes that end before their manager: nothing failed, so nothing is logged.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::runtime::{Builder, Runtime};
use tower_jwt_sessions::{MemoryStore, revocation::FeedStatus};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::node_on,
    support::{log::Log, nodes::node, redis_server::RedisServer},
};

/// Returns a runtime of two threads, and what they will have logged when it has ended.
fn logged_runtime() -> (Runtime, Arc<Mutex<String>>) {
    let logged = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&logged);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| Log::capture(LevelFilter::WARN))
        .on_thread_stop(move || kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&Log::captured()))
        .build()
        .unwrap();
    (runtime, logged)
}

/// The tasks of the client end first or last, as it happens.
#[test]
fn runtime_that_ends_before_its_manager_logs_nothing() {
    let server = RedisServer::start();
    for _ in 0..100 {
        let (runtime, logged) = logged_runtime();
        let node = runtime.block_on(node_on(&server));
        drop(runtime);
        assert_ne!(node.revocation_feed().status(), FeedStatus::UpToDate, "the log is no longer read");
        let logged = logged.lock().unwrap().clone();
        assert_eq!(logged, "");
    }
}

/// The panic has its own message; it is not one of the task that follows the log.
#[test]
fn panic_of_the_program_is_none_of_the_follower() {
    for server in [None, Some(RedisServer::start())] {
        Log::capture(LevelFilter::WARN);
        let program = || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let _node = match &server {
                Some(server) => runtime.block_on(node_on(server)),
                None => runtime.block_on(async { node(MemoryStore::new()).build().unwrap() }),
            };
            // Dropped during the panic, before the node.
            let _runtime = runtime;
            std::panic::resume_unwind(Box::new("on purpose"));
        };
        let _panic = catch_unwind(AssertUnwindSafe(program)).unwrap_err();
        assert_eq!(Log::captured(), "");
    }
}
