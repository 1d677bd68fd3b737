//! Logins and refreshes with many tasks, a user with many sessions, a million sessions, and how long a node needs to
//! read a long revocation log. One redis-server on loopback.

#![allow(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum_core::response::IntoResponse as _;
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use http::{HeaderMap, HeaderValue, header};
use tower_jwt_sessions::{KeyRing, SessionCookies, SessionManager, redis::RedisStore};

#[path = "../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests, which use all of it")]
mod redis_server;

use redis_server::RedisServer;

const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

#[tokio::main]
async fn main() {
    // First, so that the memory of this process is that of the node.
    catching_up().await;
    many_tasks().await;
    one_user_with_many_sessions().await;
    million_sessions().await;
}

async fn node(server: &RedisServer) -> SessionManager {
    let node = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32]).expect("a long secret"))
        .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
        .issuer("https://app.test")
        .session_limit(None)
        .store(RedisStore::connect(&server.url()).await.expect("the server runs"))
        .build()
        .expect("a configuration that works");
    node.revocation_feed().caught_up().await;
    node
}

async fn login(sessions: &SessionManager, user: &str) -> SessionCookies {
    sessions.login(user).user_agent(USER_AGENT).await.expect("a login")
}

async fn refresh(sessions: &SessionManager, headers: &HeaderMap) {
    let presented = sessions.verifier().present(headers);
    let _cookies = sessions.refresh(&presented).await.expect("a refresh");
}

fn browser(cookies: SessionCookies) -> HeaderMap {
    let response = cookies.into_response();
    let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&pairs.join("; ")).expect("cookies are ASCII"))])
}

/// Runs a step for each number below `count` in so many tasks. Returns the sorted durations, and that of all.
async fn run<F: Future<Output = ()> + Send + 'static>(
    tasks: usize,
    count: usize,
    step: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> (Vec<Duration>, Duration) {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (next, step) = (Arc::clone(&next), step.clone());
        running.spawn(async move {
            let mut durations = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return durations;
                }
                let begun = Instant::now();
                step(n).await;
                durations.push(begun.elapsed());
            }
        });
    }
    let mut durations = running.join_all().await.concat();
    durations.sort_unstable();
    (durations, begun.elapsed())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}

async fn many_tasks() {
    println!(
        "| tasks | logins per second | p50 | p99 | refreshes per second | p50 | p99 |\n|---|---|---|---|---|---|---|"
    );
    let server = RedisServer::start();
    let sessions = node(&server).await;
    for tasks in [1, 16, 64, 256] {
        let count = if tasks == 1 { 5_000 } else { 40_000 };
        let browsers = Arc::new(Mutex::new(Vec::with_capacity(count)));
        let (logins, logged_in) = run(tasks, count, {
            let (sessions, browsers) = (sessions.clone(), Arc::clone(&browsers));
            move |n| {
                let (sessions, browsers) = (sessions.clone(), Arc::clone(&browsers));
                async move {
                    let headers = browser(login(&sessions, &format!("{tasks}-{n}")).await);
                    browsers.lock().unwrap_or_else(PoisonError::into_inner).push(headers);
                }
            }
        })
        .await;
        let browsers: Arc<[HeaderMap]> =
            std::mem::take(&mut *browsers.lock().unwrap_or_else(PoisonError::into_inner)).into();
        let (refreshes, refreshed) = run(tasks, count, {
            let sessions = sessions.clone();
            move |n| {
                let (sessions, browsers) = (sessions.clone(), Arc::clone(&browsers));
                async move { refresh(&sessions, &browsers[n]).await }
            }
        })
        .await;
        let rate = |time: Duration| (count as f64 / time.as_secs_f64()).round();
        println!(
            "| {tasks} | {} | {:.2?} | {:.2?} | {} | {:.2?} | {:.2?} |",
            rate(logged_in),
            percentile(&logins, 50),
            percentile(&logins, 99),
            rate(refreshed),
            percentile(&refreshes, 50),
            percentile(&refreshes, 99),
        );
    }
}

/// Whether others notice what one user does. No limit of sessions.
async fn one_user_with_many_sessions() {
    println!(
        "\n| sessions of one user | login | refresh | list | end all | p99 of others before, during list, during end \
         |\n|---|---|---|---|---|---|"
    );
    let server = RedisServer::start();
    let sessions = node(&server).await;
    for count in [10, 1_000, 100_000] {
        let user = format!("user-{count}");
        let _ = run(64, count, {
            let (sessions, user) = (sessions.clone(), user.clone());
            move |_| {
                let (sessions, user) = (sessions.clone(), user.clone());
                async move { drop(login(&sessions, &user).await) }
            }
        })
        .await;
        let begun = Instant::now();
        let headers = browser(login(&sessions, &user).await);
        let login_time = begun.elapsed();
        let begun = Instant::now();
        refresh(&sessions, &headers).await;
        let refresh_time = begun.elapsed();
        let (_, _, before) = beside_others(&sessions, tokio::time::sleep(Duration::from_millis(300))).await;
        let (listed, list_time, during_list) = beside_others(&sessions, sessions.list(user.as_str())).await;
        assert_eq!(listed.expect("a list").len(), count + 1);
        let (ended, end_time, during_end) = beside_others(&sessions, sessions.end_all(user.as_str())).await;
        assert_eq!(ended.expect("an end"), count + 1);
        println!(
            "| {count} | {login_time:.2?} | {refresh_time:.2?} | {list_time:.2?} | {end_time:.2?} | {before:.2?}, \
             {during_list:.2?}, {during_end:.2?} |"
        );
    }
}

