//! Whether a history is linearizable: whether every operation can have happened at one moment between its beginning and
//! its answer, as the reference would have answered.
//!
//! This is the search of Wing and Gong with the memory of Lowe: an operation that nothing precedes is tried next, and no
//! pair of *operations that happened* and *user after them* is visited twice. All users that a history can end with are
//! found, since the next history begins there.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
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
    /// The operations that lead here, and from where.
    from: Vec<(usize, usize)>,
}

/// Returns the users that a history of one user can end with.
pub(crate) fn ends_of(starts: &[User], history: &[Recorded], rules: Rules) -> Result<Vec<User>, Box<Violation>> {
    let (visited, ends) = search(starts, history, rules)?;
    let users: HashSet<Rc<User>> = ends.into_iter().map(|at| Rc::clone(&visited[at].user)).collect();
    Ok(users.iter().map(|user| (**user).clone()).collect())
}

/// Returns the users that there can be anywhere in a history of one user.
pub(crate) fn beginnings_of(starts: &[User], history: &[Recorded], rules: Rules) -> Result<Vec<User>, Box<Violation>> {
    let (visited, mut open) = search(starts, history, rules)?;
    let mut leads_to_end: HashSet<usize> = open.iter().copied().collect();
    while let Some(at) = open.pop() {
        open.extend(visited[at].from.iter().map(|(_, before)| *before).filter(|before| leads_to_end.insert(*before)));
    }
    let users: HashSet<Rc<User>> = leads_to_end.into_iter().map(|at| Rc::clone(&visited[at].user)).collect();
    Ok(users.iter().map(|user| (**user).clone()).collect())
}

/// Returns what can be visited, and which of that is an end.
fn search(starts: &[User], history: &[Recorded], rules: Rules) -> Result<(Vec<Visited>, Vec<usize>), Box<Violation>> {
    assert!(history.len() <= 64, "{} operations are too many for one history", history.len());
    let bit = |index: usize| 1_u64 << index;
    let answered = history.iter().enumerate().filter(|(_, recorded)| recorded.answered.is_some());
    let must: u64 = answered.map(|(index, _)| bit(index)).sum();
    let mut visited: Vec<Visited> = Vec::new();
    let mut known: HashMap<(u64, Rc<User>), usize> = HashMap::new();
    let mut open = Vec::new();
    let mut ends = Vec::new();
    let mut visit =
        |done, user: User, from: Option<(usize, usize)>, open: &mut Vec<usize>, visited: &mut Vec<Visited>| {
            let user = Rc::new(user);
            let at = *known.entry((done, Rc::clone(&user))).or_insert_with(|| {
                visited.push(Visited { done, user, from: Vec::new() });
                open.push(visited.len() - 1);
                visited.len() - 1
            });
            visited[at].from.extend(from);
        };
    for start in starts {
        visit(0, start.clone(), None, &mut open, &mut visited);
    }
    while let Some(at) = open.pop() {
        let (done, user) = (visited[at].done, Rc::clone(&visited[at].user));
        if done & must == must {
            ends.push(at);
        }
        let waiting = |(index, _): &(usize, &Recorded)| done & bit(*index) == 0;
        let answers = history.iter().enumerate().filter(waiting).filter_map(|(_, recorded)| recorded.answered.as_ref());
        let first_answer = answers.map(|(event, _)| *event).min().unwrap_or(u64::MAX);
        let happened = history.iter().enumerate().filter(|(index, _)| done & bit(*index) != 0);
        let last_beginning = happened.map(|(_, recorded)| recorded.invoked).max().unwrap_or(0);
        for (index, recorded) in history.iter().enumerate().filter(waiting) {
            // Something has been answered before it began, or it was over when something began that has happened.
            if recorded.invoked > first_answer || recorded.over.is_some_and(|over| over < last_beginning) {
                continue;
            }
            let answer = recorded.answered.as_ref().map(|(_, answer)| answer);
            for next in user.after(&recorded.operation, recorded.now, answer, rules) {
                // An operation without an answer that changes nothing need not have happened.
                if answer.is_some() || next != *user {
                    visit(done | bit(index), next, Some((index, at)), &mut open, &mut visited);
                }
            }
        }
    }
    if ends.is_empty() { Err(Box::new(violation(&visited, must))) } else { Ok((visited, ends)) }
}

fn violation(visited: &[Visited], must: u64) -> Violation {
    let mut longest = visited.iter().max_by_key(|visited| (visited.done & must).count_ones()).expect("a start");
    let then = (*longest.user).clone();
    let mut explained = Vec::new();
    while let Some(&(index, before)) = longest.from.first() {
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
