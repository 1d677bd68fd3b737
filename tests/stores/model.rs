//! `MemoryStore` and `RedisStore` return the same for random steps.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use proptest::{collection::vec, option, prelude::*};
use tokio::runtime::Runtime;
use tower_jwt_sessions::{
    MemoryStore, SessionId,
    clock::Clock,
    keys::DeviceKey,
    policy::{ReplayWindow, SessionLimit},
    redis::RedisStore,
    store::{
        ClaimsAge, CreateOutcome, EndMark, EndSessions, LogPosition, LoginProof, NewSession, Owner, PutData,
        RefreshAttempt, RegisterDevice, Revocation, RotateSession, SessionStore, WhichSessions,
    },
    testing::TestClock,
};

use super::redis::{Raw, cluster_of_one};
use crate::support::{
    folder::Folder,
    owner::owner,
    redis_server::{self, RedisServer},
};

const RETENTION: Duration = Duration::from_secs(3600);

/// Sessions are numbered, modulo those created so far.
#[derive(Clone, Debug)]
enum Op {
    Advance(u64),
    StepBack(u64),
    Create {
        user: u8,
        lifetimes: (u64, u64),
        limit: Option<(u32, bool)>,
        replaces: Option<u8>,
        data: Option<Vec<u8>>,
    },
    Rotate {
        user: u8,
        session: u8,
        generation: u32,
        window: (bool, u64),
        token_lives: u64,
        lifetime: u64,
        min_epoch: u32,
        is_proven: bool,
    },
    Register {
        user: u8,
        session: u8,
        key: u8,
    },
    Confirm {
        user: u8,
        session: u8,
        generation: u32,
    },
    End {
        user: u8,
        which: u8,
        session: u8,
    },
    ExpireAccess {
        user: u8,
    },
    Put {
        user: u8,
        session: u8,
        version: u64,
        bytes: Vec<u8>,
    },
}

/// Claims of some age, or none.
fn claims(random: u64) -> Option<ClaimsAge> {
    let age = [None, Some(0), Some(1), Some(10_000)][(random % 4) as usize];
    age.map(|age| ClaimsAge::new(Duration::from_millis(age), None))
}

/// Milliseconds around the limits, and some others.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(1),
        Just(999),
        Just(9_999),
        Just(10_000),
        Just(20_000),
        Just(3_600_000),
        Just(86_400_000),
        0..30_000_u64
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let user = || prop_oneof![9 => Just(0_u8), 1 => Just(1)];
    let session = || 0..8_u8;
    let generation = || prop_oneof![9 => 0..5_u32, 1 => Just(u32::MAX)];
    let lifetime = || prop_oneof![Just(0), Just(1), Just(15_000), Just(3_600_000), Just(604_800_000_u64)];
    let epoch = || prop_oneof![8 => Just(0), 4 => 0..5_u32, 1 => Just(u32::MAX - 1), 1 => Just(Revocation::ENDED)];
    // In microseconds, so that windows need not be whole milliseconds.
    let window = || (any::<bool>(), prop_oneof![Just(0), Just(10_000_000), Just(10_000_000), 0..20_000_000_u64]);
    let bytes = || vec(any::<u8>(), 0..10);
    prop_oneof![
        6 => time().prop_map(Op::Advance),
        1 => time().prop_map(Op::StepBack),
        4 => (user(), (lifetime(), lifetime()), option::of((1..4_u32, any::<bool>())), option::of(session()), option::of(bytes()))
            .prop_map(|(user, lifetimes, limit, replaces, data)| Op::Create { user, lifetimes, limit, replaces, data }),
        12 => (user(), session(), generation(), window(), prop_oneof![9 => Just(u64::MAX), 1 => Just(0)], lifetime(), epoch(), any::<bool>())
            .prop_map(|(user, session, generation, window, token_lives, lifetime, min_epoch, is_proven)| {
                Op::Rotate { user, session, generation, window, token_lives, lifetime, min_epoch, is_proven }
            }),
        2 => (user(), session(), generation()).prop_map(|(user, session, generation)| Op::Confirm { user, session, generation }),
        2 => (user(), 0..4_u8, session()).prop_map(|(user, which, session)| Op::End { user, which, session }),
        1 => user().prop_map(|user| Op::ExpireAccess { user }),
        2 => (user(), session(), 0..3_u8).prop_map(|(user, session, key)| Op::Register { user, session, key }),
        2 => (user(), session(), 0..3_u64, bytes())
            .prop_map(|(user, session, version, bytes)| Op::Put { user, session, version, bytes }),
    ]
}

