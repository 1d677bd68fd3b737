//! The bytes that a session takes in Redis, for users with 1, 3 and 10 sessions. Starts a redis-server of its own.

use std::{sync::Arc, time::Duration};

use peers::BoxError;
use serde::Serialize;
use tower_jwt_sessions::{
    KeyRing, SessionManager, UserId,
    clock::{Clock as _, SystemClock},
    keys::DeviceKey,
    policy::ReplayWindow,
    redis::RedisStore,
    store::{Owner, Population, RefreshAttempt, RegisterDevice, RotateSession, SessionStore as _},
};
use tower_sessions_0_14::Session;
use tower_sessions_redis_store::fred::{self, interfaces::ClientLike as _};

#[path = "../../../../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests, which use all of it")]
mod redis_server;

use redis_server::RedisServer;

/// Enough that what a server allocates from time to time does not matter.
const USERS: usize = 10_000;
const ISSUER: &str = "https://app.example";
const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const ADDRESS: &str = "203.0.113.77";
const LIFETIME: u64 = 14 * 24 * 3600;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    println!("| sessions of a user | 1 | 3 | 10 |\n|---|---|---|---|");
    let ours_with_device = async |url, users, each| ours(url, users, each, true, false).await;
    let ours_bound = async |url, users, each| ours(url, users, each, true, true).await;
    let ours_without = async |url, users, each| ours(url, users, each, false, false).await;
    print("tower-jwt-sessions, without user agent and address", &[], ours_without).await?;
    print("tower-jwt-sessions, with both", &[], ours_with_device).await?;
    // The name that every version knows.
    let packed = ["--hash-max-ziplist-value", "256"];
    print("tower-jwt-sessions, with both, `hash-max-listpack-value 256`", &packed, ours_with_device).await?;
    print("the same, bound to their devices", &packed, ours_bound).await?;
    print("JSON, a key for each session, and a set for each user", &[], json).await?;
    print("tower-sessions 0.14, user id, user agent and address; no index of users", &[], tower_sessions).await?;
    Ok(())
}

async fn print(
    name: &str,
    settings: &[&str],
    create: impl AsyncFn(String, usize, usize) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut row = format!("| {name} |");
    for each in [1, 3, 10] {
        let server = RedisServer::start_with(settings);
        let mut admin = redis::Client::open(server.url())?.get_multiplexed_async_connection().await?;
        // What a server allocates once: scripts, buffers of connections, the first entry of the log.
        create(server.url(), 100, each).await?;
        let before = used_memory(&mut admin).await?;
        create(server.url(), USERS + 100, each).await?;
        let bytes = (used_memory(&mut admin).await? - before) / (USERS * each) as u64;
        row.push_str(&format!(" {bytes} |"));
    }
    println!("{row}");
    Ok(())
}

async fn used_memory(admin: &mut redis::aio::MultiplexedConnection) -> Result<u64, BoxError> {
    // Connections that were closed are freed a moment later.
    let mut last = 0;
    loop {
        let info: String = redis::cmd("INFO").arg("memory").query_async(admin).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).ok_or("no such value")?;
        let used = used.trim().parse()?;
        if used == last {
            return Ok(used);
        }
        last = used;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ours(url: String, users: usize, each: usize, with_device: bool, bound: bool) -> Result<(), BoxError> {
    let store = RedisStore::connect(&url).await?;
    let sessions: SessionManager = SessionManager::builder()
        .access_keys(KeyRing::hs256([1; 32])?)
        .refresh_keys(KeyRing::hs256([2; 32])?)
        .issuer(ISSUER)
        .store(store.clone())
        .build()?;
    for user in from(users) {
        for _ in 0..each {
            let mut login = sessions.login(format!("user-{user}"));
            if with_device {
                login = login.user_agent(USER_AGENT).ip(ADDRESS.parse()?);
            }
            drop(login.await?);
        }
        if bound {
            bind(&store, &sessions, &format!("user-{user}")).await?;
        }
    }
    Ok(())
}

/// Does what registrations and first proofs do in the store.
async fn bind(store: &RedisStore, sessions: &SessionManager, user: &str) -> Result<(), BoxError> {
    let owner = Owner::new(Population::new(ISSUER, ISSUER), UserId::new(user)?);
    let lifetime = Duration::from_secs(LIFETIME);
    for session in sessions.list(user).await? {
        let key = DeviceKey::from_bytes([2; DeviceKey::LEN]);
        store.register_device(&RegisterDevice::new(owner.clone(), session.id, key)).await?;
        let ends_at = SystemClock.now().saturating_add(lifetime);
        let mut attempt = RefreshAttempt::new(1, ends_at, ReplayWindow::default(), lifetime);
        attempt.is_proven = true;
        store.rotate(&RotateSession::new(owner.clone(), session.id, attempt, lifetime)).await?;
    }
    Ok(())
}

/// The same information as JSON, as many write it by hand: found by its id, and with the ids of a user for a logout
/// everywhere.
async fn json(url: String, users: usize, each: usize) -> Result<(), BoxError> {
    #[derive(Serialize)]
    struct Record<'r> {
        user_id: &'r str,
        generation: u32,
        previous_generation: u32,
        epoch: u32,
        created_at: u64,
        rotated_at: u64,
        confirmed_at: u64,
        idle_end: u64,
        absolute_end: u64,
        user_agent: &'r str,
        ip: &'r str,
    }
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let now = 1_795_000_000_000;
    for user in from(users) {
        let user_id = format!("user-{user}");
        for session in 0..each {
            // A UUID.
            let id = format!("{user:08x}-0000-4000-8000-{session:012x}");
            let record = Record {
                user_id: &user_id,
                generation: 1,
                previous_generation: 0,
                epoch: 0,
                created_at: now,
                rotated_at: 0,
                confirmed_at: 0,
                idle_end: now + LIFETIME * 1_000,
                absolute_end: now + 2 * LIFETIME * 1_000,
                user_agent: USER_AGENT,
                ip: ADDRESS,
            };
            let () = redis::pipe()
                .cmd("SET")
                .arg(format!("session:{id}"))
                .arg(serde_json::to_string(&record)?)
                .arg("EX")
                .arg(LIFETIME)
                .cmd("SADD")
                .arg(format!("user-sessions:{user_id}"))
                .arg(&id)
                .cmd("EXPIRE")
                .arg(format!("user-sessions:{user_id}"))
                .arg(LIFETIME)
                .exec_async(&mut redis)
                .await?;
        }
    }
    Ok(())
}

async fn tower_sessions(url: String, users: usize, each: usize) -> Result<(), BoxError> {
    let pool = fred::clients::Pool::new(fred::types::config::Config::from_url(&url)?, None, None, None, 1)?;
    pool.connect();
    pool.wait_for_connect().await?;
    let store = Arc::new(tower_sessions_redis_store::RedisStore::new(pool.clone()));
    for user in from(users) {
        for _ in 0..each {
            let session = Session::new(None, Arc::clone(&store) as _, None);
            session.insert("user_id", format!("user-{user}")).await?;
            session.insert("user_agent", USER_AGENT).await?;
            session.insert("ip", ADDRESS).await?;
            session.save().await?;
        }
    }
    pool.quit().await?;
    Ok(())
}

/// The first hundred users are created before the measurement.
fn from(users: usize) -> std::ops::Range<usize> {
    if users == 100 { 0..100 } else { 100..users }
}
