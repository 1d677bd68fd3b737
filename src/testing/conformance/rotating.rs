//! The rotation table, row by row. [`Tracked`] compares every step with [`SessionRecord::rotate`].
//!
//! [`SessionRecord::rotate`]: crate::store::SessionRecord::rotate

use std::time::Duration;

use super::support::*;
use crate::{
    clock::Clock,
    policy::{MAX_CLOCK_SKEW, ReplayWindow},
    store::{RefreshAttempt, Revocation, RotateOutcome, Rotation, SessionRecord, SessionStore, WhichSessions},
    testing::TestClock,
};

/// A login is not a rotation: the first refresh rotates, however soon it comes.
pub async fn rotates_at_once_after_login<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotates_at_once_after_login", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    assert_eq!(session.record.previous, Some(1));
    assert_eq!(session.record.rotated_at, Some(clock.now()));
    assert!(log(&store).await.is_empty());
}

/// A token that was issued less than two windows ago stays.
pub async fn rotate_keeps_the_current_token_for_two_windows<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_keeps_the_current_token_for_two_windows", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    session.expect(2, Rotation::Current, 2).await;
    clock.advance(2 * W - MS);
    session.expect(2, Rotation::Current, 2).await;
    clock.advance(MS);
    session.expect(2, Rotation::Rotated, 3).await;
}

/// Within the window the superseded token gets its successor again, and nothing is written.
pub async fn rotate_repeats_within_the_fixed_window<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_repeats_within_the_fixed_window", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    let after = session.record;
    session.expect(1, Rotation::Repeated, 2).await;
    session.confirm(2).await;
    clock.advance(W - MS);
    session.expect(1, Rotation::Repeated, 2).await;
    assert_eq!(session.record.idle_end, after.idle_end);
    assert_eq!(session.record.rotated_at, after.rotated_at);
}

/// At the end of the window the superseded token is proof of theft.
pub async fn rotate_detects_reuse_after_fixed_window<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_detects_reuse_after_fixed_window", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(W);
    session.expect_reuse(1).await;
}

/// Only the previous generation may be repeated, never one before it.
pub async fn rotate_detects_reuse_of_older_generations<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_detects_reuse_of_older_generations", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(2 * W);
    session.expect(2, Rotation::Rotated, 3).await;
    session.expect(2, Rotation::Repeated, 3).await;
    session.expect_reuse(1).await;
}

/// Until-confirmed: a repeat that comes soon gets the same successor.
pub async fn rotate_repeats_while_unconfirmed_and_young<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_repeats_while_unconfirmed_and_young", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(W - MS);
    session.expect(1, Rotation::Repeated, 2).await;
    clock.advance(MS);
    // That answer may arrive yet: the token stays for another window.
    session.expect(1, Rotation::Current, 2).await;
    clock.advance(W - MS);
    session.expect(1, Rotation::Current, 2).await;
    clock.advance(MS);
    session.expect(1, Rotation::Rotated, 3).await;
}

/// Until-confirmed: a repeat that comes late advances; the successor that was never used is now the stolen one.
pub async fn rotate_advances_when_the_answer_was_lost<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_advances_when_the_answer_was_lost", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(DAY);
    session.expect(1, Rotation::Rotated, 3).await;
    assert_eq!(session.record.previous, Some(1));
    session.expect(1, Rotation::Repeated, 3).await;
    session.expect_reuse(2).await;
}

/// Until-confirmed: after its first use the successor's predecessor lives one more window.
pub async fn rotate_repeats_for_a_window_after_confirmation<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_repeats_for_a_window_after_confirmation", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(DAY);
    session.confirm(2).await;
    clock.advance(W - MS);
    session.expect(1, Rotation::Repeated, 2).await;
    clock.advance(MS);
    session.expect_reuse(1).await;
}

/// Until-confirmed: presenting the successor is a use of it too.
pub async fn rotate_confirms_by_presenting_the_current_token<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_confirms_by_presenting_the_current_token", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(DAY);
    session.expect(2, Rotation::Current, 2).await;
    assert_eq!(session.record.confirmed_at, Some(clock.now()));
    clock.advance(W - MS);
    session.expect(2, Rotation::Current, 2).await;
    clock.advance(MS);
    session.expect(2, Rotation::Rotated, 3).await;
    assert_eq!(session.record.confirmed_at, None);
}

/// A token that is newer than the record means that the store lost writes: its generation is taken over.
pub async fn rotate_adopts_a_newer_generation<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_adopts_a_newer_generation", store);
    for window in [FIXED, CONFIRMED] {
        let mut session = Tracked::login(&store, &clock, window).await;
        let outcome = session.present(5).await;
        assert!(
            matches!(outcome, RotateOutcome::Live { rotation: Rotation::Rotated, rolled_back: true, .. }),
            "{outcome:?}"
        );
        assert_eq!((session.record.generation, session.record.previous), (6, Some(5)));
        let outcome = session.present(9).await;
        assert!(
            matches!(outcome, RotateOutcome::Live { rotation: Rotation::Current, rolled_back: true, .. }),
            "{outcome:?}"
        );
        assert_eq!((session.record.generation, session.record.previous), (9, None));
        session.expect_reuse(6).await;
    }
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(u32::MAX, Rotation::Rotated, u32::MAX).await;
}

