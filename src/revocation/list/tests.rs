use super::*;

const NOW: u32 = 1_000;

fn is_revoked(list: &RevocationList, session: SessionId, epoch: u32) -> bool {
    list.find(session, epoch, || NOW).is_some()
}

fn is_ended(list: &RevocationList, session: SessionId) -> bool {
    list.is_ended(session, || NOW)
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
fn refuses_smaller_epochs_only() {
    let list = RevocationList::default();
    assert!(!is_revoked(&list, session(1), 0));
    list.revoke(Revocation { session: session(1), min_epoch: 2 }, later(60), NOW);
    assert!(is_revoked(&list, session(1), 1));
    assert!(!is_revoked(&list, session(1), 2));
    assert!(!is_ended(&list, session(1)));
    assert!(!is_revoked(&list, session(2), 0));
}

#[test]
fn merges_by_maximum() {
    let list = RevocationList::default();
    list.revoke(Revocation::ended(session(1)), later(60), NOW);
    list.revoke(Revocation { session: session(1), min_epoch: 1 }, later(60), NOW);
    assert!(is_ended(&list, session(1)));
    assert!(is_revoked(&list, session(1), u32::MAX - 1));
}

fn len(list: &RevocationList) -> usize {
    list.shards.iter().map(|shard| shard.read().len).sum()
}

/// What is allocated, in bytes.
fn size(list: &RevocationList) -> usize {
    let buckets = |buckets: &Buckets| {
        let entries = buckets.buckets.iter().map(|bucket| bucket.entries.capacity() * size_of::<Entry>());
        entries.sum::<usize>() + buckets.buckets.capacity() * size_of::<Bucket>()
    };
    list.shards.iter().map(|shard| size_of::<Shard>() + buckets(&shard.read())).sum()
}

fn later(secs: u64) -> u32 {
    NOW + u32::try_from(secs).unwrap()
}

#[test]
fn forgets_what_is_over_and_keeps_the_rest() {
    let list = RevocationList::default();
    let (later, much_later) = (later(60), later(120));
    list.revoke(Revocation::ended(session(0)), much_later, NOW);
    for n in 1..5_000 {
        list.revoke(Revocation::ended(session(n)), later, NOW);
    }
    assert_eq!(len(&list), 5_000);
    for n in 5_000..10_000 {
        list.revoke(Revocation::ended(session(n)), later + 1, later);
    }
    assert!(len(&list) < 9_000, "{}", len(&list));
    assert!(is_ended(&list, session(0)));
    assert!(!is_ended(&list, session(1)), "it was dropped, and is not just over");
    assert!(is_ended(&list, session(9_999)));
}

#[test]
fn no_call_does_more_than_a_little_and_everything_is_found() {
    const COUNT: u64 = 200_000;
    let list = RevocationList::default();
    let revoke = |n, until, now| list.revoke_counting(Revocation::ended(session(n)), until, now);
    let growing = (0..COUNT).map(|n| revoke(n, later(60), NOW)).max();
    assert_eq!(len(&list), COUNT as usize);
    assert!((0..COUNT).all(|n| is_ended(&list, session(n))));
    assert!(!(COUNT..COUNT * 2).any(|n| is_ended(&list, session(n))));
    let full = size(&list);
    assert!(full < COUNT as usize * 40, "{full} bytes");

    // All of them are over, and few new ones come.
    let shrinking = (COUNT..COUNT + COUNT / 10).map(|n| revoke(n, later(120), later(60))).max();
    assert!((COUNT..COUNT + COUNT / 10).all(|n| is_ended(&list, session(n))));
    assert_eq!(len(&list), COUNT as usize / 10, "what is over is gone");
    assert!(size(&list) < full / 5, "{} bytes", size(&list));
    let most = growing.max(shrinking).unwrap_or_default();
    assert!(most < 600, "one call looked at {most} entries");
}

#[test]
fn an_entry_is_never_dropped_early() {
    let list = RevocationList::default();
    list.revoke(Revocation::ended(session(0)), later(61), NOW);
    for n in 2..5_000 {
        list.revoke(Revocation::ended(session(n)), u32::MAX, later(60));
    }
    assert!(is_ended(&list, session(0)));
    for n in 2..5_000 {
        list.revoke(Revocation::ended(session(n)), u32::MAX, later(61));
    }
    assert!(!is_ended(&list, session(0)));
}

#[test]
fn entry_that_is_over_is_not_applied_although_it_was_not_dropped() {
    let list = RevocationList::default();
    list.revoke(Revocation::ended(session(1)), later(60), NOW);
    let at = |seconds| (list.find(session(1), 0, || later(seconds)), list.is_ended(session(1), || later(seconds)));
    assert_eq!(at(59), (Some(Revoked::Certainly), true));
    assert_eq!(at(60), (None, false));
    assert_eq!(len(&list), 1);

    // And it does not come back with another revocation of the session.
    list.revoke(Revocation { session: session(1), min_epoch: 1 }, later(120), later(60));
    assert!(!list.is_ended(session(1), || later(60)));
    assert_eq!(list.find(session(1), 0, || later(60)), Some(Revoked::Certainly));
    assert_eq!(list.find(session(1), 1, || later(60)), None);
}

#[test]
fn time_is_read_only_for_entries_that_matter() {
    let list = RevocationList::default();
    list.revoke(Revocation { session: session(1), min_epoch: 1 }, later(60), NOW);
    for (session, epoch) in [(session(2), 0), (session(1), 1)] {
        assert_eq!(list.find(session, epoch, || unreachable!("the clock was read")), None);
    }
    assert!(!list.is_ended(session(1), || unreachable!("the clock was read")));
}

#[test]
fn unfinished_end_is_told_apart_until_the_end_is_known() {
    let list = RevocationList::default();
    list.revoke(Revocation { session: session(1), min_epoch: 1 }, later(60), NOW);
    list.begin_end(session(1), later(60), NOW);
    assert_eq!(list.find(session(1), 7, || NOW), Some(Revoked::EndUnfinished));
    assert!(list.is_end_unfinished(session(1), || NOW) && !is_ended(&list, session(1)));
    list.revoke(Revocation::ended(session(1)), later(60), NOW);
    list.begin_end(session(1), later(60), NOW);
    assert_eq!(list.find(session(1), 7, || NOW), Some(Revoked::Certainly));
    assert!(!list.is_end_unfinished(session(1), || NOW) && is_ended(&list, session(1)));
}

#[test]
fn readers_find_everything_while_buckets_split_and_merge() {
    let list = RevocationList::default();
    (0..1_000).for_each(|n| list.revoke(Revocation::ended(session(n)), later(1_000), NOW));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| (0..20).all(|_| (0..1_000).all(|n| is_ended(&list, session(n)))));
        for n in 1_000..50_000 {
            list.revoke(Revocation::ended(session(n)), later(n / 100), later(n / 150));
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
        let (list, mut plain, mut now) = (RevocationList::default(), std::collections::HashMap::new(), 0);
        for (n, epoch, lives, passes) in ops {
            now += passes;
            list.revoke(Revocation { session: session(n), min_epoch: epoch }, later(now + lives), later(now));
            for bucket in &list.shards[0].read().buckets {
                proptest::prop_assert_eq!(bucket.bits, bits(&bucket.entries));
            }
            plain.retain(|_, (_, until)| *until > now);
            let entry = plain.entry(n).or_insert((epoch, now + lives));
            *entry = (entry.0.max(epoch), entry.1.max(now + lives));
            for (n, epoch) in (0..40).flat_map(|n| (0..4).map(move |epoch| (n, epoch))) {
                let expected = plain.get(&n).is_some_and(|(min, until)| epoch < *min && now < *until);
                let found = list.find(session(n), epoch, || later(now)).is_some();
                proptest::prop_assert_eq!(found, expected, "session {}, epoch {}", n, epoch);
            }
        }
    }
}
