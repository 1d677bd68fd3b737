//! A world: a store with some clients, two users and a clock of its own. Its clients work at the same time, come to rest,
//! and what they saw is checked; then the clock moves, and they go on.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use futures_util::future::{join, join_all};
use tower_jwt_sessions::{
    clock::Clock as _,
    store::{LogPosition, SessionStore},
    testing::{Fault, FaultyStore, TestClock},
};

use crate::{
    chance::Chance,
    checks::{Caught, Checks, Tally, Then},
    operation::{Answer, Operation},
    plan::{Burst, Plan},
    recorder::{History, Late, Recorder},
    reference::Rules,
    support::owner::owner,
};

/// What happens to the servers of a world.
pub(crate) trait Surroundings: Sync {
    /// While the clients work.
    async fn disturb(&self, _: Chance) {}

    /// Before they come to rest.
    async fn calm(&self) {}

    /// Before they come to rest. Returns whether the store may have lost the last operations.
    async fn fail_over(&self) -> bool {
        false
    }
}

/// Nothing happens.
pub(crate) struct Quiet;

impl Surroundings for Quiet {}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How often the clients come to rest.
    pub(crate) bursts: usize,
    /// Whether steps fail, are late, or lose their answers.
    pub(crate) faults: bool,
    /// Whether each client is a thread; otherwise all of them take turns in an order that the seed repeats.
    pub(crate) threads: bool,
    /// Whether the store has a clock that is not that of the world, and that moves.
    pub(crate) by_server_clock: bool,
    /// Whether the clock is also set back.
    pub(crate) set_back: bool,
    /// Asks the second checker about one of so many short histories.
    pub(crate) compare_one_in: usize,
    pub(crate) rules: Rules,
    pub(crate) late: Late,
}

pub(crate) struct World<S, E = Quiet> {
    settings: Settings,
    surroundings: E,
    chance: Chance,
    clock: TestClock,
    clients: Vec<Recorder<FaultyStore<S>>>,
    history: History,
    plan: Mutex<Plan>,
    checks: Checks,
}

impl<S: SessionStore> World<S> {
    /// Returns a world of these clients, which share one empty store.
    pub(crate) fn new(stores: Vec<S>, clock: TestClock, seed: u64, settings: Settings) -> Self {
        Self::within(Quiet, stores, clock, seed, settings)
    }
}

impl<S: SessionStore, E: Surroundings> World<S, E> {
    pub(crate) fn within(surroundings: E, stores: Vec<S>, clock: TestClock, seed: u64, settings: Settings) -> Self {
        let mut chance = Chance::new(seed);
        let users = vec![owner("alice"), owner("bob")];
        let history = History::of(users.clone());
        let client = |(number, store)| {
            let yields = chance.branch(number as u64);
            Recorder::new(FaultyStore::new(store), number, clock.clone(), history.clone(), yields, settings.late)
        };
        let clients = stores.into_iter().enumerate().map(client).collect();
        let checks = Checks::new(users.clone(), settings.rules, settings.compare_one_in);
        let plan = Mutex::new(Plan::new(users, clock.now(), &settings, &mut chance));
        Self { settings, surroundings, chance, clock: clock.clone(), clients, history, plan, checks }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn run(mut self) -> Result<Tally, Caught> {
        let mut log = LogPosition::START;
        for number in 0..self.settings.bursts {
            let number = number as u64;
            let chance = self.chance.branch(1_000 + number);
            Box::pin(self.burst(&chance, log)).await;
            self.clients.iter().for_each(|client| client.store.recover());
            if self.surroundings.fail_over().await {
                let history = self.history.take(log);
                self.checks.check(history, &mut self.chance.branch(3_000_000 + number), Then::LastAreLost)?;
                self.checks.tally.failovers += 1;
            }
            log = Box::pin(self.rest(log)).await;
            let history = self.history.take(log);
            self.checks.check(history, &mut self.chance.branch(1_000_000 + number), Then::Rest)?;
            let now = self.clock.now();
            let later = self.plan().moved(now, &mut self.chance.branch(2_000_000 + number));
            if later < now {
                self.checks.rules.ages = false;
                self.clock.set(later);
            }
            self.clock.advance(later.since(now));
        }
        // What failed has been left behind by now, and the next steps complete it.
        self.clock.advance(Duration::from_secs(2));
        log = Box::pin(self.rest(log)).await;
        let history = self.history.take(log);
        self.checks.check(history, &mut self.chance.branch(0), Then::Rest)?;
        self.checks.finish()
    }

    /// All clients work at the same time.
    async fn burst(&self, chance: &Chance, log: LogPosition) {
        let mut common = chance.clone();
        let burst = self.plan().burst(&mut common);
        if self.settings.faults && common.one_in(2) {
            let fault = common.below(self.clients.len());
            let fault = &self.clients[fault].store;
            let _injected = fault.inject(match common.below(6) {
                0..3 => Fault::loses_answer().times(1 + common.below(2)),
                3 => Fault::fails().times(1),
                4 => Fault::delays().times(1),
                _ => Fault::delays_answer().times(1),
            });
        }
        let length = 1 + common.below(6);
        let done = AtomicUsize::new(0);
        let clients = self.clients.iter().enumerate().map(|(number, client)| {
            let (burst, done) = (&burst, &done);
            let mut chance = chance.branch(number as u64);
            async move {
                for _ in 0..1 + chance.below(length) {
                    self.operate(client, burst, &mut chance, log).await;
                }
                // At the latest now, what is late goes on.
                if done.fetch_add(1, SeqCst) + 1 >= self.clients.len() - 1 {
                    self.clients.iter().for_each(|client| client.store.recover());
                }
            }
        });
        if !self.settings.threads {
            join(join_all(clients), self.surroundings.disturb(chance.branch(99))).await;
            return;
        }
        thread::scope(|scope| {
            for client in clients {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    runtime.block_on(client);
                });
            }
        });
    }

    async fn operate(&self, client: &Recorder<FaultyStore<S>>, burst: &Burst, chance: &mut Chance, log: LogPosition) {
        let (owner, operation) = self.plan().next(burst, chance, self.clock.now(), log);
        // Boxed, as elsewhere: futures of unoptimized code would exceed the stack of a test.
        if let Ok(answer) = Box::pin(operation.ask(client, &owner)).await {
            self.plan().learn(&operation, &answer);
        }
    }

    /// Reads all that there is. Returns where the log is.
    async fn rest(&self, log: LogPosition) -> LogPosition {
        if self.settings.by_server_clock {
            // What is still held changes nothing after this.
            self.read_all(log).await;
        }
        self.surroundings.calm().await;
        self.history.set_at_rest(true);
        let newest = self.read_all(log).await;
        self.history.set_at_rest(false);
        newest
    }

    async fn read_all(&self, log: LogPosition) -> LogPosition {
        let Some(client) = self.clients.first() else { return log };
        let users = self.plan().users.clone();
        for (number, user) in users.iter().enumerate() {
            let Ok(Answer::Listed(list)) = Box::pin(Operation::List.ask(client, user)).await else {
                panic!("no operation fails at rest")
            };
            for listed in &list.sessions {
                let data = Box::pin(Operation::GetData(listed.id).ask(client, user)).await;
                self.plan().learn(&Operation::GetData(listed.id), &data.expect("no operation fails at rest"));
            }
            let live: Vec<_> = list.sessions.iter().map(|listed| (listed.id, listed.record)).collect();
            self.plan().rest(number, &live);
        }
        let page = client.read_log(log, Duration::ZERO).await.expect("no operation fails at rest");
        page.newest
    }
}
