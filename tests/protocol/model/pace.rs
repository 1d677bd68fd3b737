//! A thief who keeps pace: it presents the victim's refresh token, discards the responses, and uses access tokens whose
//! use confirms nothing, so that the session of the absent victim does not change.
//!
//! The models bound the time for which the thief is served like that since the victim's last refresh, whose response it
//! has as well. After that, the thief has no valid token, or the victim's next refresh ends the session.

use stateright::{Model, Property};
use tower_jwt_sessions::store::{Rotation, SessionRecord};

use crate::model::{
    explore,
    record::{Record, Rules, Window},
    table::Table,
};

/// The lifetime of an access token in ticks, and of a short one.
const LONG: u8 = 9;
const SHORT: u8 = 3;
/// The victim's generation. There is one before it.
const VICTIM: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// `None`: the session has ended.
    record: Option<Record>,
    /// The remaining lifetime of the thief's access token of the victim's generation.
    access: u8,
    /// The newest generation that the thief has, and the remaining lifetime of its access token.
    newest: u32,
    newest_access: u8,
    /// The ticks in which the thief was served undetected, and whether this one is counted.
    unseen: u8,
    is_counted: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    PresentTheVictims,
    PresentTheNewest,
    Use,
    UseTheNewest,
    Tick,
}

#[derive(Clone, Copy)]
struct Pace {
    rules: Rules,
    /// The greatest number of ticks in which the thief is served undetected.
    bound: u8,
    /// Whether access tokens of superseded generations are short.
    short: bool,
}

impl Pace {
    fn new(window: Window) -> Self {
        let rules = Rules::new(window, 2);
        Self { rules, bound: bound(rules), short: true }
    }

    fn with(self, table: Table) -> Self {
        Self { rules: self.rules.with(table), ..self }
    }

    /// Returns whether the victim's token is accepted much later.
    fn is_unseen(&self, mut record: Record) -> bool {
        (0..2 * self.rules.length).for_each(|_| record.age(self.rules));
        record.successor(self.rules, VICTIM).is_some()
    }

    /// Returns the generation and lifetime of the access token that the manager issues for this outcome.
    fn issue(&self, rotation: Rotation, presented: u32, record: Record) -> (u32, u8) {
        match rotation {
            Rotation::Rotated | Rotation::Repeated => (record.0.generation, LONG),
            Rotation::Current if self.short && presented < record.0.generation => (presented, SHORT),
            Rotation::Current if record.rotated_ago(self.rules.length * 2) => (presented, SHORT),
            Rotation::Current => (presented, LONG),
            _ => unreachable!("a new row of the table"),
        }
    }
}

/// The last access token of full length is from the end of the two windows in which the victim's refresh token is
/// fresh. Each response that the thief discards gives it short ones: the first a window later, the last at the end of
/// the second.
fn bound(rules: Rules) -> u8 {
    let window = rules.length;
    let discarded = match rules.window {
        Window::Fixed => 0,
        Window::UntilConfirmed => SessionRecord::MAX_LOST_ANSWERS as u8,
    };
    (2 * window - 1 + LONG) + discarded * (window - 1 + SHORT)
}

const UNSEEN: &str = "a thief who keeps pace is out or found within the bound";

impl Model for Pace {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        // The victim has just refreshed and used what it got, and so has the thief, within the window.
        let mut record = Record::login();
        let rotated = record.present(self.rules, VICTIM - 1);
        assert_eq!(rotated, Some(Rotation::Rotated));
        record.confirm(self.rules, VICTIM);
        vec![State {
            record: Some(record),
            access: LONG,
            newest: VICTIM,
            newest_access: 0,
            unseen: 0,
            is_counted: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // Once any refresh of the victim detects the theft, there is nothing more to explore.
        if !state.record.is_some_and(|record| self.is_unseen(record)) {
            return;
        }
        actions.extend([Action::Tick, Action::PresentTheVictims]);
        if state.newest > VICTIM {
            actions.push(Action::PresentTheNewest);
        }
        if state.access > 0 {
            actions.push(Action::Use);
        }
        if state.newest_access > 0 {
            actions.push(Action::UseTheNewest);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::PresentTheVictims | Action::PresentTheNewest => {
                let presented = if action == Action::PresentTheNewest { state.newest } else { VICTIM };
                let record = state.record.as_mut()?;
                match record.present(self.rules, presented) {
                    None => state.record = None,
                    Some(rotation) => match self.issue(rotation, presented, *record) {
                        (VICTIM, lives) => state.access = state.access.max(lives),
                        (newer, lives) => {
                            let left = if newer == state.newest { state.newest_access } else { 0 };
                            (state.newest, state.newest_access) = (newer, left.max(lives));
                        }
                    },
                }
            }
            Action::Use | Action::UseTheNewest => {
                let generation = if action == Action::Use { VICTIM } else { state.newest };
                let record = state.record.as_mut()?;
                record.confirm(self.rules, generation);
                let record = *record;
                if self.is_unseen(record) && !state.is_counted {
                    state.unseen += 1;
                    state.is_counted = true;
                }
            }
            Action::Tick => {
                state.record.iter_mut().for_each(|record| record.age(self.rules));
                state.access = state.access.saturating_sub(1);
                state.newest_access = state.newest_access.saturating_sub(1);
                state.is_counted = false;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(UNSEEN, |model: &Self, state: &State| state.unseen <= model.bound),
            Property::sometimes("a thief is served unseen for as long as that", |model: &Self, state: &State| {
                state.unseen == model.bound
            }),
        ]
    }
}

#[test]
fn thief_keeping_pace_is_out_or_detected_within_bound() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        let pace = Pace::new(window);
        let name = format!("thief keeps pace, {window:?}, access {LONG} and {SHORT}: {} ticks at most", pace.bound);
        explore::holds(&name, pace);
    }
}

#[test]
fn broken_tables_violate_properties() {
    let pace = Pace::new(Window::UntilConfirmed);
    explore::finds("LosesWithoutEnd", pace.with(Table::LosesWithoutEnd), UNSEEN);
    explore::finds("access of a superseded generation is long", Pace { short: false, ..pace }, UNSEEN);
    for window in [Window::Fixed, Window::UntilConfirmed] {
        explore::finds("PreviousNeverCloses", Pace::new(window).with(Table::PreviousNeverCloses), UNSEEN);
    }
}
