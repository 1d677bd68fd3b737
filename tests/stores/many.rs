//! A user with many sessions, as is possible without a limit: the cost of a step in commands of the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use tower_jwt_sessions::{
    SessionId,
    clock::{Clock as _, Timestamp},
    policy::{ReplayWindow, SessionLimit},
    redis::RedisStore,
    store::{
        CreateOutcome, EndSessions, LogPosition, NewSession, RefreshAttempt, RotateOutcome, RotateSession,
        SessionStore as _, WhichSessions,
    },
    testing::TestClock,
};

use super::redis::{Raw, id, new_session, user};
use crate::support::{
    owner::{data_key, sessions_key},
    redis_server::RedisServer,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// The sessions that one script reads, and some more that Redis may add.
const PIECE: usize = 2 * 250;
/// Commands whose cost grows with the hash.
const WHOLE: [&str; 4] = ["hgetall", "hkeys", "hvals", "hscan"];

/// A separate server, whose commands are counted.
struct Scene {
    _server: RedisServer,
    store: RedisStore,
    raw: Raw,
}

impl Scene {
    async fn new() -> Self {
        let server = RedisServer::start();
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let raw = Raw::connect(&server).await;
        Self { _server: server, store, raw }
    }

    /// Adds so many sessions of the user, copies of one.
    async fn fill(&self, sessions: usize) {
        self.raw.command("FLUSHALL", &[]).await;
        self.store.create(&new_session(0)).await.unwrap();
        let script = "local r = redis.call('HGET', KEYS[1], ARGV[2])
            for i = 2, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'filled' .. string.format('%010d', i), r) end";
        let first = "\0".repeat(16);
        self.raw.command("EVAL", &[script, "1", &sessions_key("", &user()), &sessions.to_string(), &first]).await;
        assert_eq!(self.stored().await, sessions);
    }

    /// Returns the number of records, live or not.
    async fn stored(&self) -> usize {
        let count = self.raw.command("HLEN", &[&sessions_key("", &user())]).await.as_u64().unwrap();
        count.try_into().unwrap()
    }

    /// Returns how often each command was called meanwhile, including calls by scripts.
    async fn count<T>(&self, steps: impl Future<Output = T>) -> (BTreeMap<String, u64>, T) {
        self.raw.command("CONFIG", &["RESETSTAT"]).await;
        let outcome = steps.await;
        let stats = self.raw.command("INFO", &["commandstats"]).await.as_string().unwrap();
        let counts = stats.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        });
        // The number of extended times to live depends on the milliseconds.
        let ours =
            |(name, _): &(String, u64)| !matches!(name.as_str(), "config|resetstat" | "config" | "info" | "pexpire");
        (counts.filter(ours).collect(), outcome)
    }

    /// Returns the number of revocations of each entry of the log.
    async fn entries(&self) -> Vec<usize> {
        let page = self.store.read_log(LogPosition::START, Duration::ZERO).await.unwrap();
        page.entries.iter().map(|entry| entry.revocations.len()).collect()
    }

    async fn end(&self, which: WhichSessions) -> Vec<SessionId> {
        self.store.end(&EndSessions::new(user(), which, HOUR)).await.unwrap()
    }
}

/// Returns the id that [`Scene::fill`] gives this number.
fn filled(n: usize) -> SessionId {
    SessionId::from_bytes(format!("filled{n:010}").as_bytes().try_into().unwrap())
}

fn rotation(id: SessionId) -> RotateSession {
    let attempt = RefreshAttempt::new(1, Timestamp::from_secs(1 << 33), ReplayWindow::default(), DAY);
    RotateSession::new(user(), id, attempt, HOUR)
}

