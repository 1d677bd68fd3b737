//! A world: a store with some clients, two users and a clock of its own. Its clients work at the same time, come to rest,
//! and what they saw is checked; then the clock moves, and they go on.

use std::{
    collections::BTreeMap,
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
    checker,
    operation::{Answer, Operation},
    plan::{Burst, Plan},
    recorder::{History, Late, Recorded, Recorder},
    reference::{Rules, User},
    report, second_checker,
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

/// What follows a history.
#[derive(Clone, Copy)]
enum Then {
    Rest,
    /// Of the operations, only the first have happened.
    LastAreLost,
}

/// What a world has shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) operations: usize,
    pub(crate) lost: usize,
    pub(crate) histories: usize,
    pub(crate) compared: usize,
    pub(crate) failovers: usize,
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
        self.failovers += other.failovers;
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

pub(crate) struct World<S, E = Quiet> {
    settings: Settings,
    surroundings: E,
    chance: Chance,
    clock: TestClock,
    clients: Vec<Recorder<FaultyStore<S>>>,
    history: History,
    plan: Mutex<Plan>,
    /// What each user may be, and the history before.
    starts: Vec<Vec<User>>,
    before: Vec<String>,
    tally: Tally,
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
        let starts = vec![vec![User::new(settings.rules)]; users.len()];
        let before = vec![String::new(); users.len()];
        let plan = Mutex::new(Plan::new(users, clock.now(), &settings, &mut chance));
        Self {
            settings,
            surroundings,
            chance,
            clock: clock.clone(),
            clients,
            history,
            plan,
            starts,
            before,
            tally: Tally::default(),
        }
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
                self.check(history, &mut self.chance.branch(3_000_000 + number), Then::LastAreLost)?;
                self.tally.failovers += 1;
            }
            log = Box::pin(self.rest(log)).await;
            let history = self.history.take(log);
            self.check(history, &mut self.chance.branch(1_000_000 + number), Then::Rest)?;
            let now = self.clock.now();
            let later = self.plan().moved(now, &mut self.chance.branch(2_000_000 + number));
            if later < now {
                self.settings.rules.ages = false;
                self.clock.set(later);
            }
            self.clock.advance(later.since(now));
        }
        // What failed has been left behind by now, and the next steps complete it.
        self.clock.advance(Duration::from_secs(2));
        log = Box::pin(self.rest(log)).await;
        let history = self.history.take(log);
        self.check(history, &mut self.chance.branch(0), Then::Rest)?;
        if self.starts.iter().any(|starts| !starts.iter().any(User::is_published)) {
            let report = format!("ends are not published: {:#?}", self.starts);
            return Err(Caught { operations: self.tally.operations, report });
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

    /// Checks what was recorded of each user.
    fn check(&mut self, history: Vec<Recorded>, chance: &mut Chance, then: Then) -> Result<(), Caught> {
        let rules = self.settings.rules;
        let is_log = |recorded: &Recorded| matches!(recorded.operation, Operation::ReadLog { .. });
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
        for ((user, starts), before) in users.iter().zip(&mut self.starts).zip(&mut self.before) {
            let history: Vec<Recorded> = history.iter().filter(|recorded| recorded.owner == *user).cloned().collect();
            self.tally.histories += 1;
            let ends = match then {
                Then::Rest => checker::ends_of(starts, &history, rules),
                Then::LastAreLost => checker::beginnings_of(starts, &history, rules),
            };
            if history.len() <= 9 && chance.one_in(self.settings.compare_one_in) {
                self.tally.compared += 1;
                self.tally.refused += usize::from(compare(starts, &history, rules, chance));
            }
            match ends {
                Ok(ends) => {
                    *before = report::history(&history);
                    *starts = match then {
                        Then::Rest => User::at_rest(ends),
                        Then::LastAreLost => ends,
                    };
                }
                Err(violation) => {
                    let report = report::violation(&history, &violation, rules);
                    let report = format!("before that:\n{before}\n{report}");
                    return Err(Caught { operations: self.tally.operations, report });
                }
            }
        }
        Ok(())
    }
}

/// Asks both checkers about a history, and about one with answers that were exchanged. Returns whether they refuse that.
fn compare(starts: &[User], history: &[Recorded], rules: Rules, chance: &mut Chance) -> bool {
    let mut history = history.to_vec();
    // The second checker does not know when an operation without an answer is over.
    history.iter_mut().for_each(|recorded| recorded.over = None);
    let verdict = |history: &[Recorded]| {
        let is_ok = checker::ends_of(starts, history, rules).is_ok();
        assert_eq!(second_checker::is_linearizable(starts, history, rules), is_ok, "of {history:#?}");
        is_ok
    };
    verdict(&history);
    !verdict(&falsified(&history, chance))
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
