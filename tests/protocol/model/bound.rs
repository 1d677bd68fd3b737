//! A browser that binds its session to its device, on a network that loses and delays, and a thief who copied its
//! cookies.

use stateright::{Model, Property};
use tower_jwt_sessions::store::RotateDecision;

use crate::model::{
    explore,
    honest::{Content, Jar},
    record::{Record, Renumbering, Rules, Window},
    table::Table,
};

/// A key of a device. Every registration has another.
type Key = u8;

const NO_KEY: Key = 0;
const KEY_OF_THIEF: Key = 9;
const MOST_REGISTRATIONS: Key = 2;
/// Of a challenge that is unknown or too old.
const STALE: u32 = 0;

/// How keys are registered. All but the first make one mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Registering {
    Real,
    /// The key is demanded from its registration on, not from the first proof on.
    Binds,
    /// A session takes a key although it has one.
    Replaces,
}

/// What a browser keeps of a registration whose response arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Device {
    key: Key,
    /// The generation that the challenge names which it signs next.
    challenge: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Register {
        generation: u32,
        key: Key,
    },
    Refresh {
        generation: u32,
        proof: Option<Device>,
    },
    Registered(Device),
    Refreshed(Content),
    /// With the challenge for the next proof.
    RefreshedByDevice(Content, u32),
    /// To be signed, and sent again.
    Challenged(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Flight {
    age: u8,
    message: Message,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    /// `None`: the session has ended.
    record: Option<Record>,
    /// Of the session, in the store.
    key: Key,
    jar: Jar,
    device: Option<Device>,
    registrations: Key,
    flights: Vec<Flight>,
    /// The generations that the thief has.
    stolen: Vec<u32>,
    /// A refresh of the bound session succeeded by someone without its key.
    served_without_key: bool,
    /// Someone without the key ended the bound session.
    ended_without_key: bool,
    thief_was_refused: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Register,
    /// Plainly, as a script on the page does.
    Refresh,
    /// By the browser itself, with a proof.
    RefreshByDevice,
    /// The challenge becomes too old.
    Forget,
    Process(Flight),
    ProcessAndLose(Flight),
    Land(Flight),
    Lose(Flight),
    Use,
    Tick,
    Steal,
    ThiefRefreshes(u32),
    ThiefRegisters(u32),
    ThiefProves(u32),
}

/// When the cookies are copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theft {
    Never,
    AtAnyTime,
    OnceBound,
}

#[derive(Clone, Copy)]
struct Bound {
    rules: Rules,
    registering: Registering,
    theft: Theft,
    /// How many requests of the browser are under way at most, and how long.
    flights: usize,
    round_trip: u8,
}

impl Bound {
    fn new(window: Window, theft: Theft) -> Self {
        let flights = if theft == Theft::Never { 2 } else { 1 };
        Self { rules: Rules::new(window, 4), registering: Registering::Real, theft, flights, round_trip: 2 }
    }

    fn with(self, table: Table) -> Self {
        Self { rules: self.rules.with(table), ..self }
    }

    fn registering(self, registering: Registering) -> Self {
        Self { registering, ..self }
    }
}

impl State {
    fn is_bound(&self) -> bool {
        self.record.is_some_and(|record| record.0.bound_at.is_some())
    }

    /// Takes the step of a refresh by someone who signs with this key, or with none.
    fn refresh(&mut self, rules: Rules, generation: u32, key: Key) -> Option<Content> {
        let was_bound = self.is_bound();
        let has_key = key != NO_KEY && key == self.key;
        if key != NO_KEY && !has_key {
            return None;
        }
        let record = self.record.as_mut()?;
        let decision = record.present_by_device(rules, generation, has_key);
        let is_foreign = was_bound && !has_key;
        match decision {
            RotateDecision::Live { rotation, .. } => {
                self.served_without_key |= is_foreign;
                Some(Content::response(rotation, generation, record.0.generation))
            }
            RotateDecision::ProofRequired => None,
            _ => {
                self.ended_without_key |= is_foreign;
                self.record = None;
                None
            }
        }
    }

    /// Takes the step of a registration. Returns whether the session has this key now.
    fn register(&mut self, registering: Registering, generation: u32, key: Key) -> bool {
        let Some(record) = &mut self.record else { return false };
        let is_usable = record.generations().any(|usable| usable == generation);
        if !is_usable || self.key != NO_KEY && registering != Registering::Replaces {
            return false;
        }
        self.key = key;
        if registering == Registering::Binds {
            record.bind();
        }
        true
    }

