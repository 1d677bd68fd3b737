//! One user with many sessions: what a step costs, counted in commands of the server.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tower_jwt_sessions::{
    SessionId, SessionLimit,
    redis::RedisStore,
    store::{CreateOutcome, EndSessions, NewSession, Presentation, RotateSession, SessionStore as _, WhichSessions},
};

use super::redis::{Raw, id, new_session, user};
use crate::{owner::sessions_key, support::redis_server::RedisServer};

const HOUR: Duration = Duration::from_secs(3600);

/// A server whose commands are counted, and a user on it.
struct Counted {
    _server: RedisServer,
    store: RedisStore,
    raw: Raw,
}

impl Counted {
    async fn new() -> Self {
        let server = RedisServer::start_with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000"]);
        let store = RedisStore::connect(&server.url()).await.unwrap();
        let raw = Raw::connect(&server).await;
        Self { _server: server, store, raw }
    }

    /// Gives the user so many sessions, copies of one.
    async fn fill(&self, sessions: usize) {
        self.raw.command("FLUSHALL", &[]).await;
        self.store.create(&new_session(0)).await.unwrap();
        let script = "local r = redis.call('HGET', KEYS[1], ARGV[2])
            for i = 2, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'filled' .. string.format('%010d', i), r) end";
        let first = "\0".repeat(16);
        self.raw.command("EVAL", &[script, "1", &sessions_key("", &user()), &sessions.to_string(), &first]).await;
        assert_eq!(self.count().await, sessions);
    }

    async fn count(&self) -> usize {
        let count = self.raw.command("HLEN", &[&sessions_key("", &user())]).await.as_u64().unwrap();
        usize::try_from(count).unwrap()
    }

    async fn reset(&self) {
        self.raw.command("CONFIG", &["RESETSTAT"]).await;
        self.raw.command("SLOWLOG", &["RESET"]).await;
    }

    /// The longest script since, in microseconds.
    async fn longest(&self) -> u64 {
        let log = self.raw.command("SLOWLOG", &["GET", "-1"]).await.into_array();
        let scripts = log.into_iter().filter_map(|entry| {
            let entry = entry.into_array();
            let name = entry[3].clone().into_array()[0].as_string()?;
            name.starts_with("EVAL").then(|| entry[2].as_u64()).flatten()
        });
        scripts.max().unwrap()
    }

    async fn scripts(&self) -> (u64, f64) {
        let stats = self.raw.command("INFO", &["commandstats"]).await.as_string().unwrap();
        let mut calls = 0;
        let mut usec = 0;
        for line in stats.lines() {
            if let Some(rest) = line.strip_prefix("cmdstat_evalsha:").or_else(|| line.strip_prefix("cmdstat_eval:")) {
                for pair in rest.split(',') {
                    let (k, v) = pair.split_once('=').unwrap();
                    if k == "calls" {
                        calls += v.parse::<u64>().unwrap()
                    }
                    if k == "usec" {
                        usec += v.parse::<u64>().unwrap()
                    }
                }
            }
        }
        (calls, usec as f64 / calls.max(1) as f64)
    }
}

#[tokio::test]
async fn measure() {
    let counted = Counted::new().await;
    let store = &counted.store;
    for n in [10, 100, 1_000, 10_000] {
        counted.fill(n).await;
        counted.store.create(&new_session(255)).await.unwrap();
        counted.reset().await;
        for i in 1..21 {
            store.create(&new_session(i)).await.unwrap();
        }
        eprintln!("{n}: login {:?} longest {}", counted.scripts().await, counted.longest().await);
        counted.reset().await;
        for i in 1..21 {
            let presentation = Presentation {
                generation: 1,
                token_expires_at: tower_jwt_sessions::Timestamp::from_secs(1 << 33),
                window: Default::default(),
                refresh_lifetime: HOUR,
            };
            store.rotate(&RotateSession::new(user(), id(i), presentation, HOUR)).await.unwrap();
        }
        eprintln!("{n}: refresh {:?} longest {}", counted.scripts().await, counted.longest().await);
        counted.reset().await;
        store.list(&user()).await.unwrap();
        eprintln!("{n}: list {:?} longest {}", counted.scripts().await, counted.longest().await);
        counted.reset().await;
        store.expire_access(&user(), HOUR).await.unwrap();
        eprintln!("{n}: expire {:?} longest {}", counted.scripts().await, counted.longest().await);
        counted.reset().await;
        store.end(&EndSessions::new(user(), WhichSessions::All, HOUR)).await.unwrap();
        eprintln!("{n}: end_all {:?} longest {}", counted.scripts().await, counted.longest().await);
    }
    for n in [5, 50, 99, 100] {
        counted.fill(n).await;
        counted.reset().await;
        for i in 1..21 {
            let mut new = new_session(i);
            new.limit = Some(SessionLimit::evict(NonZeroU32::new(100).unwrap()));
            if n < 99 {
                new.replaces = Some(id(i - 1));
            }
            store.create(&new).await.unwrap();
        }
        eprintln!("{n}: limited login {:?} longest {}", counted.scripts().await, counted.longest().await);
    }
    let _ = (
        NewSession::new(user(), SessionId::from_bytes([0; 16]), HOUR, HOUR, HOUR),
        BTreeMap::<u8, CreateOutcome>::new(),
    );
}
