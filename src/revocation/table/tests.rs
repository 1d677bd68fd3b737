use super::*;

const NOW: u32 = 1_000;

const LAST: u32 = u32::MAX;

fn number(table: &SessionTable, session: SessionId, now: u32) -> Option<u32> {
    table.find(session, |_| true, || now)
}

fn knows(table: &SessionTable, session: SessionId) -> bool {
    number(table, session, NOW).is_some()
}

/// Spread like real ones, over shards and buckets.
fn session(n: u64) -> SessionId {
    let mixed = |n: u64| {
        let n = (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) ^ n >> 29
    };
    let mut bytes = [0; SessionId::LEN];
    bytes[..8].copy_from_slice(&mixed(n + 1).to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    SessionId::from_bytes(bytes)
}

#[test]
fn numbers_are_merged_by_maximum() {
    let table = SessionTable::unbounded();
    assert_eq!(number(&table, session(1), NOW), None);
    assert!(table.raise(session(1), 2, later(60), NOW));
    assert!(table.raise(session(1), LAST, later(50), NOW));
    assert!(!table.raise(session(1), LAST, later(60), NOW) && !table.raise(session(1), 1, later(60), NOW));
    assert_eq!(number(&table, session(1), later(59)), Some(LAST));
    assert_eq!(number(&table, session(2), NOW), None);
}

#[test]
fn number_is_forgotten_unless_there_is_a_greater_one() {
    let table = SessionTable::unbounded();
    (1..100).for_each(|n| assert!(table.raise(session(n), 3, later(60), NOW)));
    table.forget(session(1), 2);
    assert_eq!(number(&table, session(1), NOW), Some(3));
    table.forget(session(1), 3);
    table.forget(session(1), 3);
    assert_eq!((number(&table, session(1), NOW), len(&table)), (None, 98));
    assert!((2..100).all(|n| knows(&table, session(n))));
    assert!(table.raise(session(1), 3, later(60), NOW));
}

#[test]
fn full_table_takes_no_new_session_until_others_are_over() {
    let table = SessionTable::bounded(10 * SHARDS);
    let taken = (0..20_000).filter(|n| table.raise(session(*n), 1, later(60), NOW)).count();
    assert_eq!((taken, len(&table)), (10 * SHARDS, 10 * SHARDS));
    let known = (0..20_000).find(|n| knows(&table, session(*n))).unwrap();
    assert!(table.raise(session(known), 2, later(60), NOW), "the number of a known session needs no room");
    assert!((20_000..40_000).all(|n| !table.raise(session(n), 1, later(60), NOW)));
    let taken = (20_000..40_000).filter(|n| table.raise(session(*n), 1, later(120), later(60))).count();
    assert_eq!(taken, 10 * SHARDS);
}

#[test]
fn find_waits_for_no_other_reader() {
    let table = SessionTable::unbounded();
    table.raise(session(1), 1, later(60), NOW);
    let reader = table.shards[place(session(1)).0].read();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| sender.send(knows(&table, session(1))));
        let found = receiver.recv_timeout(std::time::Duration::from_secs(20));
        drop(reader);
        assert_eq!(found, Ok(true));
    });
}

fn len(table: &SessionTable) -> usize {
    table.shards.iter().map(|shard| shard.read().len).sum()
}

/// What is allocated, in bytes.
fn size(table: &SessionTable) -> usize {
    let buckets = |buckets: &Buckets| {
        let entries = buckets.buckets.iter().map(|bucket| bucket.entries.capacity() * size_of::<Entry>());
        entries.sum::<usize>() + buckets.buckets.capacity() * size_of::<Bucket>()
    };
    table.shards.iter().map(|shard| size_of::<Shard>() + buckets(&shard.read())).sum()
}

fn later(secs: u64) -> u32 {
    NOW + u32::try_from(secs).unwrap()
}

#[test]
fn entries_that_are_over_are_dropped_and_others_kept() {
    let table = SessionTable::unbounded();
    let (later, much_later) = (later(60), later(120));
    table.raise(session(0), LAST, much_later, NOW);
    for n in 1..5_000 {
        table.raise(session(n), LAST, later, NOW);
    }
    assert_eq!(len(&table), 5_000);
    for n in 5_000..10_000 {
        table.raise(session(n), LAST, later + 1, later);
    }
    assert!(len(&table) < 9_000, "{}", len(&table));
    assert!(knows(&table, session(0)));
    assert!(!knows(&table, session(1)), "it was dropped, and is not just over");
    assert!(knows(&table, session(9_999)));
}