fn user(n: u8) -> Owner {
    owner(n)
}

fn id(n: usize) -> SessionId {
    // In an order that is not that of their age, so that ties are broken by the identifier.
    let n = u8::try_from(n).expect("few sessions").wrapping_mul(97);
    SessionId::from_bytes([n; SessionId::LEN])
}

/// Returns a created session, or an unknown one if there is none.
fn chosen(n: u8, created: usize) -> SessionId {
    id(usize::from(n).checked_rem(created).unwrap_or(255))
}

fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items
}

/// Takes the step on one store. Unordered results are sorted; errors become text.
async fn take<S: SessionStore>(store: &S, clock: &TestClock, op: &Op, created: usize) -> Result<String, String> {
    let chosen = |n| chosen(n, created);
    let millis = Duration::from_millis;
    let outcome = match op {
        Op::Advance(_) | Op::StepBack(_) => Ok(String::new()),
        Op::Create { user: owner, lifetimes, limit, replaces, data } => {
            let mut new =
                NewSession::new(user(*owner), id(created), millis(lifetimes.0), millis(lifetimes.1), RETENTION);
            new.limit = limit.and_then(|(max, refuse)| {
                let limit = if refuse { SessionLimit::refuse } else { SessionLimit::evict };
                NonZeroU32::new(max).map(limit)
            });
            new.replaces = replaces.map(chosen);
            new.data.clone_from(data);
            new.claims = claims(lifetimes.0);
            new.proof = (lifetimes.1 % 2 == 1).then(LoginProof::default);
            store.create(&new).await.map(|outcome| match outcome {
                // The precision of the age differs between stores.
                CreateOutcome::ProofOutdated(EndMark { at, .. }) => format!("{at:?}"),
                CreateOutcome::Created { record, now, ended, .. } => format!("{record:?} {now:?} {:?}", sorted(ended)),
                refused => format!("{refused:?}"),
            })
        }
        Op::Rotate { user: owner, session, generation, window, token_lives, lifetime, min_epoch, is_proven } => {
            let length = Duration::from_micros(window.1);
            let mut attempt = RefreshAttempt::new(
                *generation,
                clock.now().saturating_add(millis(*token_lives)),
                if window.0 { ReplayWindow::Fixed(length) } else { ReplayWindow::UntilConfirmed(length) },
                millis(*lifetime),
            );
            attempt.min_epoch = *min_epoch;
            attempt.is_proven = *is_proven;
            let mut rotation = RotateSession::new(user(*owner), chosen(*session), attempt, RETENTION);
            rotation.claims = claims(token_lives ^ lifetime);
            store.rotate(&rotation).await.map(|outcome| format!("{outcome:?}"))
        }
        Op::Register { user: owner, session, key } => {
            let key = DeviceKey::from_bytes([*key; DeviceKey::LEN]);
            let register = RegisterDevice::new(user(*owner), chosen(*session), key);
            store.register_device(&register).await.map(|outcome| format!("{outcome:?}"))
        }
        Op::Confirm { user: owner, session, generation } => {
            store.confirm(&user(*owner), chosen(*session), *generation).await.map(|()| String::new())
        }
        Op::End { user: owner, which, session } => {
            let which = match which {
                0 => WhichSessions::One(chosen(*session)),
                1 => WhichSessions::Proven(chosen(*session)),
                2 => WhichSessions::Others(chosen(*session)),
                _ => WhichSessions::All,
            };
            let end = EndSessions::new(user(*owner), which, RETENTION);
            store.end(&end).await.map(|ended| format!("{:?}", sorted(ended)))
        }
        Op::ExpireAccess { user: owner } => {
            store.expire_access(&user(*owner), RETENTION).await.map(|raised| format!("{:?}", sorted(raised)))
        }
        Op::Put { user: owner, session, version, bytes } => {
            let put = PutData::new(user(*owner), chosen(*session), *version, bytes.clone());
            store.put_data(&put).await.map(|outcome| format!("{outcome:?}"))
        }
    };
    outcome.map_err(|error| format!("{error:?}"))
}

type Everything = BTreeMap<(u8, SessionId), (Vec<u8>, Option<u64>, Option<Vec<u8>>, Option<[u8; DeviceKey::LEN]>)>;

