//! Two nodes on one store: a session that ends on one is refused by the other once the log was delivered, through
//! crashes, restarts and a store that fails over to an older state.

use stateright::{Model, Property};

use crate::model::{
    explore,
    record::{Record, Rules, Window},
    table::Table,
};

const ENDED: u32 = u32::MAX;
const NODES: usize = 2;
const MOST_EPOCHS: u32 = 2;
/// The refresh token of the login; it stays valid, since no time passes.
const TOKEN: u32 = 1;

/// How a node works. All but the first make one mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    Real,
    /// The newest entry replaces the known one.
    LastWins,
    /// Serves after a restart before it has read the log.
    ServesAtOnce,
    /// Forgets what it knows when it reads the log again.
    ForgetsOnReread,
    /// Lets the store alone decide whether a session may be refreshed.
    RefreshesWhatItKnowsEnded,
    /// Issues access tokens with the epoch of the store, although the node knows a greater one.
    ForgetsEpochs,
    /// Deletes the session in one step and publishes that in the next.
    DeletesThenPublishes,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Store {
    record: Option<Record>,
    /// Position and smallest valid epoch.
    log: Vec<(u8, u32)>,
}

impl Store {
    fn newest(&self) -> u8 {
        self.log.last().map_or(0, |(position, _)| *position)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Node {
    /// The list.
    min_epoch: u32,
    position: u8,
    caught_up: bool,
    restarted: bool,
    /// The greatest that was delivered to the node or done by it and is still in the log or in its memory.
    delivered: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    store: Store,
    backup: Option<Store>,
    failed_over: bool,
    nodes: [Node; NODES],
    /// Access tokens exist with epochs up to this one.
    newest_epoch: u32,
    now: u8,
    ended: bool,
    /// A client was told that the session has ended.
    end_answered: bool,
    /// A refresh succeeded at a node to which the end was delivered, or, without a failover, after the end.
    revived: bool,
    /// A refresh failed although the session had not ended.
    refused: bool,
    /// A node issued an access token that it refuses.
    locked_out: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// A step at a node; it may crash when the store has taken it.
    End(usize, Crash),
    ExpireAccess(usize, Crash),
    Refresh(usize),
    Deliver(usize),
    Restart(usize),
    Backup,
    FailOver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    No,
    BeforeAnswering,
}

#[derive(Clone, Copy)]
struct Nodes {
    conduct: Conduct,
    fails_over: bool,
}

impl State {
    fn publish(&mut self, min_epoch: u32) {
        self.now += 1;
        self.store.log.push((self.now, min_epoch));
    }

    fn revoke(&mut self, conduct: Conduct, node: usize, min_epoch: u32) {
        let Some(node) = self.nodes.get_mut(node) else { return };
        node.delivered = node.delivered.max(min_epoch);
        node.min_epoch = match conduct {
            Conduct::LastWins => min_epoch,
            _ => node.min_epoch.max(min_epoch),
        };
    }

    /// A process starts empty and reads the log.
    fn restart(&mut self, conduct: Conduct, node: usize) {
        let delivered = self.store.log.iter().map(|(_, min_epoch)| *min_epoch).max().unwrap_or(0);
        let Some(node) = self.nodes.get_mut(node) else { return };
        let caught_up = conduct == Conduct::ServesAtOnce;
        *node = Node { restarted: true, delivered: delivered.min(node.delivered), caught_up, ..Node::default() };
    }

    /// One entry of the log arrives, or the end of the log.
    fn deliver(&mut self, conduct: Conduct, index: usize) -> Option<()> {
        let newest = self.store.newest();
        let node = self.nodes.get_mut(index)?;
        if newest < node.position {
            node.position = 0;
            if conduct == Conduct::ForgetsOnReread {
                node.min_epoch = 0;
            }
            return Some(());
        }
        let position = node.position;
        let next = self.store.log.iter().copied().find(|(at, _)| *at > position);
        if let Some((at, min_epoch)) = next {
            node.position = at;
            self.revoke(conduct, index, min_epoch);
        }
        let node = self.nodes.get_mut(index)?;
        node.caught_up |= node.position >= newest;
        Some(())
    }

    fn accepts(&self, node: &Node, epoch: u32) -> bool {
        node.caught_up && epoch >= node.min_epoch && epoch <= self.newest_epoch
    }

    fn anyone_accepts(&self, epochs: impl Fn(&Node) -> u32) -> bool {
        // The token with the greatest epoch below the bound is the hardest to refuse.
        self.nodes.iter().any(|node| epochs(node) > 0 && self.accepts(node, self.newest_epoch.min(epochs(node) - 1)))
    }
}

const HONOURS: &str = "a node accepts nothing that a delivered revocation revokes";
const NO_REVIVAL: &str = "no ended session is refreshed";
const CONVERGES: &str = "when every node has read the log, no token of an ended session is accepted anywhere";
const PUBLISHED: &str = "an end that was reported is in the log";
const STAYS: &str = "expired access ends no session";
const ACCEPTS_ITS_OWN: &str = "a node accepts the access tokens that it issues";

impl Model for Nodes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            store: Store { record: Some(Record::login()), log: Vec::new() },
            backup: None,
            failed_over: false,
            nodes: [Node::default(); NODES],
            newest_epoch: 0,
            now: 0,
            ended: false,
            end_answered: false,
            revived: false,
            refused: false,
            locked_out: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for node in 0..NODES {
            actions.extend([Action::Refresh(node), Action::Deliver(node)]);
            if !state.end_answered || state.store.record.is_some() {
                actions.extend([Crash::No, Crash::BeforeAnswering].map(|crash| Action::End(node, crash)));
            }
            if state.store.record.is_some_and(|record| record.0.epoch < MOST_EPOCHS) && state.now < 5 {
                actions.extend([Crash::No, Crash::BeforeAnswering].map(|crash| Action::ExpireAccess(node, crash)));
            }
            if state.nodes.get(node).is_some_and(|node| !node.restarted) {
                actions.push(Action::Restart(node));
            }
        }
        if self.fails_over && !state.failed_over {
            actions.push(if state.backup.is_none() { Action::Backup } else { Action::FailOver });
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::End(node, crash) => {
                // Ending an ended session is no error, and publishes nothing.
                if state.store.record.take().is_some() {
                    let separate = self.conduct == Conduct::DeletesThenPublishes;
                    if !(separate && crash == Crash::BeforeAnswering) {
                        state.publish(ENDED);
                    }
                    state.ended = true;
                }
                match crash {
                    Crash::No => {
                        state.revoke(self.conduct, node, ENDED);
                        state.end_answered = true;
                    }
                    Crash::BeforeAnswering => state.restart(self.conduct, node),
                }
            }
            Action::ExpireAccess(node, crash) => {
                let epoch = state.store.record.as_mut()?.expire_access();
                state.publish(epoch);
                match crash {
                    Crash::No => state.revoke(self.conduct, node, epoch),
                    Crash::BeforeAnswering => state.restart(self.conduct, node),
                }
            }
            Action::Refresh(node) => {
                let end_delivered = state.nodes.get(node)?.delivered == ENDED;
                let knows = state.nodes.get(node)?.min_epoch == ENDED;
                if knows && self.conduct != Conduct::RefreshesWhatItKnowsEnded {
                    return None;
                }
                let table = match self.conduct {
                    Conduct::ForgetsEpochs => Table::ForgetsEpochs,
                    _ => Table::Real,
                };
                let rules = Rules::new(Window::Fixed, 2).with(table);
                let min_epoch = match self.conduct {
                    // The store does not get what the node knows.
                    Conduct::RefreshesWhatItKnowsEnded if knows => 0,
                    _ => state.nodes.get(node)?.min_epoch,
                };
                let record = state.store.record.as_mut();
                let refreshed = record.and_then(|record| record.present_at(rules, TOKEN, min_epoch)).is_some();
                if let Some(record) = state.store.record.filter(|_| refreshed) {
                    state.newest_epoch = state.newest_epoch.max(record.0.epoch);
                    state.locked_out |= record.0.epoch < min_epoch;
                }
                state.revived |= refreshed && (end_delivered || state.ended && !state.failed_over);
                state.refused |= !refreshed && !state.ended && !state.failed_over;
            }
            Action::Deliver(node) => state.deliver(self.conduct, node)?,
            Action::Restart(node) => state.restart(self.conduct, node),
            Action::Backup => state.backup = Some(state.store.clone()),
            Action::FailOver => {
                state.store = state.backup.take()?;
                state.failed_over = true;
                // Entries that were only in the log are lost.
                state.nodes.iter_mut().for_each(|node| node.delivered = node.min_epoch);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(HONOURS, |_, state: &State| !state.anyone_accepts(|node| node.delivered)),
            Property::always(NO_REVIVAL, |_, state: &State| !state.revived),
            Property::always(STAYS, |_, state: &State| !state.refused),
            Property::always(ACCEPTS_ITS_OWN, |_, state: &State| !state.locked_out),
            Property::sometimes("a node accepts before delivery", |_, state: &State| {
                state.ended && state.anyone_accepts(|node| if node.delivered == ENDED { 0 } else { ENDED })
            }),
            Property::sometimes("a new epoch is accepted", |_, state: &State| {
                state.newest_epoch > 0 && state.nodes.iter().any(|node| state.accepts(node, state.newest_epoch))
            }),
        ];
        if !self.fails_over {
            properties.push(Property::always(CONVERGES, |_, state: &State| {
                let read = state.nodes.iter().all(|node| node.position == state.store.newest());
                !(state.ended && read && state.anyone_accepts(|_| ENDED))
            }));
            properties.push(Property::always(PUBLISHED, |_, state: &State| {
                !state.end_answered || state.store.log.iter().any(|(_, min_epoch)| *min_epoch == ENDED)
            }));
        }
        properties
    }
}

#[test]
fn ended_session_is_refused_on_every_node() {
    explore::holds("two nodes", Nodes { conduct: Conduct::Real, fails_over: false });
    explore::holds("two nodes, store fails over", Nodes { conduct: Conduct::Real, fails_over: true });
}

#[test]
fn broken_nodes_violate_properties() {
    for (conduct, fails_over, broken) in [
        (Conduct::LastWins, false, HONOURS),
        (Conduct::ServesAtOnce, false, HONOURS),
        (Conduct::ForgetsOnReread, true, HONOURS),
        (Conduct::RefreshesWhatItKnowsEnded, true, NO_REVIVAL),
        (Conduct::ForgetsEpochs, true, ACCEPTS_ITS_OWN),
        (Conduct::DeletesThenPublishes, false, CONVERGES),
        (Conduct::DeletesThenPublishes, false, PUBLISHED),
    ] {
        explore::finds(&format!("{conduct:?}"), Nodes { conduct, fails_over }, broken);
    }
}
