//! What is measured: spans for `tracing`, and with the feature `metrics` the values that operators alarm on.
//!
//! The operations page lists all metrics; names and units follow the conventions of Prometheus. Without the feature
//! every function here does nothing.

#![cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "nothing is recorded"))]

use std::{future::Future, time::Instant};

use tracing::{Instrument as _, field::Empty};

use crate::{clock::Timestamp, error::LOG_TARGET};

/// Runs a step of the store within a span, and measures how long it takes.
pub(crate) async fn store_step<T, E>(step: &'static str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let begun = Instant::now();
    let span = tracing::debug_span!(target: LOG_TARGET, "session_store", step, outcome = Empty);
    let result = work.instrument(span.clone()).await;
    let outcome = if result.is_ok() { "success" } else { "error" };
    span.record("outcome", outcome);
    #[cfg(feature = "metrics")]
    metrics::histogram!("tower_jwt_sessions_store_step_duration_seconds", "step" => step, "outcome" => outcome)
        .record(begun.elapsed());
    result
}

/// Counts a failed operation of what this crate depends on.
pub(crate) fn failure(of: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_failures_total", "of" => of).increment(1);
}

/// Counts an event of a session.
pub(crate) fn event(name: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_events_total", "event" => name).increment(1);
}

/// Counts a refresh whose refresh token was genuine.
pub(crate) fn refresh(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_refreshes_total", "outcome" => outcome).increment(1);
}

/// Counts a connection to Redis that was made.
#[cfg(feature = "redis")]
pub(crate) fn redis_connection() {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_redis_connections_total").increment(1);
}

/// Records whether this node can read the revocation log.
pub(crate) fn feed_is_up_to_date(is_up_to_date: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_jwt_sessions_revocation_feed_up_to_date").set(f64::from(u8::from(is_up_to_date)));
}

/// Measures how old entries of the log were when this node, whose feed was up to date, received them.
pub(crate) fn revocation_lag(entries: impl Iterator<Item = Timestamp>, received_at: Option<Timestamp>) {
    #[cfg(feature = "metrics")]
    if let Some(received_at) = received_at {
        for at in entries {
            metrics::histogram!("tower_jwt_sessions_revocation_lag_seconds").record(received_at.since(at));
        }
    }
}

/// Records how far this node has read the log, when, and how many revocations it knows.
pub(crate) fn revocations(newest: Timestamp, now: Timestamp, known: impl FnOnce() -> usize) {
    #[cfg(feature = "metrics")]
    {
        let seconds = |time: Timestamp| time.as_millis() as f64 / 1_000.0;
        metrics::gauge!("tower_jwt_sessions_revocation_log_position_timestamp_seconds").set(seconds(newest));
        metrics::gauge!("tower_jwt_sessions_revocation_log_read_timestamp_seconds").set(seconds(now));
        metrics::gauge!("tower_jwt_sessions_revocations").set(known() as f64);
    }
}

/// Records by how many seconds the store's clock is ahead of that of this node.
pub(crate) fn store_clock_offset(seconds: f64) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_jwt_sessions_store_clock_offset_seconds").set(seconds);
}

/// Counts a revocation log that was lost.
pub(crate) fn lost_log() {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_revocation_log_losses_total").increment(1);
}

/// Counts sessions that the store has lost.
pub(crate) fn lost_sessions(count: u64) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_lost_sessions_total").increment(count);
}

/// Counts entries of the log that were skipped.
pub(crate) fn skipped_entries(count: usize) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_log_entries_skipped_total")
        .increment(u64::try_from(count).unwrap_or(u64::MAX));
}

/// Changes the number of ends of sessions that the store has not carried out.
pub(crate) fn unfinished_ends(change: f64) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_jwt_sessions_unfinished_ends").increment(change);
}

/// Counts an unfinished end that was dropped.
pub(crate) fn dropped_end() {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_jwt_sessions_unfinished_ends_dropped_total").increment(1);
}
