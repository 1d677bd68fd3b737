//! Tokens whose signature was verified before.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;

/// Remembers tokens, so that the signature of a public key, which takes fifty times as long as everything else, need not
/// be verified at every request.
///
/// It knows a token or has forgotten it, and never takes one for another: tokens are compared whole. Of what they say it
/// knows nothing; claims, expiry and revocation are looked at every time. Nobody locks or waits, and there are never more
/// tokens than it was made for: of the few that share a bucket, the oldest goes first.
pub(super) struct SignatureCache {
    buckets: Box<[Bucket]>,
    /// Has a secret of its own. Without it, tokens could be chosen that push out those of others, and the time that a
    /// comparison takes would tell how much of a guess is right.
    hasher: RandomState,
}

/// The places where a token may be.
#[derive(Default)]
struct Bucket {
    places: [Place; PLACES],
    /// Counts what was remembered here: the next goes into the place after the last.
    count: AtomicUsize,
}

#[derive(Default)]
struct Place {
    /// The hash of the token. Not always: whoever writes sets first the one and then the other.
    hash: AtomicU64,
    token: ArcSwapOption<Box<[u8]>>,
}

/// With half of them taken on average, one bucket of twenty has more tokens than that.
const PLACES: usize = 4;

/// So many bytes at the end of a token, which are its signature, tell it from all others.
const HASHED: usize = 64;

impl SignatureCache {
    /// Room for so many tokens, or a few more; for 0 none.
    pub(super) fn new(tokens: usize) -> Self {
        let buckets = std::iter::repeat_with(Bucket::default).take(tokens.div_ceil(PLACES)).collect();
        Self { buckets, hasher: RandomState::new() }
    }

    /// Whether exactly this token was remembered, and not replaced since. Kept out of the code that checks HMACs, which
    /// shall stay in the processor's cache for instructions.
    #[inline(never)]
    pub(super) fn knows(&self, token: &[u8]) -> bool {
        let Some((hash, bucket)) = self.find(token) else { return false };
        let is_here = |place: &Place| place.token.load().as_ref().is_some_and(|known| ***known == *token);
        bucket.places.iter().any(|place| place.hash.load(Relaxed) == hash && is_here(place))
    }

    /// Remembers a token whose signature was verified.
    #[inline(never)]
    pub(super) fn remember(&self, token: &[u8]) {
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
        // As a fraction of all hashes, in buckets.
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
        /// Few and short, so that many are replaced, and differ in one byte, in length, or before what is hashed.
        #[test]
        fn knows_only_what_it_was_told(
            steps in vec((any::<bool>(), vec(0_u8..3, 0..4), prop_oneof![Just(0_usize), Just(HASHED)]), 0..60),
            capacity in 0_usize..9,
        ) {
            let tokens = SignatureCache::new(capacity);
            let mut told = HashSet::new();
            for (remembers, mut token, filling) in steps {
                token.extend(vec![7; filling]);
                if remembers {
                    tokens.remember(&token);
                    prop_assert_eq!(tokens.knows(&token), capacity > 0 && !token.is_empty());
                    told.insert(token);
                } else {
                    prop_assert!(!tokens.knows(&token) || told.contains(&token));
                }
            }
            prop_assert!(count(&tokens) <= capacity.next_multiple_of(PLACES));
        }
    }

    /// Twice as much room as there are users, each with a new token in every round: how many of the requests that
    /// follow in turn find their token, once the places are full of older ones.
    #[test]
    fn knows_nearly_all_that_are_in_use_also_when_it_is_full_of_older_ones() {
        const USERS: u32 = 1_000;
        let tokens = SignatureCache::new(2 * USERS as usize);
        for round in 0..6 {
            let mut known = 0;
            for _ in 0..10 {
                for token in (round * USERS..(round + 1) * USERS).map(token) {
                    match tokens.knows(&token) {
                        true => known += 1,
                        false => tokens.remember(&token),
                    }
                }
            }
            // Each is new once. One of seven shares a bucket with four others or more, and users who come in turn are the
            // worst for those: none of them is ever found. 772 of a thousand is the mean.
            assert!(known > 10 * USERS * 70 / 100, "{known} in round {round}");
        }
    }

    /// Where many old ones are, two that are used in turn find places beside each other.
    #[test]
    fn two_in_one_bucket_do_not_push_each_other_out() {
        let tokens = SignatureCache::new(PLACES);
        (0..100).for_each(|n| tokens.remember(&token(n)));
        for two in (100..200).collect::<Vec<_>>().chunks(2) {
            let mut verified = 0;
            for n in two.iter().cycle().take(20) {
                if !tokens.knows(&token(*n)) {
                    tokens.remember(&token(*n));
                    verified += 1;
                }
            }
            assert_eq!(verified, 2);
        }
    }

    #[test]
    fn is_full_and_no_more() {
        let tokens = SignatureCache::new(10);
        (0..10_000).for_each(|n| tokens.remember(&token(n)));
        assert_eq!(count(&tokens), 12);
    }

    #[test]
    fn many_threads_at_once_mistake_nothing() {
        let tokens = SignatureCache::new(8);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let tokens = &tokens;
                scope.spawn(move || {
                    for n in 0..20_000 {
                        tokens.remember(&token((n + thread) % 64));
                        assert!(!tokens.knows(&token(64 + n % 64)), "nobody told it");
                    }
                });
            }
        });
        assert_eq!(count(&tokens), 8);
        tokens.remember(&token(1));
        assert!(tokens.knows(&token(1)));
    }
}
