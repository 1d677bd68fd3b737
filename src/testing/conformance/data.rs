//! The application's data.

use super::support::*;
use crate::{
    store::{PutOutcome, SessionData, SessionStore},
    testing::TestClock,
};

/// Version 0 without data; each write counts one up; a stale version changes nothing; what is not live has no data.
pub async fn data_is_empty_at_first_and_counts_writes<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("data_is_empty_at_first_and_counts_writes", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    login(&store, &user, id(2)).await;
    assert_eq!(must(store.get_data(&user, id(1)).await), Some(SessionData::default()));
    for version in 0..5 {
        let bytes = vec![b'x'; version];
        let version = version as u64;
        assert_eq!(put(&store, &user, id(1), version, &bytes).await, PutOutcome::Stored { version: version + 1 });
        for stale in [version, version + 2, u64::MAX - 1, u64::MAX] {
            assert_eq!(put(&store, &user, id(1), stale, b"stale").await, PutOutcome::Conflict);
        }
        let expected = SessionData { version: version + 1, bytes: Some(bytes) };
        assert_eq!(must(store.get_data(&user, id(1)).await), Some(expected));
    }
    assert_eq!(must(store.get_data(&user, id(2)).await), Some(SessionData::default()));
    for version in [0, u64::MAX] {
        assert_eq!(put(&store, &user, id(3), version, b"of no session").await, PutOutcome::Ended);
    }
}

/// Of many writers that read the same version one writes.
pub async fn data_of_concurrent_writers_is_written_once<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("data_of_concurrent_writers_is_written_once", store);
    let user = &user("user");
    login(&store, user, id(1)).await;
    for version in 0..3 {
        let store = &store;
        let outcomes = join_all((0..50_u8).map(|n| async move { put(store, user, id(1), version, &[n]).await })).await;
        let winner: Vec<u8> =
            (0..).zip(&outcomes).filter(|(_, put)| matches!(put, PutOutcome::Stored { .. })).map(|(n, _)| n).collect();
        let [winner] = winner[..] else { panic!("{} writers succeeded", winner.len()) };
        let expected = SessionData { version: version + 1, bytes: Some(vec![winner]) };
        assert_eq!(must(store.get_data(user, id(1)).await), Some(expected));
    }
}

/// Bytes are bytes: none is special, and there may be many.
pub async fn data_may_be_any_bytes<S: SessionStore>(store: S, _: TestClock) {
    let store = limited("data_may_be_any_bytes", store);
    let user = user("user");
    login(&store, &user, id(1)).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    put(&store, &user, id(1), 0, &bytes).await;
    assert_eq!(must(store.get_data(&user, id(1)).await).and_then(|data| data.bytes), Some(bytes));
}
