//! One browser with several tabs on a network that loses, repeats and delays, within a bound.

use stateright::{Model, Property};
use tower_jwt_sessions::store::{Rotation, SessionRecord};

use crate::model::{
    explore,
    record::{Record, Renumbering, Row, Rules, Window},
    table::Table,
};

/// A refresh under way, by its age since it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Flight {
    pub(crate) age: u8,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Content {
    /// On its way to the server, with this generation.
    Request(u32),
    /// On its way back, with cookies of this generation.
    Both(u32),
    /// On its way back, with an access cookie only.
    AccessOnly(u32),
}

impl Content {
    pub(crate) fn generation_mut(&mut self) -> &mut u32 {
        match self {
            Self::Request(generation) | Self::Both(generation) | Self::AccessOnly(generation) => generation,
        }
    }

    pub(crate) fn generation(mut self) -> u32 {
        *self.generation_mut()
    }

    pub(crate) fn response(rotation: Rotation, presented: u32, current: u32) -> Self {
        match rotation {
            Rotation::Current => Self::AccessOnly(presented),
            Rotation::Rotated | Rotation::Repeated => Self::Both(current),
            _ => unreachable!("a new row of the table"),
        }
    }
}

/// The generations of the two cookies that all tabs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Jar {
    pub(crate) refresh: u32,
    pub(crate) access: u32,
}