/// A token that expired says nothing about theft, however old its generation.
pub async fn rotate_ends_with_the_token<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_ends_with_the_token", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(HOUR);
    for generation in [1, 2, 3] {
        let expired = RefreshAttempt { token_expires_at: clock.now(), ..attempt(generation, FIXED) };
        assert_eq!(session.present_with(expired).await, RotateOutcome::Ended);
    }
    let last = RefreshAttempt { token_expires_at: clock.now().saturating_add(MS), ..attempt(2, FIXED) };
    let outcome = session.present_with(last).await;
    assert!(matches!(outcome, RotateOutcome::Live { rotation: Rotation::Rotated, .. }), "{outcome:?}");
    assert!(log(&store).await.is_empty());
}

/// Each rotation moves the idle limit, never beyond the absolute one.
pub async fn rotate_extends_up_to_the_absolute_limit<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_extends_up_to_the_absolute_limit", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    clock.advance(DAY);
    session.expect(1, Rotation::Rotated, 2).await;
    assert_eq!(session.record.idle_end, clock.now().saturating_add(REFRESH));
    let longer = RefreshAttempt { refresh_lifetime: 100 * DAY, ..attempt(2, FIXED) };
    clock.advance(DAY);
    session.present_with(longer).await;
    assert_eq!(session.record.idle_end, session.record.absolute_end);
}

/// A window need not be a whole number of milliseconds.
pub async fn rotate_compares_whole_windows<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_compares_whole_windows", store);
    let window = ReplayWindow::Fixed(Duration::from_micros(10_400));
    let mut session = Tracked::login(&store, &clock, window).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(10 * MS);
    session.expect(1, Rotation::Repeated, 2).await;
    clock.advance(10 * MS);
    session.expect(2, Rotation::Current, 2).await;
    clock.advance(MS);
    session.expect(2, Rotation::Rotated, 3).await;
    clock.advance(11 * MS);
    session.expect_reuse(2).await;
}

/// A clock that steps back by no more than clocks may disagree closes no window early.
pub async fn rotate_works_after_clock_steps_back<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_works_after_clock_steps_back", store);
    for window in [FIXED, CONFIRMED] {
        let mut session = Tracked::login(&store, &clock, window).await;
        session.expect(1, Rotation::Rotated, 2).await;
        session.confirm(2).await;
        clock.set(clock.now().saturating_sub(MAX_CLOCK_SKEW));
        session.expect(2, Rotation::Current, 2).await;
        session.expect(1, Rotation::Repeated, 2).await;
        end(&store, &session.user, WhichSessions::All).await;
    }
}

/// A clock that steps back further opens no window again: the age of a time that lies ahead is unknown.
pub async fn rotate_closes_windows_that_lie_ahead<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_closes_windows_that_lie_ahead", store);
    for window in [FIXED, CONFIRMED] {
        for (presented, wait) in [(1, Duration::ZERO), (1, HOUR), (2, Duration::ZERO), (2, HOUR)] {
            let mut session = Tracked::login(&store, &clock, window).await;
            session.expect(1, Rotation::Rotated, 2).await;
            session.confirm(2).await;
            clock.advance(wait);
            clock.set(clock.now().saturating_sub(wait + MAX_CLOCK_SKEW + MS));
            match presented {
                1 => session.expect_reuse(1).await,
                _ => session.expect(2, Rotation::Rotated, 3).await,
            }
            end(&store, &session.user, WhichSessions::All).await;
        }
    }
}

/// The answer of an unconfirmed rotation that lies ahead counts as lost.
pub async fn rotate_advances_past_a_rotation_that_lies_ahead<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_advances_past_a_rotation_that_lies_ahead", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.set(clock.now().saturating_sub(HOUR));
    session.expect(1, Rotation::Rotated, 3).await;
    session.expect(1, Rotation::Repeated, 3).await;
    session.expect(3, Rotation::Current, 3).await;
}

/// Until-confirmed: a session ends when more answers in a row are lost than by chance.
pub async fn rotate_ends_when_too_many_answers_are_lost<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_ends_when_too_many_answers_are_lost", store);
    for is_used in [true, false] {
        let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
        let most = SessionRecord::MAX_LOST_ANSWERS;
        for lost in 0..=most {
            session.expect(1, Rotation::Rotated, 2 + lost).await;
            clock.advance(2 * W);
        }
        if !is_used {
            session.expect_reuse(1).await;
            continue;
        }
        // The last of them arrived late.
        session.confirm(2 + most).await;
        session.expect(1, Rotation::Repeated, 2 + most).await;
        clock.advance(W);
        // The count begins again.
        for lost in 0..=most {
            session.expect(2 + most, Rotation::Rotated, 3 + most + lost).await;
            clock.advance(2 * W);
        }
        session.expect_reuse(2 + most).await;
    }
}

