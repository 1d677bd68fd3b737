//! What goes wrong, where, and how often.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::sync::watch;

/// A step of a [`SessionStore`](crate::store::SessionStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreStep {
    /// [`create`](crate::store::SessionStore::create): a login.
    Create,
    /// [`find`](crate::store::SessionStore::find).
    Find,
    /// [`rotate`](crate::store::SessionStore::rotate): a refresh.
    Rotate,
    /// [`confirm`](crate::store::SessionStore::confirm).
    Confirm,
    /// [`end`](crate::store::SessionStore::end): a logout, for example.
    End,
    /// [`list`](crate::store::SessionStore::list).
    List,
    /// [`expire_access`](crate::store::SessionStore::expire_access).
    ExpireAccess,
    /// [`get_data`](crate::store::SessionStore::get_data).
    GetData,
    /// [`put_data`](crate::store::SessionStore::put_data).
    PutData,
    /// [`register_device`](crate::store::SessionStore::register_device): the first step of binding a session.
    RegisterDevice,
    /// [`read_log`](crate::store::SessionStore::read_log), which each node does all the time.
    ReadLog,
}

impl StoreStep {
    pub(super) const COUNT: usize = Self::ReadLog as usize + 1;

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Find => "find",
            Self::Rotate => "rotate",
            Self::Confirm => "confirm",
            Self::End => "end",
            Self::List => "list",
            Self::ExpireAccess => "expire_access",
            Self::GetData => "get_data",
            Self::PutData => "put_data",
            Self::RegisterDevice => "register_device",
            Self::ReadLog => "read_log",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fails,
    LosesAnswer,
    Delays,
    DelaysAnswer,
}

/// A fault of a store, for [`FaultyStore::inject`](super::FaultyStore::inject). It concerns every step, each time,
/// unless it says otherwise.
///
/// ```
/// use tower_jwt_sessions::testing::{Fault, StoreStep};
///
/// // The next two refreshes happen, but their answers are lost.
/// let fault = Fault::loses_answer().at(StoreStep::Rotate).times(2);
/// # let _ = fault;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault happens when it is injected"]
pub struct Fault {
    pub(super) kind: Kind,
    steps: Vec<StoreStep>,
    times: Option<usize>,
}

impl Fault {
    const fn new(kind: Kind) -> Self {
        Self { kind, steps: Vec::new(), times: None }
    }

    /// The step fails and changes nothing, as without a connection. A reader that waits for the log is interrupted.
    pub const fn fails() -> Self {
        Self::new(Kind::Fails)
    }

    /// The step is carried out, and fails only then: as if the connection broke before the answer.
    pub const fn loses_answer() -> Self {
        Self::new(Kind::LosesAnswer)
    }

    /// The step waits until the fault is [lifted](InjectedFault::lift), and is carried out then.
    pub const fn delays() -> Self {
        Self::new(Kind::Delays)
    }

    /// The step is carried out, and its answer waits until the fault is [lifted](InjectedFault::lift).
    pub const fn delays_answer() -> Self {
        Self::new(Kind::DelaysAnswer)
    }

    /// Restricts the fault to this step, or to this one as well.
    pub fn at(mut self, step: StoreStep) -> Self {
        self.steps.push(step);
        self
    }

    /// Ends the fault after it has happened so many times.
    pub const fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }
}

/// A fault that was injected into a [`FaultyStore`](super::FaultyStore). It lasts until it is lifted, has happened as
/// many times as it should, or the store recovers; not when this is dropped.
#[derive(Clone)]
pub struct InjectedFault(Arc<Shared>);

struct Shared {
    fault: Fault,
    /// Claimed by steps, for the limit.
    claimed: AtomicUsize,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default)]
struct State {
    happened: usize,
    is_lifted: bool,
}

impl InjectedFault {
    pub(super) fn new(fault: Fault) -> Self {
        let state = watch::Sender::new(State::default());
        Self(Arc::new(Shared { fault, claimed: AtomicUsize::new(0), state }))
    }

    /// Ends the fault. Steps that it delays go on.
    pub fn lift(&self) {
        self.0.state.send_modify(|state| state.is_lifted = true);
    }

    /// Returns to how many steps it has happened.
    pub fn happened(&self) -> usize {
        self.0.state.borrow().happened
    }

    /// Waits until it has happened to a step: one that is [delayed](Fault::delays) waits then, and one whose answer is
    /// [delayed](Fault::delays_answer) has been carried out.
    pub async fn reached(&self) {
        // The sender is in `self`.
        let _ = self.0.state.subscribe().wait_for(|state| state.happened > 0).await;
    }

    /// Whether it is to happen to this step, which then counts for its limit.
    pub(super) fn claims(&self, step: StoreStep) -> bool {
        let is_within = |claimed: usize| self.0.fault.times.is_none_or(|times| claimed < times).then_some(claimed + 1);
        self.concerns(step) && self.0.claimed.fetch_update(SeqCst, SeqCst, is_within).is_ok()
    }

    /// It happens now.
    pub(super) fn happens(&self) {
        self.0.state.send_modify(|state| state.happened += 1);
    }

    /// Whether it could happen to this step.
    fn concerns(&self, step: StoreStep) -> bool {
        !self.is_over() && (self.0.fault.steps.is_empty() || self.0.fault.steps.contains(&step))
    }

    /// Whether it happens no more.
    pub(super) fn is_over(&self) -> bool {
        let is_used_up = self.0.fault.times.is_some_and(|times| self.0.claimed.load(SeqCst) >= times);
        is_used_up || self.0.state.borrow().is_lifted
    }

    pub(super) fn kind(&self) -> Kind {
        self.0.fault.kind
    }

    pub(super) async fn lifted(&self) {
        let _ = self.0.state.subscribe().wait_for(|state| state.is_lifted).await;
    }
}

impl fmt::Debug for InjectedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InjectedFault")
            .field("fault", &self.0.fault)
            .field("happened", &self.happened())
            .finish_non_exhaustive()
    }
}