impl Jar {
    pub(crate) fn take(&mut self, response: Content) {
        self.access = response.generation();
        if let Content::Both(generation) = response {
            self.refresh = generation;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// `None`: the session has ended without a logout.
    record: Option<Record>,
    jar: Jar,
    flights: Vec<Flight>,
    /// Whether the current generation reached the jar.
    delivered: bool,
    /// The state of the store after a failover, and whether there was one.
    backup: Option<Record>,
    failed_over: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// A tab refreshes.
    Send,
    /// The server takes the step and responds.
    Process(Flight),
    /// The server takes the step, and its response is lost: a crash, a broken connection.
    ProcessAndLose(Flight),
    /// The server takes the step, its response is lost, and the request arrives once more.
    ProcessAndRepeat(Flight),
    /// A response arrives.
    Land(Flight),
    /// The request or the response is lost.
    Lose(Flight),
    /// A server notes that the access token in the jar was used.
    Use,
    Tick,
    Backup,
    /// The store is restored from its backup, and every connection breaks.
    FailOver,
}

#[derive(Clone, Copy)]
struct Honest {
    rules: Rules,
    flights: usize,
    /// A refresh takes fewer ticks than this from request to response, or it is lost. Half a window, since a tab may
    /// send the old token just before the response to another tab arrives.
    round_trip: u8,
    /// For a fixed window: of the responses with a new generation, one arrives a round trip before the window closes,
    /// so that requests with the old token until then are in time.
    arrives_in_window: bool,
    /// Whether the store may lose writes, once. Generations then repeat, so they are not renumbered but few.
    fails_over: bool,
    /// Whether the number of responses lost in a row has an effect, and its limit.
    most_lost: Option<u32>,
}

const MOST_GENERATIONS: u32 = 5;

impl Honest {
    fn new(window: Window) -> Self {
        let rules = Rules::new(window, 6);
        Self {
            rules,
            flights: 4,
            round_trip: rules.length / 2,
            arrives_in_window: window == Window::Fixed,
            fails_over: false,
            most_lost: None,
        }
    }

    /// Returns a model with few concurrent requests and up to so many lost responses.
    fn losing(most_lost: u32) -> Self {
        let rules = Rules::new(Window::UntilConfirmed, 4);
        Self { rules, flights: 2, round_trip: 2, most_lost: Some(most_lost), ..Self::new(Window::UntilConfirmed) }
    }

    fn with(self, table: Table) -> Self {
        Self { rules: self.rules.with(table), flights: 2, ..self }
    }
}

impl State {
    fn step(&mut self, rules: Rules, generation: u32) -> Option<Content> {
        let record = self.record.as_mut()?;
        let before = *record;
        let Some(rotation) = record.present(rules, generation) else {
            self.record = None;
            return None;
        };
        if record.0.generation != before.0.generation {
            self.delivered = false;
        }
        Some(Content::response(rotation, generation, record.0.generation))
    }

    /// Whether a request is under way to which this row applies.
    fn meets(&self, rules: Rules, row: Row) -> bool {
        let requests = self.flights.iter().filter(|flight| matches!(flight.content, Content::Request(_)));
        self.record.is_some_and(|record| {
            requests.map(|flight| record.row(rules, flight.content.generation())).any(|met| met == Some(row))
        })
    }

    fn tokens(&self) -> Vec<u32> {
        let flights = self.flights.iter().map(|flight| flight.content.generation());
        let record = self.record.iter().flat_map(Record::generations);
        record.chain(flights).chain([self.jar.refresh, self.jar.access]).collect()
    }

    fn sorted(mut self) -> Self {
        self.flights.sort_unstable();
        self
    }

    fn canonical(mut self, exact: bool) -> Self {
        let new = match self.record {
            Some(record) if exact => Renumbering::exact(self.tokens(), &record),
            _ => Renumbering::of(self.tokens()),
        };
        self.record.iter_mut().for_each(|record| new.apply_to_record(record));
        self.flights.iter_mut().for_each(|flight| new.apply(flight.content.generation_mut()));
        new.apply(&mut self.jar.refresh);
        new.apply(&mut self.jar.access);
        self
    }
}

const NEVER_LOGGED_OUT: &str = "an honest client is never logged out";
const HONOURED: &str = "the token in the jar is honoured at any time";
const NO_FORK: &str = "there are never two live successors";

impl Model for Honest {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let jar = Jar { refresh: 1, access: 1 };
        vec![State {
            record: Some(Record::login()),
            jar,
            flights: Vec::new(),
            delivered: true,
            backup: None,
            failed_over: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.record.is_none() {
            return;
        }
        actions.extend([Action::Tick, Action::Use]);
        if self.fails_over && !state.failed_over {
            actions.push(if state.backup.is_none() { Action::Backup } else { Action::FailOver });
        }
        if state.flights.len() < self.flights {
            actions.push(Action::Send);
        }
        for flight in &state.flights {
            actions.push(Action::Lose(*flight));
            match flight.content {
                Content::Request(_) => actions.extend([
                    Action::Process(*flight),
                    Action::ProcessAndLose(*flight),
                    Action::ProcessAndRepeat(*flight),
                ]),
                Content::Both(_) | Content::AccessOnly(_) => actions.push(Action::Land(*flight)),
            }
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let mut take = |flight: Flight| {
            let index = before.flights.iter().position(|other| *other == flight)?;
            Some(state.flights.swap_remove(index))
        };
        match action {
            Action::Send => {
                state.flights.push(Flight { age: 0, content: Content::Request(state.jar.refresh) });
            }
            Action::Process(flight) => {
                let flight = take(flight)?;
                if let Some(content) = state.step(self.rules, flight.content.generation()) {
                    state.flights.push(Flight { content, ..flight });
                }
            }
            Action::ProcessAndLose(flight) => {
                let flight = take(flight)?;
                let _ = state.step(self.rules, flight.content.generation());
            }
            Action::ProcessAndRepeat(flight) => {
                let _ = state.step(self.rules, flight.content.generation());
            }
            Action::Land(flight) => {
                let flight = take(flight)?;
                state.jar.take(flight.content);
                state.delivered |= state.record.is_some_and(|record| record.0.generation == state.jar.refresh);
            }
            Action::Lose(flight) => {
                take(flight)?;
            }
            Action::Use => {
                let _ = state.record.as_mut()?.confirm(self.rules, state.jar.access);
            }
            Action::Tick => {
                state.record.iter_mut().chain(&mut state.backup).for_each(|record| record.age(self.rules));
                state.flights.iter_mut().for_each(|flight| flight.age += 1);
                state.flights.retain(|flight| flight.age < self.round_trip);
            }
            Action::Backup => state.backup = state.record,
            Action::FailOver => {
                state.record = Some(state.backup.take()?);
                state.flights.clear();
                state.failed_over = true;
                state.delivered = state.record.is_some_and(|record| record.0.generation <= state.jar.refresh);
            }
        }
        let exact = self.most_lost.is_some();
        Some(if self.fails_over { state.sorted() } else { state.sorted().canonical(exact) })
    }

    fn within_boundary(&self, state: &State) -> bool {
        let last_chance = self.rules.length - self.round_trip;
        let missed = !state.delivered && state.record.is_some_and(|record| record.rotated_ago(last_chance));
        let too_many = self.fails_over && state.tokens().into_iter().any(|generation| generation > MOST_GENERATIONS);
        let is_lost = |record: &Record| !state.delivered && record.rotated_ago(2 * self.rules.length);
        let lost = state.record.filter(is_lost).map_or(0, |record| record.distance());
        let too_many_lost = self.most_lost.is_some_and(|most| lost > most);
        !(self.arrives_in_window && missed || too_many || too_many_lost)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NEVER_LOGGED_OUT, |_, state: &State| state.record.is_some()),
            Property::always(HONOURED, |model: &Self, state: &State| {
                state.record.is_none_or(|record| record.successor(model.rules, state.jar.refresh).is_some())
            }),
            Property::always("no older response overwrites a newer one", |_, state: &State| {
                let newest = |record: Record| state.jar.refresh >= record.0.generation;
                !state.delivered || state.record.is_none_or(newest)
            }),
            Property::always(NO_FORK, |model: &Self, state: &State| {
                state.record.is_none_or(|record| !record.forks(model.rules, &state.tokens()))
            }),
            Property::sometimes("a token is current", |model: &Self, state: &State| {
                state.meets(model.rules, Row::Current)
            }),
            Property::sometimes("a token rotates", |model: &Self, state: &State| {
                state.meets(model.rules, Row::Rotated)
            }),
            Property::sometimes("a response is repeated", |model: &Self, state: &State| {
                state.meets(model.rules, Row::Repeated)
            }),
        ];
        if self.rules.window == Window::UntilConfirmed {
            properties
                .push(Property::sometimes("a session advances past a lost response", |model: &Self, state: &State| {
                    state.meets(model.rules, Row::Advanced)
                }));
        }
        properties
    }
}

#[test]
fn honest_tabs_keep_session_with_fixed_window() {
    explore::holds("honest client, fixed window, every window delivers a response", Honest::new(Window::Fixed));
}

#[test]
fn honest_tabs_keep_session_with_window_until_confirmed() {
    explore::holds("honest client, window until confirmed", Honest::new(Window::UntilConfirmed));
}

fn failing_over(window: Window) -> Honest {
    let honest = Honest::new(window);
    Honest { rules: Rules::new(window, 4), round_trip: 2, flights: 2, fails_over: true, ..honest }
}

#[test]
fn honest_tabs_keep_session_after_failover() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        let name = format!("honest client, {window:?}, store fails over, {MOST_GENERATIONS} generations");
        explore::holds(&name, failing_over(window));
        explore::finds("NoAdopt", failing_over(window).with(Table::NoAdopt), NEVER_LOGGED_OUT);
    }
}

