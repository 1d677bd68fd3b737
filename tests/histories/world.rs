//! A world: a store with some clients, two users and a clock of its own. Its clients work at the same time, come to rest,
//! and what they saw is checked; then the clock moves, and they go on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use futures_util::future::join_all;
use tower_jwt_sessions::{
    clock::Clock as _,
    store::{LogPosition, SessionStore},
    testing::{Fault, FaultyStore, TestClock},
};

use crate::{
    chance::Chance,
    checker,
    operation::{Answer, Operation},
    plan::{Burst, Plan},
    recorder::{History, Recorded, Recorder},
    reference::{Rules, User},
    report, second_checker,
    support::owner::owner,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How often the clients come to rest.
    pub(crate) bursts: usize,
    /// Whether steps fail, are late, or lose their answers.
    pub(crate) faults: bool,
    /// Whether each client is a thread; otherwise all of them take turns in an order that the seed repeats.
    pub(crate) threads: bool,
    /// Asks the second checker about one of so many short histories.
    pub(crate) compare_one_in: usize,
    pub(crate) rules: Rules,
}

/// What a world has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: usize,
    pub(crate) lost: usize,
    pub(crate) histories: usize,
    pub(crate) compared: usize,
    /// Falsified histories that both checkers refused.
    pub(crate) refused: usize,
    /// How often each case was answered.
    pub(crate) cases: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.lost += other.lost;
        self.histories += other.histories;
        self.compared += other.compared;
        self.refused += other.refused;
        for (case, times) in other.cases {
            *self.cases.entry(case).or_default() += times;
        }
    }
}

/// A history that is not linearizable.
#[derive(Debug)]
pub(crate) struct Caught {
    pub(crate) operations: usize,
    pub(crate) report: String,
}

pub(crate) struct World<S> {
    settings: Settings,
    chance: Chance,
    clock: TestClock,
    clients: Vec<Recorder<FaultyStore<S>>>,
    history: History,
    plan: Mutex<Plan>,
    starts: Vec<Vec<User>>,
    tally: Tally,
}

impl<S: SessionStore> World<S> {
    /// Returns a world of these clients, which share one empty store.
    pub(crate) fn new(stores: Vec<S>, clock: TestClock, seed: u64, settings: Settings) -> Self {
        let mut chance = Chance::new(seed);
        let users = vec![owner("alice"), owner("bob")];
        let history = History::of(users.clone());
        let client = |(number, store)| {
            let yields = chance.branch(number as u64);
            Recorder::new(FaultyStore::new(store), number, clock.clone(), history.clone(), yields)
        };
        let clients = stores.into_iter().enumerate().map(client).collect();
        let starts = vec![vec![User::default()]; users.len()];
        let plan = Mutex::new(Plan::new(users, clock.now(), &mut chance));
        Self { settings, chance, clock: clock.clone(), clients, history, plan, starts, tally: Tally::default() }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn run(mut self) -> Result<Tally, Caught> {
        let mut log = LogPosition::START;
        for number in 0..self.settings.bursts {
            let chance = self.chance.branch(1_000 + number as u64);
            self.burst(&chance, log).await;
            log = self.rest(log).await;
            let history = self.history.take(log);
            self.check(history, &mut self.chance.branch(1_000_000 + number as u64))?;
            let now = self.clock.now();
            let later = self.plan().moved(now, &mut self.chance.branch(2_000_000 + number as u64));
            if later < now {
                self.settings.rules.ages = false;
                self.clock.set(later);
            }
            self.clock.advance(later.since(now));
        }
        Ok(self.tally)
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
            join_all(clients).await;
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
        if let Ok(answer) = operation.ask(client, &owner).await {
            self.plan().learn(&operation, &answer);
        }
    }

    /// Reads all that there is. Returns where the log is.
    async fn rest(&self, log: LogPosition) -> LogPosition {
        self.clients.iter().for_each(|client| client.store.recover());
        let Some(client) = self.clients.first() else { return log };
        let users = self.plan().users.clone();
        for (number, user) in users.iter().enumerate() {
            let Ok(Answer::Listed(list)) = Operation::List.ask(client, user).await else {
                panic!("no operation fails at rest")
            };
            for listed in &list.sessions {
                let data = Operation::GetData(listed.id).ask(client, user).await;
                self.plan().learn(&Operation::GetData(listed.id), &data.expect("no operation fails at rest"));
            }
            let live: Vec<_> = list.sessions.iter().map(|listed| (listed.id, listed.record)).collect();
            self.plan().rest(number, &live);
        }
        let page = client.read_log(log, std::time::Duration::ZERO).await.expect("no operation fails at rest");
        page.newest
    }

    /// Checks what was recorded of each user.
    fn check(&mut self, history: Vec<Recorded>, chance: &mut Chance) -> Result<(), Caught> {
        let rules = self.settings.rules;
        let is_log = |recorded: &Recorded| matches!(recorded.operation, Operation::ReadLog(_));
        let users = self.plan().users.clone();
        // A reading of the log is one operation, though it concerns every user.
        let first = &users[0];
        for recorded in history.iter().filter(|recorded| !is_log(recorded) || recorded.owner == *first) {
            self.tally.operations += 1;
            match &recorded.answered {
                Some((_, answer)) => *self.tally.cases.entry(answer.case()).or_default() += 1,
                None => self.tally.lost += 1,
            }
        }
        for (user, starts) in users.iter().zip(&mut self.starts) {
            let history: Vec<Recorded> = history.iter().filter(|recorded| recorded.owner == *user).cloned().collect();
            self.tally.histories += 1;
            let ends = checker::ends_of(starts, &history, rules);
            if history.len() <= 9 && chance.one_in(self.settings.compare_one_in) {
                self.tally.compared += 1;
                assert_eq!(second_checker::is_linearizable(starts, &history, rules), ends.is_ok(), "of {history:#?}");
                let false_one = falsified(&history, chance);
                let is_ok = checker::ends_of(starts, &false_one, rules).is_ok();
                assert_eq!(second_checker::is_linearizable(starts, &false_one, rules), is_ok, "of {false_one:#?}");
                self.tally.refused += usize::from(!is_ok);
            }
            match ends {
                Ok(ends) => *starts = ends.into_iter().map(User::at_rest).collect(),
                Err(violation) => {
                    let report = report::violation(&history, &violation, rules);
                    return Err(Caught { operations: self.tally.operations, report });
                }
            }
        }
        Ok(())
    }
}

/// Returns the history with the answers of two operations exchanged.
fn falsified(history: &[Recorded], chance: &mut Chance) -> Vec<Recorded> {
    let mut history = history.to_vec();
    let (one, other) = (chance.below(history.len()), chance.below(history.len()));
    let answers = [one, other].map(|index| history[index].answered.clone());
    if let [Some((at_one, first)), Some((at_other, second))] = answers {
        history[one].answered = Some((at_one, second));
        history[other].answered = Some((at_other, first));
    }
    history
}