#[test]
fn each_call_looks_at_few_entries_and_all_are_found() {
    const COUNT: u64 = 200_000;
    let table = SessionTable::unbounded();
    let raise = |n, until, now| table.raise_counting(Entry { session: session(n), number: 1, until }, now).1;
    let growing = (0..COUNT).map(|n| raise(n, later(60), NOW)).max();
    assert_eq!(len(&table), COUNT as usize);
    assert!((0..COUNT).all(|n| knows(&table, session(n))));
    assert!(!(COUNT..COUNT * 2).any(|n| knows(&table, session(n))));
    let full = size(&table);
    assert!(full < COUNT as usize * 40, "{full} bytes");

    // All of them are over, and few new ones come.
    let shrinking = (COUNT..COUNT + COUNT / 10).map(|n| raise(n, later(120), later(60))).max();
    assert!((COUNT..COUNT + COUNT / 10).all(|n| knows(&table, session(n))));
    assert_eq!(len(&table), COUNT as usize / 10, "what is over is gone");
    assert!(size(&table) < full / 5, "{} bytes", size(&table));
    let most = growing.max(shrinking).unwrap_or_default();
    assert!(most < 600, "one call looked at {most} entries");
}

#[test]
fn entry_is_not_dropped_early() {
    let table = SessionTable::unbounded();
    table.raise(session(0), LAST, later(61), NOW);
    for n in 2..5_000 {
        table.raise(session(n), LAST, u32::MAX, later(60));
    }
    assert!(knows(&table, session(0)));
    for n in 2..5_000 {
        table.raise(session(n), LAST, u32::MAX, later(61));
    }
    assert!(!knows(&table, session(0)));
}

#[test]
fn entry_that_is_over_does_not_apply_although_it_was_not_dropped() {
    let table = SessionTable::unbounded();
    table.raise(session(1), LAST, later(60), NOW);
    assert_eq!(number(&table, session(1), later(59)), Some(LAST));
    assert_eq!(number(&table, session(1), later(60)), None);
    assert_eq!(len(&table), 1);

    // And it does not come back with another number of the session.
    assert!(table.raise(session(1), 1, later(120), later(60)));
    assert_eq!(number(&table, session(1), later(60)), Some(1));
}

#[test]
fn time_is_read_only_for_entries_that_matter() {
    let table = SessionTable::unbounded();
    table.raise(session(1), 1, later(60), NOW);
    for (session, epoch) in [(session(2), 0), (session(1), 1)] {
        assert_eq!(table.find(session, |number| epoch < number, || unreachable!("the clock was read")), None);
    }
}

#[test]
fn readers_find_everything_while_buckets_split_and_merge() {
    let table = SessionTable::unbounded();
    assert!((0..1_000).all(|n| table.raise(session(n), LAST, later(1_000), NOW)));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).all(|_| (0..1_000).all(|n| knows(&table, session(n)))));
        for n in 1_000..50_000 {
            table.raise(session(n), LAST, later(n / 100), later(n / 150));
        }
        assert!(reader.join().unwrap());
    });
}

proptest::proptest! {
    /// One session after the other, so that whatever is asked of one is asked of all.
    #[test]
    fn agrees_with_a_plain_map(ops in proptest::collection::vec((0..40_u64, 0..4_u32, 0..50_u64, 0..3_u64), 1..400)) {
        // All in one shard, so that its buckets split and merge, and some with the same bit.
        let session = |n: u64| {
            let mut bytes = [0; SessionId::LEN];
            (bytes[4], bytes[7]) = (n as u8 % 7 * 36, n as u8);
            SessionId::from_bytes(bytes)
        };
        let (table, mut plain, mut now) = (SessionTable::unbounded(), std::collections::HashMap::new(), 0);
        for (n, epoch, lives, passes) in ops {
            now += passes;
            table.raise(session(n), epoch, later(now + lives), later(now));
            for bucket in &table.shards[0].read().buckets {
                proptest::prop_assert_eq!(bucket.bits, bits(&bucket.entries));
            }
            plain.retain(|_, (_, until)| *until > now);
            let entry = plain.entry(n).or_insert((epoch, now + lives));
            *entry = (entry.0.max(epoch), entry.1.max(now + lives));
            for (n, epoch) in (0..40).flat_map(|n| (0..4).map(move |epoch| (n, epoch))) {
                let expected = plain.get(&n).is_some_and(|(min, until)| epoch < *min && now < *until);
                let found = table.find(session(n), |number| epoch < number, || later(now)).is_some();
                proptest::prop_assert_eq!(found, expected, "session {}, epoch {}", n, epoch);
            }
        }
    }
}