/// Runs something while eight others log in. Returns its result, its duration and the p99 of their logins.
async fn beside_others<T>(sessions: &SessionManager, work: impl Future<Output = T>) -> (T, Duration, Duration) {
    let is_over = Arc::new(AtomicBool::new(false));
    let mut others = tokio::task::JoinSet::new();
    for other in 0..8 {
        let (sessions, is_over) = (sessions.clone(), Arc::clone(&is_over));
        others.spawn(async move {
            let mut durations = Vec::new();
            while !is_over.load(Ordering::Relaxed) || durations.len() < 100 {
                let begun = Instant::now();
                drop(login(&sessions, &format!("other-{other}-{}", durations.len())).await);
                durations.push(begun.elapsed());
            }
            durations
        });
    }
    let begun = Instant::now();
    let result = work.await;
    let time = begun.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let mut durations = others.join_all().await.concat();
    durations.sort_unstable();
    (result, time, percentile(&durations, 99))
}

async fn million_sessions() {
    const SESSIONS: usize = 1_000_000;
    let server = RedisServer::start();
    let (sessions, admin) = (node(&server).await, admin(&server).await);
    let empty = used_memory(&admin).await;
    let (_, time) = run(64, SESSIONS, {
        let sessions = sessions.clone();
        move |n| {
            let sessions = sessions.clone();
            async move { drop(login(&sessions, &format!("user-{n}")).await) }
        }
    })
    .await;
    let bytes = (used_memory(&admin).await - empty) / SESSIONS as u64;
    let headers = browser(login(&sessions, "one-more").await);
    let (refreshes, _) = run(1, 2_000, move |_| {
        let (sessions, headers) = (sessions.clone(), headers.clone());
        async move { refresh(&sessions, &headers).await }
    })
    .await;
    println!(
        "\n{SESSIONS} sessions of as many users: logged in within {:.0?}, {bytes} bytes each in Redis, a refresh then takes \
         p50 {:.2?}, p99 {:.2?}",
        time,
        percentile(&refreshes, 50),
        percentile(&refreshes, 99)
    );
}

async fn catching_up() {
    println!(
        "\n| entries of the log | bytes each in Redis | a new node catches up within | its memory grows by |\n|---|---|---|---|"
    );
    for entries in [100_000_u64, 1_000_000] {
        let server = RedisServer::start();
        let admin = admin(&server).await;
        let empty = used_memory(&admin).await;
        for batch in 0..entries / 1_000 {
            let pipeline = admin.pipeline();
            for _ in 0..1_000 {
                let halves = [random(), random()].map(u64::to_be_bytes);
                let revocation = [halves.as_flattened(), &[0xff; 4]].concat();
                let args: Vec<Value> = vec![
                    "sessions:log".into(),
                    "*".into(),
                    "r".into(),
                    revocation.as_slice().into(),
                    "k".into(),
                    "1020000".into(),
                ];
                let () = pipeline.custom(command("XADD"), args).await.expect("a command that is queued");
            }
            let _: Vec<Value> = pipeline.all().await.unwrap_or_else(|error| panic!("batch {batch}: {error}"));
        }
        let bytes = (used_memory(&admin).await - empty) / entries;
        let before = resident();
        let begun = Instant::now();
        let node = node(&server).await;
        let time = begun.elapsed();
        let grown = resident().saturating_sub(before) / 1_000_000;
        println!("| {entries} | {bytes} | {time:.2?} | {grown} MB |");
        drop(node);
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

async fn admin(server: &RedisServer) -> Client {
    let client = Client::new(Config::from_url(&server.url()).expect("a URL"), None, None, None);
    client.init().await.expect("the server runs");
    client
}

fn command(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, ClusterHash::FirstKey, false)
}

async fn used_memory(admin: &Client) -> u64 {
    let info: String = admin.custom(command("INFO"), vec!["memory"]).await.expect("the state of the memory");
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|used| used.trim().parse().ok()).expect("the used memory")
}

/// The resident memory of this process in bytes, on Linux.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() * 1_024
}