    fn process(&mut self, model: &Bound, message: Message) -> Option<Message> {
        match message {
            Message::Register { generation, key } => self
                .register(model.registering, generation, key)
                .then_some(Message::Registered(Device { key, challenge: generation })),
            Message::Refresh { generation, proof: None } => {
                self.refresh(model.rules, generation, NO_KEY).map(Message::Refreshed)
            }
            Message::Refresh { generation, proof: Some(proof) } if proof.challenge != generation => {
                Some(Message::Challenged(generation))
            }
            Message::Refresh { generation, proof: Some(proof) } => {
                let content = self.refresh(model.rules, generation, proof.key)?;
                Some(Message::RefreshedByDevice(content, content.generation()))
            }
            _ => None,
        }
    }

    fn land(&mut self, flight: Flight) {
        match flight.message {
            Message::Registered(device) => self.device = Some(device),
            Message::Refreshed(content) => self.jar.take(content),
            Message::RefreshedByDevice(content, challenge) => {
                self.jar.take(content);
                self.device.iter_mut().for_each(|device| device.challenge = challenge);
            }
            Message::Challenged(challenge) => {
                self.device.iter_mut().for_each(|device| device.challenge = challenge);
                let message = Message::Refresh { generation: self.jar.refresh, proof: self.device };
                self.flights.push(Flight { message, ..flight });
            }
            Message::Register { .. } | Message::Refresh { .. } => {}
        }
    }

    /// Whether the browser would be refreshed now, by the means that it has.
    fn is_served(&self, rules: Rules) -> bool {
        let Some(mut record) = self.record else { return false };
        let key = self.device.map_or(NO_KEY, |device| device.key);
        let is_proven = key != NO_KEY && key == self.key;
        let decision = record.present_by_device(rules, self.jar.refresh, is_proven);
        matches!(decision, RotateDecision::Live { .. })
    }

    fn canonical(mut self) -> Self {
        // Tokens that can only end the session are equivalent. They become `STALE`, and the others count from 1.
        let alive: Vec<u32> = self.record.iter().flat_map(Record::generations).collect();
        let new = Renumbering::of(alive.iter().copied().chain([STALE]));
        let apply = |generation: &mut u32| {
            if !alive.contains(generation) {
                *generation = STALE;
            }
            new.apply(generation);
            *generation -= 1;
        };
        for flight in &mut self.flights {
            match &mut flight.message {
                Message::Register { generation, .. } => apply(generation),
                Message::Refresh { generation, proof } => {
                    apply(generation);
                    proof.iter_mut().for_each(|proof| apply(&mut proof.challenge));
                }
                Message::Registered(device) => apply(&mut device.challenge),
                Message::Refreshed(content) => apply(content.generation_mut()),
                Message::RefreshedByDevice(content, challenge) => {
                    apply(content.generation_mut());
                    apply(challenge);
                }
                Message::Challenged(challenge) => apply(challenge),
            }
        }
        self.device.iter_mut().for_each(|device| apply(&mut device.challenge));
        self.stolen.iter_mut().for_each(apply);
        apply(&mut self.jar.refresh);
        apply(&mut self.jar.access);
        self.record.iter_mut().for_each(|record| {
            new.apply_to_record(record);
            record.0.generation -= 1;
            record.0.previous.iter_mut().for_each(|generation| *generation -= 1);
        });
        self.stolen.sort_unstable();
        self.stolen.dedup();
        self.flights.sort_unstable();
        self
    }
}

const ONLY_BY_KEY: &str = "a bound session is refreshed by the holder of its key only";
const NOT_ENDED: &str = "a copy of the cookies does not end a bound session";
const SERVED: &str = "the browser that was logged in is served at any time";

