//! A victim and a thief who copied the victim's cookies, once, at any time.

use stateright::{Model, Property};
use tower_jwt_sessions::store::Rotation;

use crate::model::{
    explore,
    honest::{Content, Jar},
    record::{Record, Renumbering, Rules, Window},
    table::Table,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Party {
    Victim,
    Thief,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// `None`: the session has ended.
    record: Option<Record>,
    jar: Jar,
    /// The response that the victim's browser is waiting for, and since when.
    flight: Option<(u8, Content)>,
    /// The generations that the thief has, in order.
    stolen: Vec<u32>,
    /// The party that reached the server last, and how long ago.
    last_seen: (Party, u8),
    /// How often since the theft a refresh token went to one party after one had gone to the other.
    turns: u8,
    last_served: Party,
    /// For generations whose window is closing, as seen from outside, for how long it has been.
    closing: Vec<(u32, u8)>,
    /// Whether a token was accepted after its window.
    late_honoured: bool,
    /// Whether the store's clock was set back.
    set_back: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Steal,
    /// The thief refreshes with one of its tokens.
    ThiefRefreshes(u32),
    ThiefUses(u32),
    Send,
    Process,
    ProcessAndLose,
    Land,
    Lose,
    Use,
    Tick,
    SetBack,
}

#[derive(Clone, Copy)]
struct Theft {
    rules: Rules,
    round_trip: u8,
    /// The requests of the two are never within two windows of each other, as those of two tabs would be.
    apart: bool,
    /// Whether the store's clock may be set back, once.
    sets_back: bool,
}

impl Theft {
    fn new(window: Window) -> Self {
        Self { rules: Rules::new(window, 2), round_trip: 2, apart: false, sets_back: false }
    }

    fn setting_back(window: Window) -> Self {
        Self { sets_back: true, ..Self::new(window) }
    }

    fn apart(window: Window) -> Self {
        Self { apart: true, ..Self::new(window) }
    }

    fn apart_by(&self) -> u8 {
        self.rules.length * 2
    }

    fn with(self, table: Table) -> Self {
        Self { rules: self.rules.with(table), ..self }
    }
}

impl State {
    fn may_act(&self, model: &Theft, party: Party) -> bool {
        !model.apart || self.stolen.is_empty() || self.last_seen.0 == party || self.last_seen.1 >= model.apart_by()
    }

    fn present(&mut self, rules: Rules, party: Party, generation: u32) -> Option<Content> {
        self.last_seen = (party, 0);
        let record = self.record.as_mut()?;
        let before = record.0;
        let Some(rotation) = record.present(rules, generation) else {
            self.record = None;
            return None;
        };
        let now = record.0.generation;
        let closed = self.closing.iter().any(|(closing, age)| *closing == generation && *age >= rules.length);
        self.late_honoured |= closed;
        match rules.window {
            // From the rotation on.
            Window::Fixed if now != before.generation => self.close_below(now),
            // From the first use of a successor on.
            Window::UntilConfirmed if generation == before.generation => self.close_below(generation),
            _ => {}
        }
        Some(Content::response(rotation, generation, now))
    }

    fn use_access(&mut self, rules: Rules, party: Party, generation: u32) {
        self.last_seen = (party, 0);
        let current = self.record.as_mut().is_some_and(|record| record.confirm(rules, generation));
        if current && rules.window == Window::UntilConfirmed {
            self.close_below(generation);
        }
    }

    fn close_below(&mut self, generation: u32) {
        for older in self.tokens() {
            if older < generation && self.closing.iter().all(|(closing, _)| *closing != older) {
                self.closing.push((older, 0));
            }
        }
    }

    fn served(&mut self, party: Party, response: Content) {
        if matches!(response, Content::AccessOnly(_)) {
            return;
        }
        if !self.stolen.is_empty() && self.last_served != party {
            self.turns = (self.turns + 1).min(9);
        }
        self.last_served = party;
    }

    /// Returns the generations that either party has.
    fn tokens(&self) -> Vec<u32> {
        let flight = self.flight.map(|(_, content)| content.generation());
        [self.jar.refresh, self.jar.access].into_iter().chain(flight).chain(self.stolen.iter().copied()).collect()
    }

    fn canonical(mut self, apart: bool) -> Self {
        if !apart {
            (self.last_seen, self.last_served, self.turns) = ((Party::Victim, 0), Party::Victim, 0);
        }
        // Tokens that can only end the session are equivalent.
        let alive: Vec<u32> = self.record.iter().flat_map(Record::generations).collect();
        let new = Renumbering::of(alive.iter().copied().chain([0]));
        let apply = |generation: &mut u32| {
            if !alive.contains(generation) {
                *generation = 0;
            }
            new.apply(generation);
        };
        self.flight.iter_mut().for_each(|(_, content)| apply(content.generation_mut()));
        self.stolen.iter_mut().for_each(apply);
        self.closing.iter_mut().for_each(|(generation, _)| apply(generation));
        apply(&mut self.jar.refresh);
        apply(&mut self.jar.access);
        self.record.iter_mut().for_each(|record| new.apply_to_record(record));
        self.stolen.sort_unstable();
        self.stolen.dedup();
        let tokens = self.tokens();
        self.closing.retain(|(generation, _)| tokens.contains(generation));
        self.closing.sort_unstable();
        self.closing.dedup_by_key(|(generation, _)| *generation);
        self
    }
}

const ENDS: &str = "a token after its window always ends the session";
const CAUGHT: &str = "two parties do not go on side by side";
const NO_FORK: &str = "there are never two live successors";

/// Returns how often a refresh token can go to one party after one went to the other, at most.
fn most_turns(window: Window) -> u8 {
    match window {
        Window::Fixed => 1,
        Window::UntilConfirmed => 4,
    }
}

impl Model for Theft {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            record: Some(Record::login()),
            jar: Jar { refresh: 1, access: 1 },
            flight: None,
            stolen: Vec::new(),
            last_seen: (Party::Victim, 0),
            turns: 0,
            last_served: Party::Victim,
            closing: Vec::new(),
            late_honoured: false,
            set_back: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.record.is_none() {
            return;
        }
        actions.push(Action::Tick);
        if self.sets_back && !state.set_back {
            actions.push(Action::SetBack);
        }
        if state.stolen.is_empty() {
            actions.push(Action::Steal);
        }
        if state.may_act(self, Party::Thief) {
            actions.extend(state.stolen.iter().map(|generation| Action::ThiefRefreshes(*generation)));
            actions.extend(state.stolen.last().map(|generation| Action::ThiefUses(*generation)));
        }
        let victim = state.may_act(self, Party::Victim);
        match state.flight {
            None => actions.push(Action::Send),
            Some((_, Content::Request(_))) if victim => {
                actions.extend([Action::Process, Action::ProcessAndLose, Action::Lose]);
            }
            Some((_, Content::Request(_))) => actions.push(Action::Lose),
            Some(_) => actions.extend([Action::Land, Action::Lose]),
        }
        if victim {
            actions.push(Action::Use);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Steal => state.stolen.push(state.jar.refresh),
            Action::ThiefRefreshes(generation) => {
                if let Some(response) = state.present(self.rules, Party::Thief, generation) {
                    state.served(Party::Thief, response);
                    state.stolen.push(response.generation());
                }
            }
            Action::ThiefUses(generation) => state.use_access(self.rules, Party::Thief, generation),
            Action::Send => state.flight = Some((0, Content::Request(state.jar.refresh))),
            Action::Process | Action::ProcessAndLose => {
                let (age, request) = state.flight.take()?;
                let response = state.present(self.rules, Party::Victim, request.generation());
                if action == Action::Process {
                    state.flight = response.map(|response| (age, response));
                }
            }
            Action::Land => {
                let (_, response) = state.flight.take()?;
                state.jar.take(response);
                state.served(Party::Victim, response);
            }
            Action::Lose => state.flight = None,
            Action::SetBack => {
                state.record.iter_mut().for_each(Record::set_back);
                state.set_back = true;
            }
            Action::Use => state.use_access(self.rules, Party::Victim, state.jar.access),
            Action::Tick => {
                state.record.iter_mut().for_each(|record| record.age(self.rules));
                let capped = |age: &mut u8| *age = (*age + 1).min(self.rules.length);
                state.closing.iter_mut().for_each(|(_, age)| capped(age));
                state.last_seen.1 = (state.last_seen.1 + 1).min(self.apart_by());
                state.flight = state.flight.map(|(age, content)| (age + 1, content));
                state.flight = state.flight.filter(|(age, _)| *age < self.round_trip);
            }
        }
        Some(state.canonical(self.apart))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ENDS, |_, state: &State| !state.late_honoured),
            Property::always(NO_FORK, |model: &Self, state: &State| {
                state.record.is_none_or(|record| !record.forks(model.rules, &state.tokens()))
            }),
            Property::sometimes("the session ends", |_, state: &State| state.record.is_none()),
            Property::sometimes("the thief has a generation that the victim never had", |_, state: &State| {
                state.stolen.last().is_some_and(|generation| *generation > state.jar.refresh)
            }),
        ];
        if self.apart {
            properties.push(Property::always(CAUGHT, |model: &Self, state: &State| {
                state.turns <= most_turns(model.rules.window)
            }));
        }
        properties
    }
}

