//! A cache of tokens whose signature was verified.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;

/// Remembers tokens, so that the signature of a public key, which takes fifty times as long as everything else, is not
/// verified at every request.
///
/// Tokens are compared whole, so that one is never taken for another. Only signatures are remembered: claims, expiry
/// and revocation are checked at every request. The cache is free of locks and never exceeds its capacity: of the
/// tokens that share a bucket, the oldest is replaced first.
pub(super) struct SignatureCache {
    buckets: Box<[Bucket]>,
    /// Random for each cache. Otherwise clients could choose tokens that replace those of others, and the time of a
    /// comparison would reveal how much of a guess is right.
    hasher: RandomState,
}

/// The places that a token can have.
#[derive(Default)]
struct Bucket {
    places: [Place; PLACES],
    /// The number of tokens stored so far: the next goes into the place after the last.
    count: AtomicUsize,
}

#[derive(Default)]
struct Place {
    /// The hash of the token, or that of its predecessor while it is being replaced.
    hash: AtomicU64,
    token: ArcSwapOption<Box<[u8]>>,
}

/// In a cache that is half full, one bucket of twenty has more tokens than this.
const PLACES: usize = 4;

/// How many bytes at the end of a token are hashed: its signature, which no other token has.
const HASHED: usize = 64;

impl SignatureCache {
    /// Makes a cache for this many tokens, rounded up to whole buckets; for 0, one that remembers nothing.
    pub(super) fn new(capacity: usize) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(capacity.div_ceil(PLACES)).collect();
        Self { buckets, hasher: RandomState::new() }
    }

    /// Makes an empty cache of the same capacity.
    pub(super) fn empty_copy(&self) -> Self {
        Self::new(self.buckets.len() * PLACES)
    }

    /// Returns whether exactly this token was remembered and not replaced since. Not inlined, which keeps the code for
    /// HMACs small.
    #[inline(never)]
    pub(super) fn contains(&self, token: &[u8]) -> bool {
        let Some((hash, bucket)) = self.find(token) else { return false };
        let is_here = |place: &Place| place.token.load().as_ref().is_some_and(|stored| ***stored == *token);
        bucket.places.iter().any(|place| place.hash.load(Relaxed) == hash && is_here(place))
    }

    /// Remembers a token whose signature was verified.
    #[inline(never)]
    pub(super) fn insert(&self, token: &[u8]) {
        let Some((hash, bucket)) = self.find(token) else { return };
        let Some(place) = bucket.places.get(bucket.count.fetch_add(1, Relaxed) % PLACES) else { return };
        place.token.store(Some(Arc::new(token.into())));
        place.hash.store(hash, Relaxed);
    }

    fn find(&self, token: &[u8]) -> Option<(u64, &Bucket)> {
        if self.buckets.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(token.rchunks(HASHED).next()?);
        // Scales the hash to the number of buckets.
        let at = (u128::from(hash) * self.buckets.len() as u128) >> u64::BITS;
        Some((hash, self.buckets.get(at as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn token(n: u32) -> Vec<u8> {
        format!("header.payload-{n}.{n:0100}").into_bytes()
    }

    fn count(tokens: &SignatureCache) -> usize {
        let places = tokens.buckets.iter().flat_map(|bucket| &bucket.places);
        places.filter(|place| place.token.load().is_some()).count()
    }

    proptest! {
        /// Few and short tokens: many are replaced, and they differ in one byte, in length, or before what is hashed.
        #[test]
        fn contains_only_inserted_tokens(
            steps in vec((any::<bool>(), vec(0_u8..3, 0..4), prop_oneof![Just(0_usize), Just(HASHED)]), 0..60),
            capacity in 0_usize..9,
        ) {
            let tokens = SignatureCache::new(capacity);
            let mut inserted = HashSet::new();
            for (inserts, mut token, filling) in steps {
                token.extend(vec![7; filling]);
                if inserts {
                    tokens.insert(&token);
                    prop_assert_eq!(tokens.contains(&token), capacity > 0 && !token.is_empty());
                    inserted.insert(token);
                } else {
                    prop_assert!(!tokens.contains(&token) || inserted.contains(&token));
                }
            }
            prop_assert!(count(&tokens) <= capacity.next_multiple_of(PLACES));
        }
    }

    /// The capacity is twice the number of users, each of whom has a new token in every round: how many of their
    /// requests in turn find their token once the places are full of older ones.
    #[test]
    fn full_cache_contains_most_tokens_in_use() {
        const USERS: u32 = 1_000;
        let tokens = SignatureCache::new(2 * USERS as usize);
        for round in 0..6 {
            let mut known = 0;
            for _ in 0..10 {
                for token in (round * USERS..(round + 1) * USERS).map(token) {
                    match tokens.contains(&token) {
                        true => known += 1,
                        false => tokens.insert(&token),
                    }
                }
            }
            // Each is new once. One of seven shares a bucket with four others or more, and none of those is ever found
            // when users come in turn, the worst order. 772 of a thousand is the mean.
            assert!(known > 10 * USERS * 70 / 100, "{known} in round {round}");
        }
    }

    #[test]
    fn two_tokens_in_one_bucket_do_not_replace_each_other() {
        let tokens = SignatureCache::new(PLACES);
        (0..100).for_each(|n| tokens.insert(&token(n)));
        for two in (100..200).collect::<Vec<_>>().chunks(2) {
            let mut verified = 0;
            for n in two.iter().cycle().take(20) {
                if !tokens.contains(&token(*n)) {
                    tokens.insert(&token(*n));
                    verified += 1;
                }
            }
            assert_eq!(verified, 2);
        }
    }

    #[test]
    fn capacity_is_not_exceeded() {
        let tokens = SignatureCache::new(10);
        (0..10_000).for_each(|n| tokens.insert(&token(n)));
        assert_eq!(count(&tokens), 12);
    }

    #[test]
    fn concurrent_inserts_confuse_no_tokens() {
        let tokens = SignatureCache::new(8);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let tokens = &tokens;
                scope.spawn(move || {
                    for n in 0..20_000 {
                        tokens.insert(&token((n + thread) % 64));
                        assert!(!tokens.contains(&token(64 + n % 64)), "it was not inserted");
                    }
                });
            }
        });
        assert_eq!(count(&tokens), 8);
        tokens.insert(&token(1));
        assert!(tokens.contains(&token(1)));
    }
}
