//! The same properties on random schedules, with real managers, real tokens and both stores.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tower_jwt_sessions::{
    Error, KeyRing, MemoryStore, SessionCookies, SessionId, SessionManager, UserId, auth::VerifyError,
    policy::ReplayWindow, redis::RedisStore, store::SessionStore, testing::TestClock,
};

use crate::support::{owner::owner, redis_server};

const SECOND: Duration = Duration::from_secs(1);
const WINDOW: u64 = 10;
/// Half a window, as the exhaustive model assumes.
const ROUND_TRIP: u64 = 5;

#[derive(Clone, Debug)]
enum Op {
    Send,
    Process { flight: usize, node: usize, responded: bool, again: bool },
    Land { flight: usize },
    Use { node: usize },
    Wait { seconds: u64 },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let flight = 0..4_usize;
    let op = prop_oneof![
        3 => Just(Op::Send),
        5 => (flight.clone(), 0..2_usize, prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(flight, node, responded, again)| Op::Process { flight, node, responded, again }),
        4 => flight.prop_map(|flight| Op::Land { flight }),
        1 => (0..2_usize).prop_map(|node| Op::Use { node }),
        3 => prop_oneof![4 => 1..6_u64, 1 => Just(WINDOW), 1 => Just(2 * WINDOW), 1 => Just(7_200)]
            .prop_map(|seconds| Op::Wait { seconds }),
    ];
    vec(op, 1..80)
}

/// The cookies of one browser.
#[derive(Clone, Default)]
struct Jar(BTreeMap<String, String>);

