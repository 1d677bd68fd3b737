//! Expiring access of so many sessions that it takes several scripts, with other steps between them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, task::block_in_place};
use tower_jwt_sessions::{
    SessionId,
    clock::{Clock, Timestamp},
    policy::ReplayWindow,
    redis::RedisStore,
    store::{
        CreateOutcome, EndSessions, NewSession, RefreshAttempt, RotateOutcome, RotateSession, SessionRecord,
        SessionStore as _, WhichSessions,
    },
    testing::TestClock,
};

use super::{redis::user, redis_store_at};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SESSIONS: u32 = 1_000;

fn id(n: u32) -> SessionId {
    SessionId::from_bytes(format!("{n:016}").as_bytes().try_into().expect("16 bytes"))
}

/// The store that other steps use, with its user's sessions.
#[derive(Clone)]
struct Scene {
    store: RedisStore,
    clock: TestClock,
}

impl Scene {
    async fn new() -> Self {
        let clock = TestClock::new();
        let scene = Self { store: redis_store_at(clock.clone()).await, clock };
        for n in 0..SESSIONS {
            scene.login(n).await;
        }
        scene
    }

    async fn login(&self, n: u32) -> SessionRecord {
        match self.store.create(&NewSession::new(user(), id(n), DAY, 30 * DAY, HOUR)).await {
            Ok(CreateOutcome::Created { record, .. }) => record,
            other => panic!("no session: {other:?}"),
        }
    }

    /// Refreshes a session at a node that has read that smaller epochs are revoked.
    async fn refresh(&self, n: u32, min_epoch: u32) {
        let mut attempt = RefreshAttempt::new(1, Timestamp::from_secs(1 << 33), ReplayWindow::default(), DAY);
        attempt.min_epoch = min_epoch;
        let rotated = self.store.rotate(&RotateSession::new(user(), id(n), attempt, HOUR)).await;
        assert!(matches!(rotated, Ok(RotateOutcome::Live { .. })), "{rotated:?}");
    }

    async fn expire_access(&self) -> Vec<(SessionId, u32)> {
        self.store.expire_access(&user(), HOUR).await.expect("expire_access")
    }

    /// Expires access, and runs `between` between the first script and the second.
    async fn expire_around(&self, between: impl AsyncFn(&Self) + Send + Sync + 'static) -> Vec<(SessionId, u32)> {
        let scene = self.clone();
        let act = move || Handle::current().block_on(between(&scene));
        let clock = ActingClock { clock: self.clock.clone(), asked: Arc::default(), act: Arc::new(act) };
        let raised = self.store.clone().with_clock(clock.clone()).expire_access(&user(), HOUR).await;
        assert!(clock.asked.load(SeqCst) > 2, "access was expired by one script");
        raised.expect("expire_access")
    }

    async fn records(&self) -> BTreeMap<SessionId, SessionRecord> {
        let list = self.store.list(&user()).await.expect("list");
        list.sessions.into_iter().map(|session| (session.id, session.record)).collect()
    }
}

/// A clock that the store reads for each script. Runs a step before it returns the second time.
#[derive(Clone)]
struct ActingClock {
    clock: TestClock,
    asked: Arc<AtomicU32>,
    act: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ActingClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clock.fmt(f)
    }
}

impl Clock for ActingClock {
    fn now(&self) -> Timestamp {
        if self.asked.fetch_add(1, SeqCst) == 1 {
            block_in_place(|| (self.act)());
        }
        self.clock.now()
    }

    fn instant(&self) -> Instant {
        self.clock.instant()
    }
}

/// Returns the last epoch that was returned for each session.
fn last(raised: Vec<(SessionId, u32)>) -> BTreeMap<SessionId, u32> {
    let mut last = BTreeMap::new();
    for (id, epoch) in raised {
        let known: &mut u32 = last.entry(id).or_default();
        *known = epoch.max(*known);
    }
    last
}

/// A refresh restores the epoch that a record has lost. Its claims may be older than the expiry in progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn session_regaining_lost_epoch_during_expiry_is_expired() {
    let scene = Scene::new().await;
    let raised = scene.expire_around(async |scene| {
        scene.clock.advance(MS);
        for n in 0..SESSIONS {
            scene.refresh(n, 1).await;
        }
    });
    let raised = last(raised.await);
    let expected = |epoch: &u32| *epoch == 1 || *epoch == 2;
    assert_eq!(raised.len(), SESSIONS as usize, "some sessions are not expired");
    assert!(raised.values().all(expected) && raised.values().any(|epoch| *epoch == 2), "{raised:?}");
}

/// Their records carry a later time than that of the expiry.
#[tokio::test]
async fn session_refreshed_before_clock_set_back_is_expired() {
    let scene = Scene::new().await;
    let now = scene.clock.now();
    scene.clock.set(now.saturating_add(HOUR));
    for n in 0..SESSIONS {
        scene.refresh(n, 1).await;
    }
    scene.clock.set(now);
    let raised = last(scene.expire_access().await);
    assert_eq!(raised.len(), SESSIONS as usize);
    assert!(raised.values().all(|epoch| *epoch == 2));
    assert!(scene.records().await.values().all(|record| record.access_expired_at == Some(now)));
}

/// Each session gets the time of the later expiry, and neither expiry repeats the work of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_expiries_raise_each_session_at_most_twice() {
    let scene = Scene::new().await;
    let raised = scene.expire_around(async |scene| {
        scene.clock.advance(MS);
        assert_eq!(last(scene.expire_access().await).len(), SESSIONS as usize);
    });
    let raised = raised.await;
    let records = scene.records().await;
    assert!(records.values().all(|record| record.access_expired_at == Some(scene.clock.now())));
    assert!(records.values().all(|record| (1..=2).contains(&record.epoch)));
    let twice = records.values().filter(|record| record.epoch == 2).count();
    assert_eq!(raised.len(), twice, "those that the first had raised");
}

/// These sessions began after the mark, also where an end left a later mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_begun_during_expiry_are_spared() {
    for is_ended in [false, true] {
        let scene = Scene::new().await;
        let raised = scene.expire_around(async move |scene| {
            scene.clock.advance(MS);
            if is_ended {
                let mut end = EndSessions::new(user(), WhichSessions::Others(id(0)), HOUR);
                // Spares the existing sessions.
                end.min_age = HOUR;
                assert!(scene.store.end(&end).await.expect("end").is_empty());
            }
            for n in 0..SESSIONS {
                scene.login(SESSIONS + n).await;
            }
        });
        let raised = last(raised.await);
        assert_eq!(raised, (0..SESSIONS).map(|n| (id(n), 1)).collect());
    }
}