/// The packed record, the data and the device of every live session.
async fn everything<S: SessionStore>(store: &S) -> Everything {
    let mut all = BTreeMap::new();
    for owner in [0, 1] {
        for listed in store.list(&user(owner)).await.expect("list").sessions {
            let data =
                store.get_data(&user(owner), listed.id).await.expect("get_data").expect("a listed session is live");
            let found = store.find(&user(owner), listed.id).await.expect("find").expect("a listed session is live");
            assert_eq!(found.record, listed.record);
            let key = found.device_key.map(|key| *key.as_bytes());
            all.insert((owner, listed.id), (listed.record.to_bytes().to_vec(), Some(data.version), data.bytes, key));
        }
    }
    all
}

/// Returns the entries that were published since, and the new position.
async fn news<S: SessionStore>(store: &S, after: &mut LogPosition) -> Vec<(SessionId, u32)> {
    let page = store.read_log(*after, Duration::ZERO).await.expect("read_log");
    *after = page.newest;
    let revocations = page.entries.into_iter().flat_map(|entry| entry.revocations);
    sorted(revocations.map(|revocation| (revocation.session, revocation.min_epoch)).collect())
}

async fn compare(redis: RedisStore, raw: &Raw, prefix: &str, ops: Vec<Op>) -> Result<(), TestCaseError> {
    let clock = TestClock::new();
    let memory = MemoryStore::with_clock(clock.clone());
    let redis = redis.with_clock(clock.clone());
    let (mut memory_at, mut redis_at) = (LogPosition::START, LogPosition::START);
    let mut created = 0;
    let (mut expired, mut marked) = (false, false);
    let mut live = Everything::new();
    for op in ops {
        match op {
            Op::Advance(millis) => clock.advance(Duration::from_millis(millis)),
            // Stores may remove expired sessions at any time; set back before that, results would differ.
            Op::StepBack(millis) if !expired => clock.set(clock.now().saturating_sub(Duration::from_millis(millis))),
            _ => {}
        }
        let expected = take(&memory, &clock, &op, created).await;
        let actual = take(&redis, &clock, &op, created).await;
        prop_assert_eq!(&actual, &expected, "{:?}", op);
        let before = std::mem::replace(&mut live, everything(&memory).await);
        prop_assert_eq!(&everything(&redis).await, &live, "after {:?}", op);
        expired |= match &op {
            // The marks that logins respect are visible only in the record of a new session.
            Op::Advance(millis) => live != before || marked && Duration::from_millis(*millis) >= RETENTION,
            Op::Create { lifetimes, .. } => lifetimes.0 == 0 || lifetimes.1 == 0,
            Op::Rotate { lifetime, .. } => *lifetime == 0,
            _ => false,
        };

        marked |= matches!(op, Op::ExpireAccess { .. } | Op::End { which: 2.., .. });

        let expected_news = news(&memory, &mut memory_at).await;
        let actual_news = news(&redis, &mut redis_at).await;
        // Redis may have lost a session, so it publishes the end of a proven session that it does not have.
        let unknown = match op {
            Op::End { which: 1, session, .. } => Some((chosen(session, created), Revocation::ENDED)),
            _ => None,
        };
        if !(expected_news.is_empty() && actual_news.iter().eq(unknown.iter())) {
            prop_assert_eq!(actual_news, expected_news, "published by {:?}", op);
        }
        created += usize::from(matches!(op, Op::Create { .. }));
    }
    raw.check_keys(prefix).await;
    Ok(())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn memory_and_redis_stores_agree() {
    let (server, prefix) = redis_server::shared();
    assert_stores_agree(&runtime(), server, &server.url(), &prefix);
}

/// On a cluster, a step that ends sessions is three scripts.
#[test]
fn memory_and_cluster_stores_agree() {
    let (runtime, folder) = (runtime(), Folder::new());
    let server = runtime.block_on(cluster_of_one(&folder, &[]));
    assert_stores_agree(&runtime, &server, &server.url().replace("redis://", "redis-cluster://"), "");
}

fn assert_stores_agree(runtime: &Runtime, server: &RedisServer, url: &str, prefix: &str) {
    let (store, raw) = runtime
        .block_on(async { (RedisStore::connect(url).await.expect("the server runs"), Raw::connect(server).await) });
    let cases = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&vec(op(), 1..60), |ops| {
        cases.set(cases.get() + 1);
        let prefix = format!("{prefix}{}:", cases.get());
        let store = store.clone().key_prefix(&*prefix).expect("a plain prefix");
        runtime.block_on(compare(store, &raw, &prefix, ops))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