/// A response is lost when neither it nor a repeat of it arrives within two windows.
const MOST_LOST: u32 = SessionRecord::MAX_LOST_ANSWERS;

#[test]
fn honest_tabs_keep_session_at_bound_of_lost_responses() {
    explore::holds("honest client, as many responses in a row are lost as may be", Honest::losing(MOST_LOST));
    let losing = Honest::losing(MOST_LOST).with(Table::LosesOnce);
    explore::finds("LosesOnce", losing, NEVER_LOGGED_OUT);
}

#[test]
fn sessions_end_without_network_assumptions() {
    let offline = Honest { arrives_in_window: false, ..Honest::new(Window::Fixed) };
    explore::finds("every response is lost for a fixed window", offline, NEVER_LOGGED_OUT);
    let slow = Honest::new(Window::UntilConfirmed);
    let slow = Honest { round_trip: slow.rules.length, flights: 3, ..slow };
    explore::finds("a round trip takes as long as the window", slow, NEVER_LOGGED_OUT);
    explore::finds("one more response is lost", Honest::losing(MOST_LOST + 1), NEVER_LOGGED_OUT);
}

#[test]
fn broken_tables_violate_properties() {
    let fixed = Honest::new(Window::Fixed);
    let confirmed = Honest::new(Window::UntilConfirmed);
    for (model, table) in [
        (fixed, Table::RepeatMints),
        (fixed, Table::CurrentRotatesAtOnce),
        (confirmed, Table::RepeatMints),
        (confirmed, Table::AdvancesAtOnce),
        (confirmed, Table::AdvanceKeepsTheLost),
        (confirmed, Table::ConfirmsAnything),
    ] {
        explore::finds(&format!("{table:?}, {:?}", model.rules.window), model.with(table), NEVER_LOGGED_OUT);
    }
    explore::finds("ReuseAdvances", Honest { flights: 2, ..fixed }.with(Table::ReuseAdvances), NO_FORK);
}
