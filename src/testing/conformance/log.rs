//! The revocation log.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use super::support::*;
use crate::{
    clock::Clock,
    store::{LogPosition, Revocation, SessionStore, WhichSessions},
    testing::TestClock,
};

const AT_ONCE: Duration = Duration::ZERO;
/// Longer than any case takes.
const LONG: Duration = Duration::MAX;

/// Logs in and out, and returns the position of what that published.
async fn publish<S: SessionStore>(store: &S, n: u8) -> LogPosition {
    login(store, &user("user"), id(n)).await;
    end(store, &user("user"), WhichSessions::One(id(n))).await;
    must(store.read_log(LogPosition::START, AT_ONCE).await).newest
}

/// A new log is at its start.
pub async fn log_is_empty_at_first<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("log_is_empty_at_first", store);
    let page = must(store.read_log(LogPosition::START, AT_ONCE).await);
    assert_eq!((page.entries.len(), page.newest), (0, LogPosition::START));
}

/// Entries come in the order in which they were written, after any position, with the store's time.
pub async fn log_keeps_order_and_resumes<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("log_keeps_order_and_resumes", store);
    let mut positions = Vec::new();
    for n in 0..10 {
        positions.push(publish(&store, n).await);
        if n % 3 == 2 {
            clock.advance(MS);
        }
    }
    assert!(positions.is_sorted_by(|a, b| a < b), "positions grow: {positions:?}");
    let entries = log(&store).await;
    assert_eq!(entries.iter().map(|entry| entry.position).collect::<Vec<_>>(), positions);
    assert_eq!(entries.last().map(|entry| entry.position.at()), Some(clock.now()));
    for (n, after) in (0_u8..).zip(&positions) {
        let page = must(store.read_log(*after, AT_ONCE).await);
        let rest: Vec<_> = page.entries.into_iter().map(|entry| (entry.position, entry.revocations)).collect();
        let later = positions.iter().zip(0..).skip(usize::from(n) + 1);
        let expected: Vec<_> = later.map(|(position, n)| (*position, vec![Revocation::ended(id(n))])).collect();
        assert_eq!(rest, expected);
        assert_eq!(Some(&page.newest), positions.last());
    }
}

/// A clock that steps back does not hide what is published then.
pub async fn log_grows_when_the_clock_steps_back<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("log_grows_when_the_clock_steps_back", store);
    let before = publish(&store, 1).await;
    clock.set(clock.now().saturating_sub(HOUR));
    let after = publish(&store, 2).await;
    assert!(after > before);
    let page = must(store.read_log(before, AT_ONCE).await);
    assert_eq!(page.entries.len(), 1);
}

/// What one step ends stands in one entry.
pub async fn log_has_one_entry_for_each_step<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("log_has_one_entry_for_each_step", store);
    for n in 0..20 {
        login(&store, &user("user"), id(n)).await;
    }
    must(store.expire_access(&user("user"), RETENTION).await);
    end(&store, &user("user"), WhichSessions::All).await;
    let entries = log(&store).await;
    let sizes: Vec<usize> = entries.iter().map(|entry| entry.revocations.len()).collect();
    assert_eq!(sizes, [20, 20]);
}

/// An entry is there for at least its retention, however many follow.
pub async fn log_is_kept_for_its_retention<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("log_is_kept_for_its_retention", store);
    let first = publish(&store, 1).await;
    clock.advance(RETENTION);
    publish(&store, 2).await;
    assert_eq!(log(&store).await.first().map(|entry| entry.position), Some(first));
}

/// A reader that waits hears of an entry as it is written.
pub async fn log_wakes_a_waiting_reader<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("log_wakes_a_waiting_reader", store);
    for n in 1..4 {
        let after = must(store.read_log(LogPosition::START, AT_ONCE).await).newest;
        let user = user("user");
        login(&store, &user, id(n)).await;
        let mut reader = pin!(store.read_log(after, LONG));
        // Begins to wait before anything is written.
        let early = poll_fn(|context| Poll::Ready(reader.as_mut().poll(context).is_ready())).await;
        assert!(!early, "there is nothing to read yet");
        let mut writer = pin!(end(&store, &user, WhichSessions::One(id(n))));
        let mut written = false;
        let page = poll_fn(|context| {
            if !written && writer.as_mut().poll(context).is_ready() {
                written = true;
            }
            reader.as_mut().poll(context)
        })
        .await;
        let page = must(page);
        let revoked: Vec<_> = page.entries.iter().flat_map(|entry| &entry.revocations).collect();
        assert_eq!(revoked, [&Revocation::ended(id(n))]);
        assert_eq!(Some(page.newest), page.entries.last().map(|entry| entry.position));
    }
}

/// Waiting ends by itself, also more than once, and leaves the position where it was.
pub async fn log_stops_waiting<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("log_stops_waiting", store);
    let short = Duration::from_millis(20);
    let empty = must(store.read_log(LogPosition::START, short).await);
    assert_eq!((empty.entries.len(), empty.newest), (0, LogPosition::START));
    let newest = publish(&store, 1).await;
    for _ in 0..3 {
        let page = must(store.read_log(newest, short).await);
        assert_eq!((page.entries.len(), page.newest), (0, newest));
    }
}

/// A reader that is behind does not wait.
pub async fn log_answers_at_once_when_there_is_something<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("log_answers_at_once_when_there_is_something", store);
    let newest = publish(&store, 1).await;
    let page = must(store.read_log(LogPosition::START, Duration::MAX).await);
    assert_eq!((page.entries.len(), page.newest), (1, newest));
}

/// More than Redis keeps in one node of a stream, which it trims as a whole.
const ENTRIES: usize = 150;

/// Asking for a shorter retention does not shorten the log for others.
pub async fn log_is_kept_for_the_longest_retention<S: SessionStore>(store: S, clock: TestClock) {
    let store = limited("log_is_kept_for_the_longest_retention", store);
    login(&store, &user("user"), id(1)).await;
    let retentions = [DAY, HOUR];
    for retention in retentions {
        for _ in 0..ENTRIES {
            must(store.expire_access(&user("user"), retention).await);
        }
        clock.advance(HOUR * 2);
    }
    must(store.expire_access(&user("user"), HOUR).await);
    assert_eq!(log(&store).await.len(), ENTRIES * retentions.len() + 1, "entries of the last four hours");
}
