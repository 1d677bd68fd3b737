//! Marks that lie ahead: the store's clock was set back after they were left.

use std::{future::Future, time::Duration};

use super::support::*;
use crate::{
    clock::{Clock, Timestamp},
    policy::MAX_CLOCK_SKEW,
    store::{
        AccessExpiry, ClaimsAge, CreateOutcome, EndMark, EndSessions, LoginProof, MARKS_REMEMBERED, NewSession, Owner,
        SessionStore, WhichSessions,
    },
    testing::TestClock,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Has something done by a clock that is a day ahead, and returns the time of that.
async fn a_day_ahead(clock: &TestClock, step: impl Future<Output = ()>) -> Timestamp {
    let now = clock.now();
    clock.set(now.saturating_add(DAY));
    step.await;
    let then = clock.now();
    clock.set(now);
    then
}

async fn end_all<S: SessionStore>(store: &S, user: &Owner) {
    end(store, user, WhichSessions::All).await;
}

async fn expire_access<S: SessionStore>(store: &S, user: &Owner) {
    must(store.expire_access(user, RETENTION).await);
}

/// A login that states a proof from after this mark, or after none.
fn proven(user: &Owner, n: u8, newer_than: Option<Timestamp>) -> NewSession {
    let mut new = new_session(user, id(n));
    new.proof = Some(LoginProof { newer_than });
    new
}

async fn outdated_proof<S: SessionStore>(store: &S, new: &NewSession) -> EndMark {
    match must(store.create(new).await) {
        CreateOutcome::ProofOutdated(mark) => mark,
        other => panic!("a proof that may be outdated was taken: {other:?}"),
    }
}

/// It has the time of the first step that meets it. From then on it ages, and is forgotten, like any other.
pub async fn ends_that_lie_ahead_have_the_time_when_they_are_met<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("ends_that_lie_ahead_have_the_time_when_they_are_met", store);
    let user = user("user");
    a_day_ahead(&clock, end_all(&store, &user)).await;
    clock.advance(20 * HOUR);
    let met = clock.now();
    assert_eq!(outdated_proof(&store, &proven(&user, 1, None)).await.at, met);
    clock.advance(MINUTE);
    let mark = outdated_proof(&store, &proven(&user, 1, None)).await;
    assert_eq!(mark.at, met, "once");
    assert!(mark.age >= MINUTE - MS, "{mark:?}");
    create(&store, &proven(&user, 1, Some(met))).await;
    clock.advance(MARKS_REMEMBERED - MINUTE - MS);
    outdated_proof(&store, &proven(&user, 2, None)).await;
    clock.advance(MS);
    create(&store, &proven(&user, 2, None)).await;
}

/// Not by so little as clocks disagree: it keeps its name.
pub async fn ends_that_lie_ahead_by_the_skew_keep_their_time<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("ends_that_lie_ahead_by_the_skew_keep_their_time", store);
    let user = user("user");
    end_all(&store, &user).await;
    let left = clock.now();
    clock.set(left.saturating_sub(MAX_CLOCK_SKEW));
    assert_eq!(outdated_proof(&store, &proven(&user, 1, None)).await.at, left);
    create(&store, &proven(&user, 1, Some(left))).await;
    clock.set(left.saturating_sub(MAX_CLOCK_SKEW + MS));
    assert_eq!(outdated_proof(&store, &proven(&user, 2, None)).await.at, clock.now());
}

/// An end takes over no time from one that lies ahead, and is news to a login that knows that one.
pub async fn ends_after_one_that_lies_ahead_have_their_own_time<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("ends_after_one_that_lies_ahead_have_their_own_time", store);
    let user = user("user");
    let ahead = a_day_ahead(&clock, end_all(&store, &user)).await;
    end_all(&store, &user).await;
    clock.advance(MINUTE);
    let mark = outdated_proof(&store, &proven(&user, 1, Some(ahead))).await;
    assert!(mark.at < clock.now() && mark.age >= MINUTE - MS, "{mark:?}");

    // One that is tried again is as old as it is, also where the one before was met meanwhile.
    a_day_ahead(&clock, end_all(&store, &user)).await;
    outdated_proof(&store, &proven(&user, 1, None)).await;
    clock.advance(10 * MINUTE);
    let mut retry = EndSessions::new(user.clone(), WhichSessions::All, RETENTION);
    retry.min_age = 5 * MINUTE;
    must(store.end(&retry).await);
    let mark = outdated_proof(&store, &proven(&user, 1, None)).await;
    assert!(mark.age >= 5 * MINUTE - MS, "{mark:?}");

    // What expires access leaves it where it is, and is as well no later than now.
    a_day_ahead(&clock, end_all(&store, &user)).await;
    expire_access(&store, &user).await;
    clock.advance(MINUTE);
    let mark = outdated_proof(&store, &proven(&user, 1, None)).await;
    assert!(mark.age >= MINUTE - MS, "{mark:?}");
}

/// Claims are loaded once more for a mark that lies ahead, and not by every login until the clock has passed it.
pub async fn claims_are_outdated_once_by_marks_that_lie_ahead<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("claims_are_outdated_once_by_marks_that_lie_ahead", store);
    let user = user("user");
    let mut new = new_session(&user, id(1));
    let claims = |newer_than| Some(ClaimsAge { age: Duration::from_secs(5), newer_than });
    for is_end in [true, false] {
        let ahead = match is_end {
            true => a_day_ahead(&clock, end_all(&store, &user)).await,
            false => a_day_ahead(&clock, expire_access(&store, &user)).await,
        };
        clock.advance(20 * HOUR);
        new.claims = claims(None);
        let expiry = AccessExpiry { at: clock.now(), epoch: 0 };
        assert_eq!(must(store.create(&new).await), CreateOutcome::ClaimsOutdated(expiry));
        clock.advance(MINUTE);
        assert_eq!(create(&store, &new).await.0.access_expired_at, Some(expiry.at));
        end(&store, &user, WhichSessions::One(id(1))).await;

        // The next is news to a login that knows the one that lay ahead.
        expire_access(&store, &user).await;
        new.claims = claims(Some(AccessExpiry { at: ahead, epoch: 0 }));
        let expiry = AccessExpiry { at: clock.now(), epoch: 0 };
        assert_eq!(must(store.create(&new).await), CreateOutcome::ClaimsOutdated(expiry));
    }
}
