//! A suite of tests of the behaviour that every [`SessionStore`] must show.
//!
//! ```
//! use tower_jwt_sessions::{MemoryStore, testing::conformance};
//!
//! # async fn suite() {
//! conformance::run(async |clock| MemoryStore::with_clock(clock)).await;
//! # }
//! ```
//!
//! Each case gets an empty store that runs on a clock of its own, and panics when the store misbehaves. The contract
//! of [`SessionStore`] has all that the cases demand. To see each case as a test by itself, pass the name of a macro of
//! yours to [`for_each_store_case!`](crate::for_each_store_case).
//!
//! No case hangs: one panics if a step of the store takes longer than [`STEP_LIMIT`]. Only a store that blocks the
//! thread is out of reach.

#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod creating;
mod data;
mod devices;
mod ending;
mod limited;
mod log;
mod marks;
mod reading;
mod rotating;
mod support;

use std::{future::Future, pin::Pin};

use self::limited::caught;
pub use self::{
    creating::*, data::*, devices::*, ending::*, limited::STEP_LIMIT, log::*, marks::*, reading::*, rotating::*,
};
use super::TestClock;
use crate::store::SessionStore;

/// Calls a macro with the names of all cases of the [conformance suite](crate::testing::conformance).
///
/// ```
/// use tower_jwt_sessions::{MemoryStore, testing::{TestClock, conformance}};
///
/// macro_rules! tests {
///     ($($case:ident,)*) => {$(
///         # #[allow(dead_code)]
///         // #[tokio::test]
///         async fn $case() {
///             let clock = TestClock::new();
///             conformance::$case(MemoryStore::with_clock(clock.clone()), clock).await;
///         }
///     )*};
/// }
/// tower_jwt_sessions::for_each_store_case!(tests);
/// ```
#[macro_export]
macro_rules! for_each_store_case {
    ($callback:ident) => {
        $callback! {
            create_begins_a_session,
            create_ends_no_later_than_the_absolute_limit,
            create_stores_the_first_data,
            create_stores_the_device,
            create_evicts_the_least_recently_refreshed,
            create_evicts_as_many_as_needed,
            create_refuses_when_full_and_changes_nothing,
            create_replaces_without_counting,
            create_replaces_only_live_sessions_of_the_user,
            create_counts_only_live_sessions,
            create_is_exact_when_evicting_in_parallel,
            create_is_exact_when_refusing_in_parallel,
            reads_until_the_idle_limit,
            reads_until_the_absolute_limit,
            finds_no_unknown_sessions,
            keeps_users_apart,
            keeps_populations_apart,
            accepts_any_user_id,
            lists_every_live_session,
            rotates_at_once_after_login,
            rotate_keeps_the_current_token_for_two_windows,
            rotate_repeats_within_the_fixed_window,
            rotate_detects_reuse_after_fixed_window,
            rotate_detects_reuse_of_older_generations,
            rotate_repeats_while_unconfirmed_and_young,
            rotate_advances_when_the_answer_was_lost,
            rotate_repeats_for_a_window_after_confirmation,
            rotate_confirms_by_presenting_the_current_token,
            rotate_adopts_a_newer_generation,
            rotate_ends_with_the_token,
            rotate_extends_up_to_the_absolute_limit,
            rotate_compares_whole_windows,
            rotate_works_after_clock_steps_back,
            rotate_closes_windows_that_lie_ahead,
            rotate_advances_past_a_rotation_that_lies_ahead,
            rotate_ends_when_too_many_answers_are_lost,
            rotate_raises_the_epoch,
            rotate_refuses_what_is_known_to_have_ended,
            rotate_ends_a_reused_session_once,
            rotate_happens_once_in_parallel,
            confirm_counts_the_first_use_only,
            confirm_ignores_other_generations_and_ended_sessions,
            ends_one_session,
            ends_one_proven_session,
            ends_the_other_sessions,
            ends_all_sessions,
            end_spares_sessions_younger_than_min_age,
            end_removes_data,
            end_does_not_return_expired_sessions,
            ended_session_is_never_revived,
            expires_access_of_live_sessions,
            expired_access_outdates_claims_of_logins,
            outdated_claims_change_nothing,
            expiries_within_a_millisecond_differ,
            end_outdates_claims_of_logins,
            outdated_proofs_change_nothing,
            proofs_are_outdated_by_ends_of_all_or_others_only,
            ends_tried_again_leave_a_mark_as_old_as_they_are,
            marks_within_a_millisecond_differ,
            ends_that_lie_ahead_have_the_time_when_they_are_met,
            ends_that_lie_ahead_by_the_skew_keep_their_time,
            ends_after_one_that_lies_ahead_have_their_own_time,
            claims_are_outdated_once_by_marks_that_lie_ahead,
            ends_many_sessions,
            expire_access_can_be_repeated,
            data_is_empty_at_first_and_counts_writes,
            data_of_concurrent_writers_is_written_once,
            data_may_be_any_bytes,
            device_is_registered_once,
            device_is_registered_once_in_parallel,
            proof_is_demanded_once_it_was_given,
            log_is_empty_at_first,
            log_keeps_order_and_resumes,
            log_grows_when_the_clock_steps_back,
            log_is_kept_for_the_longest_retention,
            log_has_one_entry_for_each_step,
            log_is_kept_for_its_retention,
            log_wakes_a_waiting_reader,
            log_stops_waiting,
            log_answers_at_once_when_there_is_something,
        }
    };
}

/// Runs every case, each on an empty store that `make` builds over the given clock.
///
/// # Panics
///
/// When cases fail: after the last one, with the names of all of them and why.
pub async fn run<S: SessionStore>(make: impl AsyncFn(TestClock) -> S) {
    let make = &make;
    let mut failed: Vec<String> = Vec::new();
    macro_rules! run_all {
        ($($case:ident,)*) => {
            $({
                let case = boxed(|| async move {
                    let clock = TestClock::new();
                    let store = tokio::time::timeout(STEP_LIMIT, make(clock.clone())).await;
                    $case(store.expect("the making of the store took too long"), clock).await;
                });
                if let Err(why) = caught(case).await {
                    failed.push(format!("{}: {why}", stringify!($case)));
                }
            })*
        };
    }
    for_each_store_case!(run_all);
    let count = failed.len();
    assert!(failed.is_empty(), "{count} cases of the conformance suite failed:\n{}", failed.join("\n"));
}

/// Makes a future on the heap, in a frame of its own: one case is large without optimisation, and a frame with all of
/// them is larger than the stack of a test.
#[inline(never)]
fn boxed<'a, F: Future<Output = ()> + 'a>(make: impl FnOnce() -> F) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
    Box::pin(make())
}