/// The node knows a greater epoch than the record: the store lost an `expire_access`. Claims that were loaded before
/// the step are outdated then.
pub async fn rotate_raises_the_epoch<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_raises_the_epoch", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    clock.advance(DAY);
    for (min_epoch, epoch) in [(0, 0), (3, 3), (2, 3), (3, 3), (u32::MAX - 1, u32::MAX - 1)] {
        let generation = session.record.generation;
        let before = session.record;
        session.present_with(RefreshAttempt { min_epoch, ..attempt(generation, FIXED) }).await;
        assert_eq!(session.record.epoch, epoch);
        let raised = epoch > before.epoch;
        assert_eq!(session.record.access_expired_at, if raised { Some(clock.now()) } else { before.access_expired_at });
        clock.advance(HOUR);
    }
}

/// `Revocation::ENDED` is no epoch.
pub async fn rotate_refuses_what_is_known_to_have_ended<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_refuses_what_is_known_to_have_ended", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    for generation in [1, 2] {
        let ended = RefreshAttempt { min_epoch: Revocation::ENDED, ..attempt(generation, FIXED) };
        assert_eq!(session.present_with(ended).await, RotateOutcome::Ended);
    }
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(HOUR);
    let ended = RefreshAttempt { min_epoch: Revocation::ENDED, ..attempt(1, FIXED) };
    assert_eq!(session.present_with(ended).await, RotateOutcome::Ended, "no reuse either");
    assert!(log(&store).await.is_empty());
}

/// Reuse ends the session for every method and is published once. Repeats find a session that has ended.
pub async fn rotate_ends_a_reused_session_once<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_ends_a_reused_session_once", store);
    let mut session = Tracked::login(&store, &clock, FIXED).await;
    login(&store, &user("user"), id(2)).await;
    put(&store, &user("user"), id(1), 0, b"data").await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(2 * W);
    session.expect(2, Rotation::Rotated, 3).await;
    session.expect_reuse(1).await;
    for generation in 1..=4 {
        assert_eq!(session.present(generation).await, RotateOutcome::Ended);
    }
    assert_eq!(must(store.get_data(&user("user"), id(1)).await), None);
    assert_eq!(list(&store, &user("user")).await, [id(2)], "the other session lives on");
    assert_eq!(published(&store).await, [crate::store::Revocation::ended(id(1))]);
}

/// Of a hundred refreshes at once one rotates, and the others get the same successor.
pub async fn rotate_happens_once_in_parallel<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("rotate_happens_once_in_parallel", store);
    for window in [FIXED, CONFIRMED] {
        let mut session = Tracked::login(&store, &clock, window).await;
        let user = &session.user;
        let outcomes = join_all((0..100).map(|_| present(&store, user, id(1), attempt(1, window)))).await;
        let mut rotated = 0;
        for outcome in outcomes {
            match outcome {
                RotateOutcome::Live { rotation: Rotation::Rotated, record, .. } if record.generation == 2 => {
                    rotated += 1;
                }
                RotateOutcome::Live { rotation: Rotation::Repeated, record, .. } if record.generation == 2 => {}
                other => panic!("expected the rotation or a repeat of it, got {other:?}"),
            }
        }
        assert_eq!(rotated, 1);
        session.record.rotate(&attempt(1, window), clock.now());
        session.expect(2, Rotation::Current, 2).await;
        end(&store, &session.user, WhichSessions::One(id(1))).await;
    }
}

/// The first use of the current generation is recorded with the store's time. Later ones change nothing.
pub async fn confirm_counts_the_first_use_only<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("confirm_counts_the_first_use_only", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.expect(1, Rotation::Rotated, 2).await;
    clock.advance(HOUR);
    session.confirm(2).await;
    assert_eq!(session.record.confirmed_at, Some(clock.now()));
    let confirmed = session.record.confirmed_at;
    clock.advance(HOUR);
    session.confirm(2).await;
    assert_eq!(session.record.confirmed_at, confirmed);
}

/// A generation that supersedes none, that is not the current one, or whose session is over.
pub async fn confirm_ignores_other_generations_and_ended_sessions<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("confirm_ignores_other_generations_and_ended_sessions", store);
    let mut session = Tracked::login(&store, &clock, CONFIRMED).await;
    session.confirm(1).await;
    assert_eq!(session.record.confirmed_at, None);
    session.expect(1, Rotation::Rotated, 2).await;
    for generation in [0, 1, 3, u32::MAX] {
        session.confirm(generation).await;
        assert_eq!(session.record.confirmed_at, None);
    }
    end(&store, &session.user, WhichSessions::All).await;
    must(store.confirm(&session.user, id(1), 2).await);
    assert_eq!(find(&store, &session.user, id(1)).await, None);
}