impl Model for Bound {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            record: Some(Record::login()),
            key: NO_KEY,
            jar: Jar { refresh: 1, access: 1 },
            device: None,
            registrations: 0,
            flights: Vec::new(),
            stolen: Vec::new(),
            served_without_key: false,
            ended_without_key: false,
            thief_was_refused: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.record.is_none() {
            return;
        }
        actions.extend([Action::Tick, Action::Use]);
        if state.flights.len() < self.flights {
            actions.push(Action::Refresh);
            if state.registrations < MOST_REGISTRATIONS {
                actions.push(Action::Register);
            }
            if state.device.is_some() {
                actions.push(Action::RefreshByDevice);
            }
        }
        if state.device.is_some_and(|device| device.challenge != STALE) {
            actions.push(Action::Forget);
        }
        for flight in &state.flights {
            actions.push(Action::Lose(*flight));
            match flight.message {
                Message::Register { .. } | Message::Refresh { .. } => {
                    actions.extend([Action::Process(*flight), Action::ProcessAndLose(*flight)]);
                }
                _ => actions.push(Action::Land(*flight)),
            }
        }
        let is_time = match self.theft {
            Theft::Never => false,
            Theft::AtAnyTime => true,
            Theft::OnceBound => state.is_bound(),
        };
        if is_time && !state.stolen.contains(&state.jar.refresh) {
            actions.push(Action::Steal);
        }
        for generation in &state.stolen {
            actions.extend([Action::ThiefRefreshes(*generation), Action::ThiefRegisters(*generation)]);
            actions.push(Action::ThiefProves(*generation));
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        let mut take = |flight: Flight| {
            let index = before.flights.iter().position(|other| *other == flight)?;
            Some(state.flights.swap_remove(index))
        };
        let mut send = None;
        match action {
            Action::Register => {
                state.registrations += 1;
                send = Some(Message::Register { generation: state.jar.refresh, key: state.registrations });
            }
            Action::Refresh => send = Some(Message::Refresh { generation: state.jar.refresh, proof: None }),
            Action::RefreshByDevice => {
                send = Some(Message::Refresh { generation: state.jar.refresh, proof: state.device });
            }
            Action::Forget => state.device.iter_mut().for_each(|device| device.challenge = STALE),
            Action::Process(flight) => {
                let flight = take(flight)?;
                if let Some(message) = state.process(self, flight.message) {
                    state.flights.push(Flight { message, ..flight });
                }
            }
            Action::ProcessAndLose(flight) => {
                let flight = take(flight)?;
                let _ = state.process(self, flight.message);
            }
            Action::Land(flight) => {
                let flight = take(flight)?;
                state.land(flight);
            }
            Action::Lose(flight) => {
                take(flight)?;
            }
            Action::Use => {
                let _ = state.record.as_mut()?.confirm(self.rules, state.jar.access);
            }
            Action::Tick => {
                state.record.iter_mut().for_each(|record| record.age(self.rules));
                state.flights.iter_mut().for_each(|flight| flight.age += 1);
                state.flights.retain(|flight| flight.age < self.round_trip);
            }
            Action::Steal => state.stolen.push(state.jar.refresh),
            Action::ThiefRefreshes(generation) => match state.refresh(self.rules, generation, NO_KEY) {
                Some(content) => state.stolen.push(content.generation()),
                None => state.thief_was_refused |= state.record.is_some(),
            },
            Action::ThiefRegisters(generation) => {
                let _ = state.register(self.registering, generation, KEY_OF_THIEF);
            }
            Action::ThiefProves(generation) => {
                let content = state.refresh(self.rules, generation, KEY_OF_THIEF)?;
                state.stolen.push(content.generation());
            }
        }
        state.flights.extend(send.map(|message| Flight { age: 0, message }));
        Some(state.canonical())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(ONLY_BY_KEY, |_, state: &State| !state.served_without_key),
            Property::always(NOT_ENDED, |_, state: &State| !state.ended_without_key),
            Property::sometimes("a session is bound to the key of the browser", |_, state: &State| {
                state.is_bound() && state.device.is_some_and(|device| device.key == state.key)
            }),
            Property::sometimes("the response to a registration is lost", |_, state: &State| {
                state.key != NO_KEY && state.key != KEY_OF_THIEF && state.device.is_none() && state.flights.is_empty()
            }),
            Property::sometimes("a challenge is too old", |_, state: &State| {
                state.flights.iter().any(|flight| matches!(flight.message, Message::Challenged(_)))
            }),
        ];
        if self.theft != Theft::AtAnyTime {
            properties.push(Property::always(SERVED, |model: &Self, state: &State| state.is_served(model.rules)));
        }
        if self.theft != Theft::Never {
            properties.push(Property::sometimes("a thief is refused", |_, state: &State| state.thief_was_refused));
        }
        if self.theft == Theft::AtAnyTime {
            properties.push(Property::sometimes("a thief registers first", |_, state: &State| {
                state.is_bound() && state.key == KEY_OF_THIEF
            }));
        }
        properties
    }
}

#[test]
fn browser_that_binds_its_session_is_never_locked_out() {
    explore::holds("a bound session", Bound::new(Window::UntilConfirmed, Theft::Never));
}

#[test]
fn thief_of_bound_session_is_refused_and_disturbs_nobody() {
    explore::holds("a bound session and a thief", Bound::new(Window::UntilConfirmed, Theft::OnceBound));
}

#[test]
fn bound_session_has_one_holder_even_if_the_thief_is_early() {
    for window in [Window::Fixed, Window::UntilConfirmed] {
        explore::holds(&format!("an early thief, {window:?}"), Bound::new(window, Theft::AtAnyTime));
    }
}

#[test]
fn broken_bindings_violate_properties() {
    let honest = Bound::new(Window::UntilConfirmed, Theft::Never);
    let late = Bound::new(Window::UntilConfirmed, Theft::OnceBound);
    explore::finds("Binds", honest.registering(Registering::Binds), SERVED);
    explore::finds("Replaces", honest.registering(Registering::Replaces), SERVED);
    explore::finds("NeedsNoProof", late.with(Table::NeedsNoProof), ONLY_BY_KEY);
    explore::finds("RotationUnbinds", late.with(Table::RotationUnbinds), SERVED);
    explore::finds("ReuseBeforeProof", late.with(Table::ReuseBeforeProof), NOT_ENDED);
}
