//! What was promised to browsers, and what became of it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::support::Browser;

/// How late a node may learn of an end while nothing is broken. Takes milliseconds on an idle machine.
const LEARNS_WITHIN: Duration = Duration::from_secs(5);

/// How long before a fault that loses the revocation log an end may not have been read by the other node.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// What a fault may lose, since the server did not keep it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loss {
    Nothing,
    /// What was promised this long before the fault, or during it.
    Recent(Duration),
    /// Everything that was promised before the end of the fault.
    All,
}

/// A session whose end was promised, or asked for.
pub(crate) struct Ended {
    /// With the cookies of the session.
    pub(crate) browser: Browser,
    /// The node that promised the end.
    pub(crate) node: usize,
    pub(crate) at: Instant,
}

/// What must not happen.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A refresh of a session that no one had ended was refused.
    LoggedOut { since: Instant },
    /// A node served a session whose end it, or another node, had promised at this time.
    Served { ended: Instant, by_other_node: bool },
    /// A node refreshed a session whose end had been promised at this time.
    Refreshed { ended: Instant },
    /// The store has a session whose end had been promised at this time.
    Listed { ended: Instant },
    /// Anything that no fault excuses.
    Never(String),
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) requests: usize,
    pub(crate) unavailable: usize,
    pub(crate) longest: Duration,
    pub(crate) logins: usize,
    pub(crate) refreshes: usize,
    pub(crate) logouts: usize,
    /// Requests that another node served although the session had ended, while that node could not know.
    pub(crate) late: usize,
    pub(crate) broken: Vec<Broken>,
    pub(crate) ended: Vec<Ended>,
    /// Sessions whose logout failed and was not repeated: the node has to complete it.
    pub(crate) ending: Vec<Ended>,
    fault: Option<Instant>,
    lifted: Option<Instant>,
    is_calm: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<State>>);

impl Ledger {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_calm(&self, is_calm: bool) {
        self.state().is_calm = is_calm;
    }

    pub(crate) fn fault_begins(&self) {
        let mut state = self.state();
        state.is_calm = false;
        state.fault.get_or_insert_with(Instant::now);
    }

    pub(crate) fn fault_ends(&self) -> Instant {
        *self.state().lifted.get_or_insert_with(Instant::now)
    }

    pub(crate) fn breaks(&self, what: Broken) {
        self.state().broken.push(what);
    }

    /// Notes a response with `status` to a request of an ended session that began at this time.
    pub(crate) fn after_end(&self, ended: &Ended, node: usize, begun: Instant, what: &str, status: u16) {
        if status != 200 || begun < ended.at {
            return;
        }
        let mut state = self.state();
        let (ended, by_other_node) = (ended.at, node != ended.node);
        if what.starts_with("POST") {
            state.broken.push(Broken::Refreshed { ended });
        } else if by_other_node && !(state.is_calm && begun > ended + LEARNS_WITHIN) {
            state.late += 1;
        } else {
            state.broken.push(Broken::Served { ended, by_other_node });
        }
    }

    /// Returns what was broken and is not excused, and how much is.
    pub(crate) fn judged(&self, loss: Loss) -> (Vec<String>, usize) {
        let state = self.state();
        let is_excused = |broken: &Broken| {
            let (Some(fault), Some(lifted)) = (state.fault, state.lifted) else { return false };
            let within = |at: &Instant, window: Duration| *at + window >= fault && *at <= lifted;
            match (loss, broken) {
                (_, Broken::Never(_)) | (Loss::Nothing, _) => false,
                (Loss::All, Broken::LoggedOut { since }) => *since <= lifted,
                // The log was lost before the other node had read it.
                (Loss::All, Broken::Served { ended, by_other_node: true }) => within(ended, READ_WITHIN),
                (Loss::All, _) => false,
                (
                    Loss::Recent(window),
                    Broken::LoggedOut { since: at }
                    | Broken::Served { ended: at, .. }
                    | Broken::Refreshed { ended: at }
                    | Broken::Listed { ended: at },
                ) => within(at, window),
            }
        };
        let (excused, rest): (Vec<_>, Vec<_>) = state.broken.iter().partition(|broken| is_excused(broken));
        let ago = |at: &Instant| match state.fault {
            Some(fault) if *at < fault => format!("{:?} before the fault", fault - *at),
            Some(fault) => format!("{:?} after the fault began", *at - fault),
            None => "without a fault".to_owned(),
        };
        let told = rest.iter().map(|broken| match broken {
            Broken::LoggedOut { since } => format!("false logout: the login was {}", ago(since)),
            Broken::Served { ended, by_other_node } => {
                format!("served after its end, {}, by the other node: {by_other_node}", ago(ended))
            }
            Broken::Refreshed { ended } => format!("refreshed after its end, {}", ago(ended)),
            Broken::Listed { ended } => format!("in the store after its end, {}", ago(ended)),
            Broken::Never(what) => what.clone(),
        });
        (told.collect(), excused.len())
    }
}