async fn create(store: &RedisStore, new: &NewSession) -> Vec<SessionId> {
    match store.create(new).await.unwrap() {
        CreateOutcome::Created { ended, .. } => ended,
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn login_and_refresh_cost_is_independent_of_session_count() {
    let scene = Scene::new().await;
    let mut counts = Vec::new();
    for sessions in [10, 10_000] {
        scene.fill(sessions).await;
        let steps = async |numbers: std::ops::RangeInclusive<u8>| {
            for n in numbers {
                create(&scene.store, &new_session(n)).await;
                let rotated = scene.store.rotate(&rotation(id(n))).await.unwrap();
                assert!(matches!(rotated, RotateOutcome::Live { .. }), "{rotated:?}");
                let mut new = new_session(100 + n);
                new.replaces = Some(id(n));
                assert_eq!(create(&scene.store, &new).await, [id(n)]);
                scene.end(WhichSessions::One(id(100 + n))).await;
                // A session that the store does not have leaves a tombstone.
                scene.end(WhichSessions::Proven(id(200 + n))).await;
            }
        };
        // From here on the server has the scripts.
        steps(1..=1).await;
        let (count, ()) = scene.count(steps(2..=21)).await;
        assert!(WHOLE.iter().all(|command| !count.contains_key(*command)), "{count:?}");
        assert_eq!(count["evalsha"], 100);
        counts.push(count);
    }
    assert_eq!(counts[0], counts[1]);
}

/// All sessions are read only when there may be too many.
#[tokio::test]
async fn login_cost_is_bounded_by_limit() {
    let scene = Scene::new().await;
    scene.fill(50).await;
    let limited = |n| {
        let mut new = new_session(n);
        new.limit = Some(SessionLimit::evict(NonZeroU32::new(100).unwrap()));
        new
    };
    let (count, ()) = scene
        .count(async {
            for n in 1..=50 {
                assert!(create(&scene.store, &limited(n)).await.is_empty());
            }
        })
        .await;
    assert!(WHOLE.iter().all(|command| !count.contains_key(*command)), "{count:?}");
    let (count, ()) = scene
        .count(async {
            for n in 51..=60 {
                assert_eq!(create(&scene.store, &limited(n)).await.len(), 1);
            }
        })
        .await;
    assert_eq!((count["hgetall"], scene.stored().await), (10, 100));
}

#[tokio::test]
async fn login_without_limit_removes_expired_sessions() {
    let scene = Scene::new().await;
    let clock = TestClock::new();
    let store = scene.store.clone().with_clock(clock.clone());
    let session = |n: usize| NewSession::new(user(), filled(n), DAY, DAY, HOUR);
    for n in 0..600 {
        let mut new = session(n);
        new.device.user_agent = Some("agent".to_owned());
        create(&store, &new).await;
    }
    clock.advance(DAY);
    for n in 600..1_200 {
        create(&store, &session(n)).await;
    }
    let (stored, live) = (scene.stored().await, 600);
    assert!((live..live + 300).contains(&stored), "{} of 600 expired sessions are left", stored - live);
    let agents = scene.raw.command("HLEN", &[&data_key("", &user())]).await.as_u64().unwrap();
    assert_eq!(usize::try_from(agents).unwrap(), stored - live, "with their data");
    assert_eq!(store.list(&user()).await.unwrap().sessions.len(), live);
    assert!(scene.entries().await.is_empty(), "the end of an expired session is published");
}

#[tokio::test]
async fn each_script_handles_part_of_many_sessions() {
    const SESSIONS: usize = 3_000;
    let scene = Scene::new().await;
    scene.fill(SESSIONS).await;
    let scripts = u64::try_from(SESSIONS / PIECE).unwrap();
    let check = |count: &BTreeMap<String, u64>| {
        assert!(!count.contains_key("hgetall"), "{count:?}");
        assert!(count["hscan"] >= scripts, "{count:?}");
        assert!(count["evalsha"] >= count["hscan"], "more than one in a script: {count:?}");
    };
    let (count, list) = scene.count(scene.store.list(&user())).await;
    check(&count);
    let listed: BTreeSet<SessionId> = list.unwrap().sessions.iter().map(|session| session.id).collect();
    assert_eq!(listed.len(), SESSIONS);

    let (count, raised) = scene.count(scene.store.expire_access(&user(), HOUR)).await;
    check(&count);
    assert_eq!(raised.unwrap().iter().filter(|(_, epoch)| *epoch == 1).count(), SESSIONS);
    let (count, ended) = scene.count(scene.end(WhichSessions::Others(id(0)))).await;
    check(&count);
    assert_eq!((ended.len(), scene.stored().await), (SESSIONS - 1, 1));
    let entries = scene.entries().await;
    assert!(entries.iter().all(|entry| *entry <= PIECE), "{entries:?}");
    assert_eq!(entries.iter().sum::<usize>(), 2 * SESSIONS - 1, "not each end is published once");
}

/// The mark is written first: sessions that begin after it do not end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_begun_during_end_of_many_survive() {
    let scene = Scene::new().await;
    scene.fill(10_000).await;
    let store = scene.store.clone();
    let is_over = AtomicBool::new(false);
    let logins = async {
        let (mut begun, mut n) = (Vec::new(), 20_000);
        while !is_over.load(SeqCst) {
            n += 1;
            let new = NewSession::new(user(), filled(n), DAY, DAY, HOUR);
            match store.create(&new).await.unwrap() {
                CreateOutcome::Created { record, .. } => begun.push((filled(n), record)),
                refused => panic!("{refused:?}"),
            }
        }
        begun
    };
    let ending = async {
        let ended = scene.end(WhichSessions::All).await;
        is_over.store(true, SeqCst);
        ended
    };
    let (begun, ended) = tokio::join!(logins, ending);
    let ended: BTreeSet<SessionId> = ended.into_iter().collect();
    let live: BTreeSet<SessionId> =
        scene.store.list(&user()).await.unwrap().sessions.iter().map(|session| session.id).collect();
    let mark = begun.iter().filter_map(|(_, record)| record.access_expired_at).next().expect("logins after the mark");
    for (session, record) in &begun {
        assert_ne!(live.contains(session), ended.contains(session));
        if record.created_at != mark {
            assert_eq!(live.contains(session), record.created_at > mark, "{record:?}, and the mark at {mark:?}");
        }
    }
    assert!(!live.is_empty() && (2..=10_000).all(|n| ended.contains(&filled(n))));
}

/// The clock was set back meanwhile: sessions whose records are from the future began earlier.
#[tokio::test]
async fn many_sessions_end_after_clock_set_back() {
    let scene = Scene::new().await;
    let clock = TestClock::new();
    let store = scene.store.clone().with_clock(clock.clone());
    for n in 0..1_000 {
        create(&store, &NewSession::new(user(), filled(n), DAY, DAY, HOUR)).await;
    }
    clock.set(clock.now().saturating_sub(HOUR));
    let ended = store.end(&EndSessions::new(user(), WhichSessions::All, HOUR)).await.unwrap();
    assert_eq!((ended.len(), scene.stored().await), (1_000, 0));
}

#[tokio::test]
async fn partly_failed_end_of_many_is_completed_by_retry() {
    const SESSIONS: usize = 2_000;
    let scene = Scene::new().await;
    scene.fill(SESSIONS).await;
    let key = sessions_key("", &user());
    // One in the middle, in the order of the server, cannot be read.
    let page = scene.raw.command("HSCAN", &[&key, "0", "COUNT", "1000"]).await.into_array();
    let cursor = page[0].as_string().unwrap();
    let page = scene.raw.command("HSCAN", &[&key, &cursor, "COUNT", "10"]).await.into_array();
    let fields = page[1].clone().into_array().into_iter().step_by(2).filter_map(|field| field.as_string());
    let field = fields.into_iter().find(|field| field.starts_with("filled")).unwrap();
    let others = EndSessions::new(user(), WhichSessions::Others(id(0)), HOUR);
    scene.raw.command("HSET", &[&key, &field, "unreadable"]).await;
    scene.store.end(&others).await.unwrap_err();
    let left = scene.stored().await;
    assert!((1..SESSIONS).contains(&left), "{left} are left");
    assert_eq!(scene.entries().await.iter().sum::<usize>(), SESSIONS - left, "an end is not published");
    scene.raw.command("HDEL", &[&key, &field]).await;
    assert_eq!(scene.end(WhichSessions::Others(id(0))).await.len(), left - 2);
    assert_eq!(scene.stored().await, 1);
    assert_eq!(scene.entries().await.iter().sum::<usize>(), SESSIONS - 2, "each once");
}
