//! The same question, asked of stateright's `LinearizabilityTester`, which shares no code with our checker. It tries every
//! order, so histories must be short.

use std::collections::BTreeMap;

use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};
use tower_jwt_sessions::clock::Timestamp;

use crate::{
    operation::{Answer, Operation},
    recorder::Recorded,
    reference::{Rules, User},
};

/// What a user may be: more than one, where answers were lost.
#[derive(Clone)]
struct Possible {
    users: Vec<User>,
    rules: Rules,
}

impl SequentialSpec for Possible {
    type Op = (Operation, Timestamp);
    type Ret = Option<Answer>;

    /// Called for operations whose answer was lost.
    fn invoke(&mut self, (operation, now): &Self::Op) -> Self::Ret {
        let rules = self.rules;
        self.users = self.users.iter().flat_map(|user| user.after(operation, *now, None, rules)).collect();
        None
    }

    fn is_valid_step(&mut self, (operation, now): &Self::Op, answer: &Self::Ret) -> bool {
        let rules = self.rules;
        let after = |user: &User| user.after(operation, *now, answer.as_ref(), rules);
        self.users = self.users.iter().flat_map(after).collect();
        !self.users.is_empty()
    }
}

/// Returns whether a history of one user is linearizable.
pub(crate) fn is_linearizable(starts: &[User], history: &[Recorded], rules: Rules) -> bool {
    let mut tester = LinearizabilityTester::new(Possible { users: starts.to_vec(), rules });
    // Each operation is a thread of its own: a manager also works in the background.
    let mut events = BTreeMap::new();
    for (thread, recorded) in history.iter().enumerate() {
        events.insert(recorded.invoked, (thread, recorded, true));
        if let Some((event, _)) = &recorded.answered {
            events.insert(*event, (thread, recorded, false));
        }
    }
    for (thread, recorded, is_invoked) in events.into_values() {
        let noted = if is_invoked {
            tester.on_invoke(thread, (recorded.operation.clone(), recorded.now)).map(drop)
        } else {
            tester.on_return(thread, recorded.answered.as_ref().map(|(_, answer)| answer.clone())).map(drop)
        };
        noted.expect("each operation begins and ends once");
    }
    tester.is_consistent()
}
