//! Outages of servers of the cluster, and recovery.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tower_jwt_sessions::{
    redis::RedisStore,
    store::{EndSessions, LogPosition, NewSession, Owner, Revocation, SessionStore as _, StoreError, WhichSessions},
};

use crate::{
    cluster::{
        scene::{DAY, HOUR, id, log_key, user_apart},
        servers::{self, Servers},
    },
    support::{
        nodes::{PATIENCE, redis_store},
        owner::{self, sessions_key},
    },
};

/// Uses the servers' clocks, as in production: a step that timed out must not be applied later.
struct Cluster {
    servers: Servers,
    store: RedisStore,
    /// A user whose sessions are not on the server of the log.
    user: Owner,
    /// A user on neither of these two servers.
    other: Owner,
    log: usize,
    home: usize,
}

impl Cluster {
    async fn start() -> Self {
        Self::of(Servers::start().await).await
    }

    async fn of(servers: Servers) -> Self {
        let store = redis_store(&servers.url(), "").await;
        let user = user_apart("");
        let owner = |user: &Owner| servers::owner(&sessions_key("", user));
        let (log, home) = (servers::owner(&log_key("")), owner(&user));
        let mut users = (0..).map(|n| owner::owner(format!("other{n}")));
        let other = users.find(|user| owner(user) == 3 - log - home).unwrap();
        let cluster = Self { servers, store, user, other, log, home };
        // Every server has every script, and the store knows its time.
        for (n, user) in (0..).zip([&cluster.user, &cluster.other]) {
            cluster.login(user, 100 + n).await.unwrap();
            cluster.store.find(user, id(100 + n)).await.unwrap();
            cluster.end(user, WhichSessions::All).await.unwrap();
        }
        cluster
    }

    async fn login(&self, user: &Owner, n: u8) -> Result<(), StoreError> {
        self.store.create(&NewSession::new(user.clone(), id(n), DAY, 30 * DAY, HOUR)).await.map(drop)
    }

    async fn end(&self, user: &Owner, which: WhichSessions) -> Result<usize, StoreError> {
        Ok(self.store.end(&EndSessions::new(user.clone(), which, HOUR)).await?.len())
    }

    async fn is_live(&self, user: &Owner, n: u8) -> Result<bool, StoreError> {
        Ok(self.store.find(user, id(n)).await?.is_some())
    }

    /// Returns how often the log has the end of the session.
    async fn ends(&self, n: u8) -> usize {
        let page = eventually(|| self.store.read_log(LogPosition::START, Duration::ZERO)).await;
        let revocations = page.entries.iter().flat_map(|entry| &entry.revocations);
        revocations.filter(|revocation| **revocation == Revocation::ended(id(n))).count()
    }
}

/// Returns the error of a step that must fail within a second.
async fn fails_soon<T: std::fmt::Debug>(step: impl Future<Output = Result<T, StoreError>>) {
    let begun = Instant::now();
    let outcome = tokio::time::timeout(PATIENCE, step).await.expect("the step hangs");
    assert!(begun.elapsed() < Duration::from_secs(1), "the step took {:?}", begun.elapsed());
    outcome.expect_err("a server is down");
}

