//! The time from the end of a session on one node until another node refuses it. Both use one redis-server over
//! loopback.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    thread,
    time::{Duration, Instant},
};

use axum_core::response::IntoResponse as _;
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{
    KeyRing, SessionCookies, SessionManager,
    redis::RedisStore,
    store::{LogPosition, SessionStore as _},
};

#[path = "../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests, which use all of it")]
mod redis_server;

const REVOCATIONS: usize = 1_000;
/// The operating system adds some 50 µs.
const RESOLUTION: Duration = Duration::from_micros(10);

async fn node(url: &str) -> SessionManager {
    let node = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("a long secret"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
        .issuer("https://app.test")
        .session_limit(None)
        .store(RedisStore::connect(url).await.expect("the server runs"))
        .build()
        .expect("a configuration that works");
    node.revocation_feed().caught_up().await;
    node
}

fn browser(cookies: SessionCookies) -> HeaderMap {
    let response = cookies.into_response();
    let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
    let value = HeaderValue::from_str(&pairs.join("; ")).expect("cookies are ASCII");
    HeaderMap::from_iter([(header::COOKIE, value)])
}

fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name}: p50 {:.2?}, p99 {:.2?}, longest {:.2?}", at(50), at(99), at(100));
}

#[tokio::main]
async fn main() {
    let server = redis_server::RedisServer::start();
    let (here, there) = (node(&server.url()).await, node(&server.url()).await);
    let store = RedisStore::connect(&server.url()).await.expect("the server runs");

    let (mut ends, mut from_call, mut from_response, mut reads) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for user in 0..REVOCATIONS {
        let headers = browser(here.login(user).await.expect("a login"));
        assert!(there.verifier().verify(&headers).is_ok(), "the session is revoked too early");
        let presented = here.verifier().present(&headers);
        // Repeated by a thread that yields the processor to Redis in between.
        let watcher = tokio::task::spawn_blocking({
            let verifier = there.verifier().clone();
            move || {
                while verifier.verify(&headers).is_ok() {
                    thread::sleep(RESOLUTION);
                }
                Instant::now()
            }
        });
        let began = Instant::now();
        let cookies = here.logout(&presented).await.expect("a logout");
        let responded = Instant::now();
        let refused = watcher.await.expect("the session is refused");
        drop(cookies);
        ends.push(responded - began);
        from_call.push(refused - began);
        from_response.push(refused.saturating_duration_since(responded));

        let began = Instant::now();
        let page = store.read_log(LogPosition::START, Duration::ZERO).await.expect("the log");
        if user < 100 {
            assert!(!page.entries.is_empty());
            reads.push(began.elapsed());
        }
    }
    println!("{REVOCATIONS} revocations, two nodes, one redis-server on loopback");
    print("from the call of logout until the other node refuses", from_call);
    print("from the response of logout until the other node refuses", from_response);
    print("logout itself", ends);
    print("for comparison, a read of the log (XINFO and XREAD together)", reads);
}