impl Jar {
    fn take(&mut self, lines: &[String]) {
        for line in lines {
            let pair = line.split(';').next().and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie has a name and a value");
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    fn headers(&self) -> HeaderMap {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = HeaderValue::from_str(&pairs.join("; ")).expect("cookies are ASCII");
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    /// The session and the generation of one of the tokens.
    fn read(&self, cookie: &str) -> (SessionId, u64) {
        let payload = self.0.get(cookie).and_then(|token| token.split('.').nth(1)).expect("a token");
        let claims: serde_json::Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON");
        let id = claims["sid"].as_str().and_then(|sid| sid.parse().ok()).expect("a session id");
        (id, claims["gen"].as_u64().expect("a generation"))
    }

    fn generation(&self) -> u64 {
        self.read("__Host-refresh").1
    }
}

fn lines(cookies: SessionCookies) -> Vec<String> {
    let response = cookies.into_response();
    response.headers().get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

struct Flight {
    sent: u64,
    request: HeaderMap,
    response: Option<Vec<String>>,
}

/// Two nodes on one store, by a clock that only the schedule moves.
struct World<S> {
    store: S,
    clock: TestClock,
    nodes: [SessionManager; 2],
    fixed: bool,
}

impl<S: SessionStore + Clone> World<S> {
    async fn new(store: S, clock: TestClock, fixed: bool) -> Self {
        let length = SECOND * WINDOW as u32;
        let window = if fixed { ReplayWindow::Fixed(length) } else { ReplayWindow::UntilConfirmed(length) };
        let node = || {
            SessionManager::builder()
                .access_keys(KeyRing::hs256([1; 32]).unwrap())
                .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
                .issuer("https://app.test")
                .replay_window(window)
                .clock(clock.clone())
                .store(store.clone())
                .build()
                .unwrap()
        };
        let nodes = [node(), node()];
        for node in &nodes {
            node.revocation_feed().caught_up().await;
        }
        Self { nodes, store, clock, fixed }
    }

    fn user() -> UserId {
        static USERS: AtomicU32 = AtomicU32::new(0);
        UserId::new(USERS.fetch_add(1, Ordering::Relaxed)).unwrap()
    }

    async fn login(&self, user: &UserId) -> Jar {
        let mut jar = Jar::default();
        jar.take(&lines(self.nodes[0].login(user).await.unwrap()));
        jar
    }

    async fn refresh(&self, node: usize, request: &HeaderMap) -> Result<Vec<String>, Error> {
        let node = &self.nodes[node];
        node.refresh(&node.verifier().present(request)).await.map(lines)
    }

    /// Sends a request with the access token, whose first use is noted.
    async fn use_access(&self, node: usize, user: &UserId, jar: &Jar) {
        if self.nodes[node].verifier().verify(&jar.headers()).is_ok() {
            let (id, generation) = jar.read("__Host-access");
            self.store.confirm(&owner(user), id, generation as u32).await.unwrap();
        }
    }

    async fn refused_everywhere(&self, jar: &Jar) {
        for node in &self.nodes {
            for _ in 0..10_000 {
                if node.verifier().verify(&jar.headers()).is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let refused = node.verifier().verify(&jar.headers()).unwrap_err();
            assert!(matches!(refused, VerifyError::Revoked | VerifyError::Expired), "{refused:?}");
            assert!(node.refresh(&node.verifier().present(&jar.headers())).await.is_err());
        }
    }

    /// A browser with several tabs: only a logout ends its session, on every node and permanently.
    async fn honest(&self, ops: &[Op]) {
        let user = Self::user();
        let mut jar = self.login(&user).await;
        let (mut now, mut flights, mut rotated_at, mut newest) = (0, Vec::<Flight>::new(), 0, jar.generation());
        for op in ops {
            let index = |flight: usize| flight.checked_rem(flights.len());
            match *op {
                Op::Send => flights.push(Flight { sent: now, request: jar.headers(), response: None }),
                Op::Process { flight, node, responded, again } => {
                    let Some(flight) = index(flight).and_then(|index| flights.get_mut(index)) else { continue };
                    if flight.response.is_some() {
                        continue;
                    }
                    let response = self.refresh(node, &flight.request).await.expect("the session is live");
                    let mut after = jar.clone();
                    after.take(&response);
                    if after.generation() > newest {
                        (newest, rotated_at) = (after.generation(), now);
                    }
                    match (responded, again) {
                        (_, true) => {}
                        (true, false) => flight.response = Some(response),
                        (false, false) => flight.sent = now.saturating_sub(ROUND_TRIP),
                    }
                }
                Op::Land { flight } => {
                    let Some(index) = index(flight).filter(|index| flights[*index].response.is_some()) else {
                        continue;
                    };
                    let before = jar.generation();
                    jar.take(&flights.swap_remove(index).response.unwrap_or_default());
                    assert!(jar.generation() >= before, "an older response overwrote a newer one");
                }
                Op::Use { node } => self.use_access(node, &user, &jar).await,
                Op::Wait { seconds } => {
                    // Of a fixed window it is assumed that a response arrives a round trip before its end.
                    if self.fixed && jar.generation() < newest && now + seconds > rotated_at + WINDOW - ROUND_TRIP {
                        jar.take(&self.refresh(0, &jar.headers()).await.expect("the session is live"));
                    }
                    now += seconds;
                    self.clock.advance(SECOND * seconds as u32);
                }
            }
            flights.retain(|flight| now < flight.sent + ROUND_TRIP);
        }
        jar.take(&self.refresh(1, &jar.headers()).await.expect("the session is live"));
        assert!(self.nodes.iter().all(|node| node.verifier().verify(&jar.headers()).is_ok()));
        let _removal = self.nodes[0].logout(&self.nodes[0].verifier().present(&jar.headers())).await.unwrap();
        self.refused_everywhere(&jar).await;
    }

    /// A thief copies the cookies after some steps, and both continue, apart from each other: a refresh of one of them
    /// detects it, and the session ends for both.
    async fn theft(&self, ops: &[Op], thief_first: bool, uses: bool) {
        let user = Self::user();
        let mut victim = self.login(&user).await;
        for op in ops {
            match *op {
                Op::Wait { seconds } => self.clock.advance(SECOND * seconds as u32),
                Op::Use { node } => self.use_access(node, &user, &victim).await,
                Op::Process { node, responded: true, .. } => {
                    victim.take(&self.refresh(node, &victim.headers()).await.unwrap());
                }
                _ => {}
            }
        }
        let mut parties = [victim.clone(), victim];
        let mut caught = false;
        for turn in 0..8 {
            self.clock.advance(SECOND * 3 * WINDOW as u32);
            let (node, party) = (turn % 2, usize::from(thief_first) ^ (turn % 2));
            match self.refresh(node, &parties[party].headers()).await {
                Ok(response) => parties[party].take(&response),
                Err(_) => caught = true,
            }
            // The thief acts as rarely as possible.
            if !caught && (party == 0 || uses) {
                self.use_access(node, &user, &parties[party]).await;
            }
        }
        assert!(caught, "the theft is not detected");
        for jar in &parties {
            self.refused_everywhere(jar).await;
        }
    }
}

fn check<S: SessionStore + Clone>(cases: u32, store: impl AsyncFn(TestClock) -> S) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for fixed in [true, false] {
        let clock = TestClock::new();
        let world = runtime.block_on(async { World::new(store(clock.clone()).await, clock, fixed).await });
        // A runner that has run keeps counting its successes.
        let runner = || TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let honest = runner().run(&ops(), |ops| {
            runtime.block_on(world.honest(&ops));
            Ok(())
        });
        honest.unwrap_or_else(|failure| panic!("fixed: {fixed}: {failure}"));
        let theft = runner().run(&(ops(), any::<bool>(), any::<bool>()), |(ops, thief_first, uses)| {
            runtime.block_on(world.theft(&ops, thief_first, uses));
            Ok(())
        });
        theft.unwrap_or_else(|failure| panic!("fixed: {fixed}: {failure}"));
    }
}

#[test]
fn random_schedules_hold_on_memory_store() {
    check(400, async |clock| MemoryStore::with_clock(clock));
}

#[test]
fn random_schedules_hold_on_redis() {
    let (server, prefix) = redis_server::shared();
    check(60, async |clock: TestClock| {
        let store = RedisStore::connect(&server.url()).await.unwrap();
        store.key_prefix(prefix.as_str()).unwrap().with_clock(clock)
    });
}
