//! Points that an operation passes, at one of which it can be held while another one runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    passed: Vec<&'static str>,
    hold_at: Option<usize>,
    held: Option<oneshot::Sender<()>>,
}

impl Gate {
    /// Holds the operation that reaches the point of this number.
    pub(crate) fn holding_at(point: usize) -> Self {
        Self(Arc::new(Mutex::new(State { hold_at: Some(point), ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step, with a point before and one after it.
    pub(crate) async fn around<T>(&self, name: &'static str, step: impl Future<Output = T>) -> T {
        self.pass("").await;
        let outcome = step.await;
        self.pass(name).await;
        outcome
    }

    async fn pass(&self, name: &'static str) {
        let wait = {
            let mut state = self.state();
            state.passed.push(name);
            let is_here = state.hold_at == Some(state.passed.len() - 1);
            is_here.then(|| {
                let (held, wait) = oneshot::channel();
                state.held = Some(held);
                wait
            })
        };
        if let Some(wait) = wait {
            wait.await.unwrap();
        }
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.state().held.is_some()
    }

    /// Releases the held operation, and holds no other.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        state.hold_at = None;
        if let Some(held) = state.held.take() {
            held.send(()).unwrap();
        }
    }

    /// Whether a step of this name was taken.
    pub(crate) fn was_taken(&self, name: &str) -> bool {
        self.state().passed.contains(&name)
    }
}