/// Retries until a step succeeds.
async fn eventually<T, F: Future<Output = Result<T, StoreError>>>(step: impl Fn() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match step().await {
            Ok(outcome) => return outcome,
            Err(error) => assert!(Instant::now() < deadline, "no recovery: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn ends_during_frozen_log_are_published_when_it_resumes() {
    let cluster = Cluster::start().await;
    for n in 1..4 {
        cluster.login(&cluster.user, n).await.unwrap();
    }
    cluster.servers.nodes[cluster.log].freeze();
    fails_soon(cluster.end(&cluster.user, WhichSessions::One(id(1)))).await;
    fails_soon(cluster.is_live(&cluster.user, 1)).await;
    assert!(cluster.is_live(&cluster.user, 2).await.unwrap(), "another session of the user has ended");
    cluster.login(&cluster.other, 9).await.unwrap();
    // Long enough for the connection to time out.
    for _ in 0..5 {
        fails_soon(cluster.end(&cluster.user, WhichSessions::One(id(1)))).await;
        assert!(cluster.is_live(&cluster.other, 9).await.unwrap());
    }
    cluster.servers.nodes[cluster.log].thaw();
    assert_eq!(eventually(|| cluster.end(&cluster.user, WhichSessions::One(id(1)))).await, 1);
    assert_eq!(cluster.ends(1).await, 1, "an attempt that timed out is written later");
    assert!(cluster.is_live(&cluster.user, 2).await.unwrap());
}

#[tokio::test]
async fn ends_during_log_outage_are_completed_when_it_returns() {
    let mut cluster = Cluster::start().await;
    cluster.login(&cluster.user, 1).await.unwrap();
    cluster.login(&cluster.user, 2).await.unwrap();
    cluster.servers.nodes[cluster.log].kill();
    for _ in 0..3 {
        fails_soon(cluster.end(&cluster.user, WhichSessions::One(id(1)))).await;
        fails_soon(cluster.store.read_log(LogPosition::START, Duration::ZERO)).await;
        assert!(cluster.is_live(&cluster.user, 2).await.unwrap());
        cluster.login(&cluster.other, 3).await.unwrap();
        assert!(!cluster.is_live(&cluster.other, 4).await.unwrap());
    }
    let log = cluster.log;
    cluster.servers.nodes[log].restart();
    assert_eq!(eventually(|| cluster.end(&cluster.user, WhichSessions::One(id(1)))).await, 1);
    assert_eq!(cluster.ends(1).await, 1);
}

#[tokio::test]
async fn dead_server_affects_only_its_own_users() {
    let mut cluster = Cluster::start().await;
    cluster.login(&cluster.user, 1).await.unwrap();
    cluster.login(&cluster.other, 2).await.unwrap();
    let home = cluster.home;
    cluster.servers.nodes[home].kill();
    for _ in 0..3 {
        fails_soon(cluster.is_live(&cluster.user, 1)).await;
        fails_soon(cluster.end(&cluster.user, WhichSessions::All)).await;
        assert!(cluster.is_live(&cluster.other, 2).await.unwrap());
    }
    assert_eq!(cluster.end(&cluster.other, WhichSessions::All).await.unwrap(), 1);
    cluster.servers.nodes[home].restart();
    assert!(!eventually(|| cluster.is_live(&cluster.user, 1)).await, "the restarted server is empty");
    cluster.login(&cluster.user, 3).await.unwrap();
    assert_eq!(cluster.end(&cluster.user, WhichSessions::All).await.unwrap(), 1);
}

#[tokio::test]
async fn end_is_completed_after_replica_takes_over() {
    let servers = Servers::start_with(4, &["--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"]).await;
    let log = servers::owner(&log_key(""));
    servers.replicate(3, log).await;
    let mut cluster = Cluster::of(servers).await;
    cluster.login(&cluster.user, 1).await.unwrap();
    cluster.servers.nodes[log].kill();
    assert!(cluster.is_live(&cluster.user, 1).await.unwrap());
    fails_soon(cluster.end(&cluster.user, WhichSessions::One(id(1)))).await;
    assert_eq!(eventually(|| cluster.end(&cluster.user, WhichSessions::One(id(1)))).await, 1);
    assert_eq!(cluster.ends(1).await, 1);
}

/// Sessions must end, also when no server accepts new data.
#[tokio::test]
async fn sessions_end_when_memory_is_full() {
    let cluster = Cluster::start().await;
    for n in 1..4 {
        cluster.login(&cluster.user, n).await.unwrap();
    }
    for node in 0..3 {
        // Less than any server uses.
        cluster.servers.command(node, "CONFIG", &["SET", "maxmemory", "1"]).await;
    }
    cluster.login(&cluster.user, 9).await.unwrap_err();
    assert_eq!(cluster.end(&cluster.user, WhichSessions::One(id(1))).await.unwrap(), 1);
    assert_eq!(cluster.end(&cluster.user, WhichSessions::Proven(id(7))).await.unwrap(), 0);
    assert_eq!(cluster.end(&cluster.user, WhichSessions::All).await.unwrap(), 2);
    for n in [1, 2, 3, 7] {
        assert_eq!(cluster.ends(n).await, 1);
    }
}
