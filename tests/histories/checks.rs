//! Checks the histories of a world, one after the other, for each of its users.

use std::collections::BTreeMap;

use tower_jwt_sessions::store::Owner;

use crate::{
    chance::Chance,
    checker,
    operation::Operation,
    recorder::Recorded,
    reference::{Rules, User},
    report, second_checker,
};

/// What follows a history.
#[derive(Clone, Copy)]
pub(crate) enum Then {
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

pub(crate) struct Checks {
    users: Vec<Owner>,
    pub(crate) rules: Rules,
    compare_one_in: usize,
    /// What each user may be, and the history before.
    starts: Vec<Vec<User>>,
    before: Vec<String>,
    pub(crate) tally: Tally,
}

impl Checks {
    /// Returns the checks of users without sessions.
    pub(crate) fn new(users: Vec<Owner>, rules: Rules, compare_one_in: usize) -> Self {
        let starts = vec![vec![User::new(rules)]; users.len()];
        let before = vec![String::new(); users.len()];
        Self { users, rules, compare_one_in, starts, before, tally: Tally::default() }
    }

    /// Checks what was recorded of each user.
    pub(crate) fn check(&mut self, history: Vec<Recorded>, chance: &mut Chance, then: Then) -> Result<(), Caught> {
        let rules = self.rules;
        let is_log = |recorded: &Recorded| matches!(recorded.operation, Operation::ReadLog { .. });
        // A reading of the log is one operation, though it concerns every user.
        let first = &self.users[0];
        for recorded in history.iter().filter(|recorded| !is_log(recorded) || recorded.owner == *first) {
            self.tally.operations += 1;
            match &recorded.answered {
                Some((_, answer)) => *self.tally.cases.entry(answer.case()).or_default() += 1,
                None => self.tally.lost += 1,
            }
        }
        for ((user, starts), before) in self.users.iter().zip(&mut self.starts).zip(&mut self.before) {
            let history: Vec<Recorded> = history.iter().filter(|recorded| recorded.owner == *user).cloned().collect();
            self.tally.histories += 1;
            let ends = match then {
                Then::Rest => checker::ends_of(starts, &history, rules),
                Then::LastAreLost => checker::beginnings_of(starts, &history, rules),
            };
            if (1..=9).contains(&history.len()) && chance.one_in(self.compare_one_in) {
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

    /// Checks that all ends are published, and returns what was shown.
    pub(crate) fn finish(self) -> Result<Tally, Caught> {
        if self.starts.iter().any(|starts| !starts.iter().any(User::is_published)) {
            let report = format!("ends are not published: {:#?}", self.starts);
            return Err(Caught { operations: self.tally.operations, report });
        }
        Ok(self.tally)
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
