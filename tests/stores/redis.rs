//! Properties of the Redis store: keys, times to live, the log, and unreadable data.

use std::{num::NonZeroU32, time::Duration};

use fred::{
    clients::Client,
    interfaces::{ClientLike as _, HashesInterface as _},
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use tower_jwt_sessions::{
    SessionId, UserId,
    clock::{Clock as _, SystemClock, Timestamp},
    policy::{ReplayWindow, SessionLimit},
    redis::RedisStore,
    store::{
        CreateOutcome, EndSessions, LogPosition, NewSession, Owner, PutData, PutOutcome, RefreshAttempt, Revocation,
        RotateOutcome, RotateSession, Rotation, SessionRecord, SessionStore as _, StoreError, WhichSessions,
    },
    testing::TestClock,
};

use super::redis_store;
use crate::support::{
    folder::Folder,
    owner::{data_key, owner, sessions_key},
    patient::patient_store,
    redis_server::{self, RedisServer},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// A connection for reading stored data directly.
pub(crate) struct Raw(pub(crate) Client);

impl Raw {
    pub(crate) async fn connect(server: &RedisServer) -> Self {
        let client = Client::new(Config::from_url(&server.url()).expect("a URL"), None, None, None);
        client.init().await.expect("the server runs");
        Self(client)
    }

    pub(crate) async fn command(&self, command: &'static str, args: &[&str]) -> Value {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        self.0.custom(command, args.to_vec()).await.expect("the command works")
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.command("KEYS", &[&format!("{prefix}*")]).await.into_array();
        keys.iter().filter_map(Value::as_string).collect()
    }

    /// Asserts that every key expires, and that every hash of sessions is packed.
    pub(crate) async fn check_keys(&self, prefix: &str) {
        for key in self.keys(prefix).await {
            let ttl = self.command("PTTL", &[&key]).await.as_i64();
            assert!(ttl.is_some_and(|ttl| ttl > 0), "the time to live of {key} is {ttl:?}");
            if key.contains("sessions:{") {
                let encoding = self.command("OBJECT", &["ENCODING", &key]).await.as_string();
                assert!(matches!(encoding.as_deref(), Some("listpack" | "ziplist")), "{key} is a {encoding:?}");
                for value in self.command("HVALS", &[&key]).await.into_array() {
                    let packed = value.into_owned_bytes().unwrap_or_default();
                    assert!(packed.len() <= 64, "a value of {} bytes", packed.len());
                    SessionRecord::from_bytes(&packed).expect("a session record");
                }
            }
        }
    }

    async fn ttl(&self, key: &str) -> Duration {
        Duration::from_millis(self.command("PTTL", &[key]).await.as_u64().expect("a time to live"))
    }

    async fn set(&self, key: &str, field: &[u8], value: &[u8]) {
        let () = self.0.hset(key, (field, value)).await.expect("HSET");
    }

    async fn get(&self, key: &str, field: &[u8]) -> Option<Vec<u8>> {
        let value: Value = self.0.hget(key, field).await.expect("HGET");
        value.into_owned_bytes()
    }
}

/// A server that has every slot of its cluster.
pub(super) async fn cluster_of_one(folder: &Folder, options: &[&str]) -> RedisServer {
    let path = folder.join("").to_str().expect("a plain name").to_owned();
    let server = RedisServer::start_with(&[&["--cluster-enabled", "yes", "--dir", &path], options].concat());
    let slots: Vec<String> = (0..16_384).map(|slot| slot.to_string()).collect();
    let args: Vec<&str> = ["ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str)).collect();
    let raw = Raw::connect(&server).await;
    raw.command("CLUSTER", &args).await;
    while !raw.command("CLUSTER", &["INFO"]).await.as_string().expect("a text").contains("cluster_state:ok") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server
}

async fn store_and_raw() -> (RedisStore, Raw, String) {
    let (server, prefix) = redis_server::shared();
    (patient_store(&server.url(), &prefix).await, Raw::connect(server).await, prefix)
}

pub(super) fn user() -> Owner {
    owner("user")
}

pub(super) fn id(n: u8) -> SessionId {
    SessionId::from_bytes([n; SessionId::LEN])
}

pub(super) fn new_session(n: u8) -> NewSession {
    NewSession::new(user(), id(n), DAY, 30 * DAY, HOUR)
}

fn rotation(n: u8, generation: u32) -> RotateSession {
    let attempt = RefreshAttempt::new(generation, Timestamp::from_secs(1 << 33), ReplayWindow::default(), DAY);
    RotateSession::new(user(), id(n), attempt, HOUR)
}

fn end(which: WhichSessions) -> EndSessions {
    EndSessions::new(user(), which, HOUR)
}

async fn published(store: &RedisStore) -> Vec<Revocation> {
    let page = store.read_log(LogPosition::START, Duration::ZERO).await.expect("read_log");
    page.entries.into_iter().flat_map(|entry| entry.revocations).collect()
}

/// Formats an error and its sources.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn store_uses_time_of_server() {
    let store = redis_store().await;
    let before = SystemClock.now();
    let CreateOutcome::Created { record, now, .. } = store.create(&new_session(1)).await.unwrap() else { panic!() };
    let after = SystemClock.now();
    assert!(before <= now && now <= after, "{before:?} <= {now:?} <= {after:?}");
    assert_eq!(record, SessionRecord::begin(now, DAY, 30 * DAY));
    let RotateOutcome::Live { rotation: Rotation::Rotated, record, now, .. } =
        store.rotate(&rotation(1, 1)).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(record.rotated_at, Some(now));
    assert_eq!(store.find(&user(), id(1)).await.unwrap().map(|found| found.record), Some(record));
    store.confirm(&user(), id(1), 2).await.unwrap();
    assert!(store.find(&user(), id(1)).await.unwrap().is_some_and(|found| found.record.confirmed_at.is_some()));
    assert_eq!(store.expire_access(&user(), HOUR).await.unwrap(), [(id(1), 1)]);
    assert_eq!(store.end(&end(WhichSessions::All)).await.unwrap(), [id(1)]);
    let page = store.read_log(LogPosition::START, Duration::ZERO).await.unwrap();
    let [first, second] = &page.entries[..] else { panic!("{page:?}") };
    assert_eq!(first.revocations, [Revocation::new(id(1), 1)]);
    assert_eq!(second.revocations, [Revocation::ended(id(1))]);
    assert!(before <= first.position.at() && second.position.at() <= SystemClock.now());
    assert_eq!(page.newest, second.position);
    assert_eq!(store.started_at(), None);
}

#[tokio::test]
async fn keys_expire_with_their_longest_session() {
    let (store, raw, prefix) = store_and_raw().await;
    let (key, data_key) = (sessions_key(&prefix, &user()), data_key(&prefix, &user()));
    let near = |actual: Duration, expected: Duration| actual <= expected && actual > expected - Duration::from_secs(60);

    let mut long = new_session(1);
    long.data = Some(b"data".to_vec());
    store.create(&long).await.unwrap();
    assert!(near(raw.ttl(&key).await, DAY));
    assert!(near(raw.ttl(&data_key).await, DAY));
    let mut short = new_session(2);
    short.refresh_lifetime = HOUR;
    store.create(&short).await.unwrap();
    assert!(near(raw.ttl(&key).await, DAY), "never shortened");
    let mut longer = rotation(1, 1);
    longer.attempt.refresh_lifetime = 2 * DAY;
    store.rotate(&longer).await.unwrap();
    assert!(near(raw.ttl(&key).await, 2 * DAY));
    assert!(near(raw.ttl(&data_key).await, 2 * DAY), "the data expires with the session");

    let log = format!("{prefix}sessions:log");
    store.end(&end(WhichSessions::One(id(2)))).await.unwrap();
    assert!(near(raw.ttl(&log).await, HOUR));
    store.end(&EndSessions::new(user(), WhichSessions::One(id(1)), Duration::from_secs(60))).await.unwrap();
    assert!(near(raw.ttl(&log).await, HOUR), "never shortened");
    assert!(raw.keys(&prefix).await.iter().all(|left| *left == log), "keys of sessions are left");
}

#[tokio::test]
async fn expired_sessions_are_removed_with_their_data() {
    let (store, raw, prefix) = store_and_raw().await;
    let clock = TestClock::new();
    let store = store.with_clock(clock.clone());
    let mut new = new_session(1);
    new.data = Some(b"data".to_vec());
    new.device.user_agent = Some("agent".to_owned());
    new.device.ip = Some([192, 0, 2, 1].into());
    new.device.actor = Some(UserId::new("support").unwrap());
    store.create(&new).await.unwrap();
    assert_eq!(raw.command("HLEN", &[&data_key(&prefix, &user())]).await.as_u64(), Some(4));
    clock.advance(DAY);
    assert!(store.list(&user()).await.unwrap().sessions.is_empty());
    assert_eq!(raw.keys(&prefix).await, Vec::<String>::new());
}

#[tokio::test]
async fn log_is_trimmed_to_retention() {
    let (store, _, _) = store_and_raw().await;
    let clock = TestClock::new();
    let store = store.with_clock(clock.clone());
    // Redis trims whole nodes of a hundred entries.
    for n in 0..150 {
        store.create(&new_session(n)).await.unwrap();
        store.end(&end(WhichSessions::One(id(n)))).await.unwrap();
    }
    clock.advance(HOUR + Duration::from_millis(1));
    store.create(&new_session(200)).await.unwrap();
    store.end(&end(WhichSessions::One(id(200)))).await.unwrap();
    let left = published(&store).await;
    assert!(left.len() < 100, "{} entries are left", left.len());
    assert_eq!(left.last(), Some(&Revocation::ended(id(200))));
}

/// Each entry has the retention, and the next writer reads it from there.
#[tokio::test]
async fn foreign_entry_does_not_shorten_retention() {
    let (store, raw, prefix) = store_and_raw().await;
    let clock = TestClock::new();
    let store = store.with_clock(clock.clone());
    store.create(&new_session(1)).await.unwrap();
    // Redis trims whole nodes of a hundred entries.
    for _ in 0..150 {
        store.expire_access(&user(), DAY).await.unwrap();
    }
    clock.advance(HOUR * 2);
    let junk = format!("{}-5", clock.now().as_millis());
    raw.command("XADD", &[&format!("{prefix}sessions:log"), &junk, "junk", "1"]).await;
    clock.advance(HOUR * 2);
    for _ in 0..2 {
        store.expire_access(&user(), HOUR).await.unwrap();
    }
    assert_eq!(published(&store).await.len(), 152);
}

#[tokio::test]
async fn long_log_is_read_in_pages() {
    let (store, raw, prefix) = store_and_raw().await;
    let script =
        "for i = 1, 12000 do redis.call('XADD', KEYS[1], i .. '-7', 'r', ARGV[1] .. struct.pack('>I4', i)) end";
    let sid = "0123456789abcdef";
    raw.command("EVAL", &[script, "1", &format!("{prefix}sessions:log"), sid]).await;
    let (mut after, mut read, mut pages) = (LogPosition::START, 0, 0);
    loop {
        let page = store.read_log(after, Duration::from_millis(1)).await.unwrap();
        let Some(last) = page.entries.last() else { break };
        assert_eq!(page.newest, LogPosition::new(12_000, 7));
        for entry in &page.entries {
            read += 1;
            assert_eq!(entry.position, LogPosition::new(read, 7));
            assert_eq!(entry.revocations.iter().map(|r| u64::from(r.min_epoch)).collect::<Vec<_>>(), [read]);
        }
        pages += 1;
        after = last.position;
    }
    assert_eq!((read, pages), (12_000, 3));
}

#[tokio::test]
async fn lost_log_is_noticed() {
    let (store, raw, prefix) = store_and_raw().await;
    store.create(&new_session(1)).await.unwrap();
    store.end(&end(WhichSessions::All)).await.unwrap();
    let seen = store.read_log(LogPosition::START, Duration::ZERO).await.unwrap().newest;
    raw.command("DEL", &[&format!("{prefix}sessions:log")]).await;
    let page = store.read_log(seen, Duration::from_secs(600)).await.unwrap();
    assert_eq!((page.entries.len(), page.newest), (0, LogPosition::START), "the reader waits at a lost position");
}

#[tokio::test]
async fn waiting_reader_does_not_block_steps() {
    let store = redis_store().await;
    let waiting = [store.clone(), store.clone()]
        .map(|store| tokio::spawn(async move { store.read_log(LogPosition::START, Duration::from_secs(60)).await }));
    for n in 0..50 {
        store.create(&new_session(n)).await.unwrap();
    }
    store.end(&end(WhichSessions::One(id(3)))).await.unwrap();
    for reader in waiting {
        let page = reader.await.unwrap().unwrap();
        assert_eq!(page.entries.len(), 1);
    }
}

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let raw = Raw::connect(&server).await;
    for n in 1..4 {
        store.create(&new_session(n)).await.unwrap();
        assert!(store.find(&user(), id(n)).await.unwrap().is_some());
        raw.command("SCRIPT", &["FLUSH"]).await;
    }
    assert_eq!(store.list(&user()).await.unwrap().sessions.len(), 3);
}

#[tokio::test]
async fn unreadable_fields_are_errors_and_stay() {
    let (store, raw, prefix) = store_and_raw().await;
    let key = sessions_key(&prefix, &user());
    store.create(&new_session(1)).await.unwrap();
    let good = raw.get(&key, id(1).as_bytes()).await.unwrap();
    let changed = |at: usize, byte: u8| {
        let mut packed = good.clone();
        packed[at] = byte;
        packed
    };
    let unreadable = [
        Vec::new(),
        b"x".to_vec(),
        good[..61].to_vec(),
        [&good[..], b"x"].concat(),
        changed(0, 0),
        changed(0, 2),
        changed(1, 2),
    ];
    // Rust could read times that Lua cannot hold exactly; the scripts must not change such a record.
    let inexact = changed(46, 0x7f);
    // Without a limit, a login does not read the other sessions.
    let mut limited = new_session(3);
    limited.limit = Some(SessionLimit::refuse(NonZeroU32::MIN));
    for value in unreadable.iter().chain([&inexact]) {
        raw.set(&key, id(2).as_bytes(), value).await;
        let failures: [(&str, Result<(), StoreError>); 9] = [
            ("create", store.create(&limited).await.map(drop)),
            ("rotate", store.rotate(&rotation(2, 1)).await.map(drop)),
            ("confirm", store.confirm(&user(), id(2), 1).await),
            ("end one", store.end(&end(WhichSessions::One(id(2)))).await.map(drop)),
            ("end others", store.end(&end(WhichSessions::Others(id(1)))).await.map(drop)),
            ("list", store.list(&user()).await.map(drop)),
            ("expire_access", store.expire_access(&user(), HOUR).await.map(drop)),
            ("put_data", store.put_data(&PutData::new(user(), id(2), 0, Vec::new())).await.map(drop)),
            (
                "find",
                if *value == inexact {
                    Err(StoreError::new("", ""))
                } else {
                    store.find(&user(), id(2)).await.map(drop)
                },
            ),
        ];
        for (verb, outcome) in failures {
            assert!(outcome.is_err(), "{verb} must not take {value:?} for a session or for none");
        }
        assert_eq!(raw.get(&key, id(2).as_bytes()).await.as_ref(), Some(value), "the value is lost");
        assert!(store.find(&user(), id(1)).await.unwrap().is_some(), "the other session is lost");
    }
    assert!(published(&store).await.is_empty());

    let mut ended = store.end(&end(WhichSessions::All)).await.unwrap();
    ended.sort_unstable();
    assert_eq!(ended, [id(1), id(2)], "not every session has ended");
    assert_eq!(published(&store).await.len(), 2);
    store.create(&new_session(3)).await.unwrap();
}

#[tokio::test]
async fn invalid_session_fields_are_errors_and_stay() {
    let (store, raw, prefix) = store_and_raw().await;
    let key = sessions_key(&prefix, &user());
    store.create(&new_session(1)).await.unwrap();
    let record = raw.get(&key, id(1).as_bytes()).await.unwrap();
    raw.set(&key, b"short", &record).await;
    let mut limited = new_session(2);
    limited.limit = Some(SessionLimit::refuse(NonZeroU32::MIN));
    assert!(store.create(&limited).await.is_err());
    assert!(store.list(&user()).await.is_err());
    assert!(store.find(&user(), id(1)).await.unwrap().is_some());
    assert_eq!(store.end(&end(WhichSessions::All)).await.unwrap(), [id(1)]);
    assert!(raw.get(&key, b"short").await.is_none());
}

#[tokio::test]
async fn end_of_all_removes_what_else_is_unreadable() {
    let (store, raw, prefix) = store_and_raw().await;
    let data_key = data_key(&prefix, &user());
    for junk in [&b""[..], b"junk", &[255; 100]] {
        store.create(&new_session(1)).await.unwrap();
        for field in [b"x", b"e", b"t", b"p"] {
            raw.set(&data_key, field, junk).await;
        }
        store.create(&new_session(2)).await.unwrap_err();
        assert_eq!(store.end(&end(WhichSessions::All)).await.unwrap(), [id(1)], "{junk:?}");
        store.create(&new_session(2)).await.unwrap();
        store.end(&end(WhichSessions::All)).await.unwrap();
    }
}

#[tokio::test]
async fn unreadable_data_is_error() {
    let (store, raw, prefix) = store_and_raw().await;
    let mut new = new_session(1);
    new.device.ip = Some([192, 0, 2, 1].into());
    store.create(&new).await.unwrap();
    let data_key = data_key(&prefix, &user());
    raw.set(&data_key, &[b"d", &id(1).as_bytes()[..]].concat(), b"short").await;
    assert!(store.get_data(&user(), id(1)).await.is_err());
    assert!(store.put_data(&PutData::new(user(), id(1), 0, Vec::new())).await.is_err());
    raw.set(&data_key, &[b"i", &id(1).as_bytes()[..]].concat(), b"nowhere").await;
    assert!(store.list(&user()).await.is_err());
}

#[tokio::test]
async fn keys_of_other_types_are_errors() {
    let (store, raw, prefix) = store_and_raw().await;
    raw.command("SET", &[&sessions_key(&prefix, &user()), "text"]).await;
    assert!(store.create(&new_session(1)).await.is_err());
    assert!(store.find(&user(), id(1)).await.is_err());
    raw.command("DEL", &[&sessions_key(&prefix, &user())]).await;

    store.create(&new_session(1)).await.unwrap();
    raw.command("SET", &[&format!("{prefix}sessions:log"), "text"]).await;
    assert!(store.end(&end(WhichSessions::All)).await.is_err());
    assert!(store.find(&user(), id(1)).await.unwrap().is_some(), "a session whose end was not published has ended");
    assert!(store.read_log(LogPosition::START, Duration::ZERO).await.is_err());
}

#[tokio::test]
async fn end_of_lost_session_is_published_once() {
    let (store, raw, prefix) = store_and_raw().await;
    let clock = TestClock::new();
    let store = store.with_clock(clock.clone());
    for _ in 0..3 {
        assert!(store.end(&end(WhichSessions::Proven(id(1)))).await.unwrap().is_empty());
        assert_eq!(published(&store).await, [Revocation::ended(id(1))]);
    }
    // The tombstone is not a session.
    assert_eq!(store.find(&user(), id(1)).await.unwrap(), None);
    assert!(store.list(&user()).await.unwrap().sessions.is_empty());
    assert_eq!(store.rotate(&rotation(1, 1)).await.unwrap(), RotateOutcome::Ended);
    assert_eq!(store.put_data(&PutData::new(user(), id(1), 0, Vec::new())).await.unwrap(), PutOutcome::Ended);
    store.confirm(&user(), id(1), 1).await.unwrap();
    assert!(store.expire_access(&user(), HOUR).await.unwrap().is_empty());
    assert!(store.create(&new_session(1)).await.is_err(), "its identifier is used again");
    let mut new = new_session(2);
    new.limit = Some(SessionLimit::refuse(NonZeroU32::MIN));
    assert!(
        matches!(store.create(&new).await.unwrap(), CreateOutcome::Created { .. }),
        "the tombstone counts as a session"
    );
    assert_eq!(store.end(&end(WhichSessions::All)).await.unwrap(), [id(2)]);
    store.end(&end(WhichSessions::Proven(id(1)))).await.unwrap();
    assert_eq!(published(&store).await, [Revocation::ended(id(1)), Revocation::ended(id(2))]);
    raw.check_keys(&prefix).await;

    clock.advance(HOUR);
    store.list(&user()).await.unwrap();
    assert!(
        raw.get(&sessions_key(&prefix, &user()), id(1).as_bytes()).await.is_none(),
        "the tombstone outlives the log's retention"
    );
}

#[tokio::test]
async fn tombstones_are_bounded() {
    let (store, raw, prefix) = store_and_raw().await;
    for n in 0..=255 {
        store.end(&end(WhichSessions::Proven(id(n)))).await.unwrap();
    }
    assert_eq!(raw.command("HLEN", &[&sessions_key(&prefix, &user())]).await.as_u64(), Some(100));
    raw.check_keys(&prefix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_refreshes_rotate_once() {
    let store = redis_store().await;
    for n in 0..20 {
        store.create(&new_session(n)).await.unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.rotate(&rotation(n, 1)).await })
            })
            .collect();
        let mut rotated = 0;
        for task in tasks {
            match task.await.unwrap().unwrap() {
                RotateOutcome::Live { rotation, record, rolled_back: false, .. } if record.generation == 2 => {
                    rotated += u32::from(rotation == Rotation::Rotated);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(rotated, 1);
    }
}