#[test]
fn token_after_window_ends_session() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        explore::holds(&format!("victim and thief, {window:?}"), Theft::new(window));
    }
}

#[test]
fn token_after_window_ends_session_with_clock_set_back() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        let theft = Theft::setting_back(window);
        explore::holds(&format!("victim and thief, {window:?}, the clock is set back"), theft);
        explore::finds(&format!("AheadIsNow, {window:?}"), theft.with(Table::AheadIsNow), ENDS);
    }
}

#[test]
fn two_holders_do_not_continue_in_parallel() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        explore::holds(&format!("victim and thief apart, {window:?}"), Theft::apart(window));
    }
}

#[test]
fn thief_within_window_is_not_distinguished_from_tab() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        let rules = Rules::new(window, 2);
        let mut record = Record::login();
        assert_eq!(record.present(rules, 1), Some(Rotation::Rotated));
        assert_eq!(record.present(rules, 1), Some(Rotation::Repeated));
    }
}

#[test]
fn broken_tables_violate_properties() {
    for (window, table) in [
        (Window::Fixed, Table::GraceSlides),
        (Window::Fixed, Table::PreviousNeverCloses),
        (Window::UntilConfirmed, Table::GraceSlides),
        (Window::UntilConfirmed, Table::PreviousNeverCloses),
    ] {
        explore::finds(&format!("{table:?}, {window:?}"), Theft::new(window).with(table), ENDS);
    }
    for (window, table) in [
        (Window::Fixed, Table::ReuseAdvances),
        (Window::Fixed, Table::PreviousNeverCloses),
        (Window::UntilConfirmed, Table::NoAdvance),
        (Window::UntilConfirmed, Table::ReuseAdvances),
    ] {
        explore::finds(&format!("{table:?}, {window:?}"), Theft::apart(window).with(table), CAUGHT);
    }
}
