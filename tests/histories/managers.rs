//! Managers on one store, whose steps are recorded: clients with cookies log in, refresh, log out and write data, and the
//! managers record first uses and retry ends in the background.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tower_jwt_sessions::{
    MemoryStore, SessionManager,
    policy::{ReplayWindow, SessionLimit},
    store::{LogPosition, SessionStore},
    testing::{Fault, FaultyStore, TestClock},
};

use crate::{
    backends::{Connected, MEMORY, REDIS},
    chance::Chance,
    checks::{Caught, Checks, Tally, Then},
    operation::{Answer, Operation},
    recorder::{History, Late, Recorded, Recorder},
    reference::Rules,
    support::{cookies::Jar, nodes::node, owner::owner},
};

const USERS: [&str; 2] = ["alice", "bob"];
const BURSTS: usize = 12;

/// Nodes with a store in memory, or with connections to Redis.
pub(crate) struct Nodes(pub(crate) Connected);

impl Nodes {
    /// In turns in memory and on Redis.
    pub(crate) async fn world(&self, seed: u64) -> Result<Tally, Caught> {
        let clock = TestClock::new();
        if seed.is_multiple_of(2) {
            return run(vec![MemoryStore::with_clock(clock.clone()); 3], clock, seed, MEMORY.rules).await;
        }
        run(self.0.stores_of(seed, &clock), clock, seed, REDIS.rules).await
    }
}

struct World<S> {
    nodes: Vec<SessionManager>,
    stores: Vec<FaultyStore<S>>,
    reader: Recorder<FaultyStore<S>>,
    history: History,
    /// The cookies of all clients, also those that were superseded.
    jars: Mutex<Vec<Jar>>,
}

async fn run<S: SessionStore>(stores: Vec<S>, clock: TestClock, seed: u64, rules: Rules) -> Result<Tally, Caught> {
    let mut chance = Chance::new(seed);
    let users: Vec<_> = USERS.into_iter().map(owner).collect();
    let history = History::of(users.clone());
    let stores: Vec<FaultyStore<S>> = stores.into_iter().map(FaultyStore::new).collect();
    let recorder = |number: usize, store: &FaultyStore<S>| {
        let yields = chance.branch(number as u64);
        Recorder::new(store.clone(), number, clock.clone(), history.clone(), yields, Late::Never)
    };
    let reader = recorder(stores.len(), &stores[0]);
    let recorders: Vec<_> = stores.iter().enumerate().map(|(number, store)| recorder(number, store)).collect();
    let limit = SessionLimit::evict(std::num::NonZeroU32::MIN.saturating_add(chance.below(4) as u32));
    let length = Duration::from_secs(10);
    let window = chance.of([ReplayWindow::Fixed(length), ReplayWindow::UntilConfirmed(length)]);
    let build = |recorder| node(recorder).clock(clock.clone()).session_limit(limit).replay_window(window).build();
    let nodes: Vec<SessionManager> = recorders.into_iter().map(|recorder| build(recorder).expect("settings")).collect();
    for node in &nodes {
        node.revocation_feed().caught_up().await;
    }
    let world = World { nodes, stores, reader, history, jars: Mutex::default() };
    let mut checks = Checks::new(users, rules, MEMORY.compare_one_in);
    let mut log = LogPosition::START;
    for number in 0..BURSTS {
        Box::pin(world.burst(&chance.branch(1_000 + number as u64))).await;
        let history = Box::pin(world.rest(&mut log)).await;
        checks.check(history, &mut chance.branch(1_000_000 + number as u64), Then::Rest)?;
        // No operation is running, so the time of each is known.
        clock.advance(Duration::from_millis(chance.of([0, 1, 5_000, 9_999, 10_000, 10_001, 20_000])));
    }
    checks.finish()
}

impl<S: SessionStore> World<S> {
    async fn burst(&self, chance: &Chance) {
        let mut common = chance.clone();
        if common.one_in(2) {
            let fault = if common.one_in(3) { Fault::fails() } else { Fault::loses_answer() };
            let _injected = self.stores[common.below(self.stores.len())].inject(fault.times(1 + common.below(2)));
        }
        let clients = self.nodes.iter().enumerate().map(|(number, node)| {
            let mut chance = chance.branch(number as u64);
            async move {
                for _ in 0..1 + chance.below(3) {
                    Box::pin(self.operate(node, &mut chance)).await;
                }
            }
        });
        join_all(clients).await;
        self.stores.iter().for_each(FaultyStore::recover);
    }

    /// One request of a client. Failures are part of the history.
    async fn operate(&self, node: &SessionManager, chance: &mut Chance) {
        let user = USERS[usize::from(chance.one_in(4))];
        let mut jar = self.jar(chance);
        let presented = node.verifier().present(&jar.headers());
        match chance.below(20) {
            0..4 => {
                let mut login = node.login(user);
                if chance.one_in(3) {
                    login = login.replacing(presented);
                }
                if chance.one_in(2) {
                    login = login.data(&chance.below(100));
                }
                if chance.one_in(2) {
                    login = login.proven_since(node.start_proof());
                }
                if let Ok(cookies) = login.await {
                    self.keep(Jar::of(cookies));
                }
            }
            4..10 => {
                // Some clients lose the response.
                if jar.refresh(node).await.is_ok() && !chance.one_in(4) {
                    self.keep(jar);
                }
            }
            10 | 11 => drop(node.logout(&presented).await),
            12 => drop(node.end_all(user).await),
            13 => drop(node.expire_access(user).await),
            14 => drop(node.list(user).await),
            // The first use of a token is recorded in the background.
            _ => {
                let Some(session) = jar.visit(node) else { return };
                match chance.below(5) {
                    0 => drop(node.end_others(&session).await),
                    1 | 2 => drop(node.update_data(&session, |count: Option<u64>| count.unwrap_or(0) + 1).await),
                    _ => {}
                }
            }
        }
    }

    /// Returns the cookies of a client, mostly of one that has logged in or refreshed lately.
    fn jar(&self, chance: &mut Chance) -> Jar {
        let jars = self.jars.lock().unwrap_or_else(PoisonError::into_inner);
        let first = if chance.one_in(4) { 0 } else { jars.len().saturating_sub(4) };
        chance.pick(&jars[first..]).unwrap_or_default()
    }

    fn keep(&self, jar: Jar) {
        self.jars.lock().unwrap_or_else(PoisonError::into_inner).push(jar);
    }

    /// Reads all that there is, until nothing else happens meanwhile. Returns the history.
    async fn rest(&self, log: &mut LogPosition) -> Vec<Recorded> {
        loop {
            while self.history.is_running() {
                tokio::task::yield_now().await;
            }
            for user in USERS.map(owner) {
                let Ok(Answer::Listed(list)) = Operation::List.ask(&self.reader, &user).await else {
                    panic!("no operation fails at rest")
                };
                for listed in list.sessions {
                    let data = Operation::GetData(listed.id).ask(&self.reader, &user).await;
                    data.expect("no operation fails at rest");
                }
            }
            let page = self.reader.read_log(*log, Duration::ZERO).await.expect("no operation fails at rest");
            if let Some(history) = self.history.take_if_last_is_of(self.nodes.len(), page.newest) {
                *log = page.newest;
                return history;
            }
        }
    }
}
