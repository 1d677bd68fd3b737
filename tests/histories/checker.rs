//! Whether a history is linearizable: whether every operation can have happened at one moment between its beginning and
//! its answer, as the reference would have answered.
//!
//! This is the search of Wing and Gong with the memory of Lowe: an operation that nothing precedes is tried next, and no
//! pair of *operations that happened* and *user after them* is visited twice. All users that a history can end with are
//! found, since the next history begins there.

use std::{
    collections::{BTreeSet, HashSet},
    rc::Rc,
};

use crate::{
    recorder::Recorded,
    reference::{Rules, User},
};

/// Why a history is not linearizable: how far it can be explained.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The longest beginning that is possible, as indices of operations.
    pub(crate) explained: Vec<usize>,
    /// The user after it.
    pub(crate) then: User,
}

/// A node of the search.
struct Visited {
    done: u64,
    user: Rc<User>,
    /// The operation that led here, and from where.
    from: Option<(usize, usize)>,
}

/// Returns the users that a history of one user can end with.
pub(crate) fn ends_of(starts: &[User], history: &[Recorded], rules: Rules) -> Result<Vec<User>, Box<Violation>> {
    assert!(history.len() <= 64, "{} operations are too many for one history", history.len());
    let bit = |index: usize| 1_u64 << index;
    let answered = history.iter().enumerate().filter(|(_, recorded)| recorded.answered.is_some());
    let must: u64 = answered.map(|(index, _)| bit(index)).sum();
    let mut visited: Vec<Visited> = Vec::new();
    let mut known: HashSet<(u64, Rc<User>)> = HashSet::new();
    let mut ends: HashSet<Rc<User>> = HashSet::new();
    let mut open = Vec::new();
    for start in starts {
        let user = Rc::new(start.clone());
        if known.insert((0, Rc::clone(&user))) {
            visited.push(Visited { done: 0, user, from: None });
            open.push(visited.len() - 1);
        }
    }
    while let Some(at) = open.pop() {
        let (done, user) = (visited[at].done, Rc::clone(&visited[at].user));
        if done & must == must {
            ends.insert(Rc::clone(&user));
        }
        let waiting = |(index, _): &(usize, &Recorded)| done & bit(*index) == 0;
        let answers = history.iter().enumerate().filter(waiting).filter_map(|(_, recorded)| recorded.answered.as_ref());
        let first_answer = answers.map(|(event, _)| *event).min().unwrap_or(u64::MAX);
        let happened = history.iter().enumerate().filter(|(index, _)| done & bit(*index) != 0);
        let last_beginning = happened.map(|(_, recorded)| recorded.invoked).max().unwrap_or(0);
        for (index, recorded) in history.iter().enumerate().filter(waiting) {
            if recorded.invoked > first_answer {
                continue;
            }
            let answer = recorded.answered.as_ref().map(|(_, answer)| answer);
            // It was over when something began that has happened.
            if recorded.over.is_some_and(|over| over < last_beginning) {
                continue;
            }
            for next in user.after(&recorded.operation, recorded.now, answer, rules) {
                // An operation without an answer that changes nothing need not have happened.
                if answer.is_none() && next == *user {
                    continue;
                }
                let (done, next) = (done | bit(index), Rc::new(next));
                if known.insert((done, Rc::clone(&next))) {
                    visited.push(Visited { done, user: next, from: Some((index, at)) });
                    open.push(visited.len() - 1);
                }
            }
        }
    }
    if ends.is_empty() {
        return Err(Box::new(violation(&visited, must)));
    }
    Ok(ends.into_iter().map(Rc::unwrap_or_clone).collect())
}

fn violation(visited: &[Visited], must: u64) -> Violation {
    let mut longest = visited.iter().max_by_key(|visited| (visited.done & must).count_ones()).expect("a start");
    let then = (*longest.user).clone();
    let mut explained = Vec::new();
    while let Some((index, before)) = longest.from {
        explained.push(index);
        longest = &visited[before];
    }
    explained.reverse();
    Violation { explained, then }
}

/// Returns the operations that the longest explanation leaves unexplained.
pub(crate) fn unexplained(history: &[Recorded], violation: &Violation) -> BTreeSet<usize> {
    let is_left = |index: &usize| !violation.explained.contains(index) && history[*index].answered.is_some();
    (0..history.len()).filter(is_left).collect()
}
