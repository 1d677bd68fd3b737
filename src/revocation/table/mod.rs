//! Numbers of sessions that are remembered for a while: epochs that are revoked, and generations that were used.

#[cfg(test)]
mod tests;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::id::SessionId;

/// The greatest number that was noted for each session, for a limited time.
///
/// An entry that is over no longer applies, whether or not it has been dropped yet. Until then it is never dropped.
///
/// Times are whole seconds since a moment that the caller chooses, by a monotonic clock: a wall clock that is ahead for
/// a moment would make the table forget what it must know.
///
/// However large the table is, a call looks at a few hundred entries at most: it grows, shrinks and forgets a bucket at
/// a time (linear hashing). Only the directory of a shard, two bytes for each of its entries, is copied as a whole when
/// it doubles. A general map moves all entries then, needs twice the memory before it does, and has no way to look
/// through a few of its entries at a time; `benches/README.md` has the numbers.
#[derive(Debug)]
pub(crate) struct SessionTable {
    shards: Box<[Shard]>,
    max_in_shard: usize,
}

/// Locked together. Aligned so that no two locks share a cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(RwLock<Buckets>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    session: SessionId,
    number: u32,
    /// The first second in which it is over.
    until: u32,
}

const SHARDS: usize = 256;
/// Entries of a bucket on average, before there is another one. Half of it before there is one less.
const FULL: usize = 12;
/// Buckets that one call looks through at most, as long as it finds something that is over.
const SWEEP: usize = 16;

impl SessionTable {
    /// Creates an empty table that takes every session.
    pub(crate) fn unbounded() -> Self {
        Self::bounded(usize::MAX)
    }

    /// Creates an empty table that takes about this many sessions.
    pub(crate) fn bounded(max_sessions: usize) -> Self {
        let shards = std::iter::repeat_with(Shard::default).take(SHARDS).collect();
        Self { shards, max_in_shard: max_sessions.div_ceil(SHARDS) }
    }

    /// Remembers a number until the given time. Numbers and times of a session are merged by maximum: what comes late
    /// or twice changes nothing. Returns whether the number is greater than what was known, and there was room for it.
    pub(crate) fn raise(&self, session: SessionId, number: u32, until: u32, now: u32) -> bool {
        self.raise_counting(Entry { session, number, until }, now).0
    }

    /// Returns also how many entries were looked at or moved.
    fn raise_counting(&self, new: Entry, now: u32) -> (bool, usize) {
        let (shard, hash) = place(new.session);
        let Some(shard) = self.shards.get(shard) else { return (false, 0) };
        let mut buckets = shard.write();
        let swept = buckets.sweep(now);
        let (is_raised, work) = buckets.put(hash, new, now, self.max_in_shard);
        (is_raised, swept + work)
    }

    /// Returns the number of a session if it matters and is not over. Reads the time only if it matters.
    pub(crate) fn find(
        &self,
        session: SessionId,
        matters: impl FnOnce(u32) -> bool,
        now: impl FnOnce() -> u32,
    ) -> Option<u32> {
        let (shard, hash) = place(session);
        // Copied, so that no clock is read under the lock.
        let entry = self.shards.get(shard)?.read().find(hash, session).copied()?;
        (matters(entry.number) && now() < entry.until).then_some(entry.number)
    }

    /// Returns the number of entries, with those that are over and have not been dropped yet.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len).sum()
    }

    /// Forgets this number of a session, unless there is a greater one.
    pub(crate) fn forget(&self, session: SessionId, number: u32) {
        let (shard, hash) = place(session);
        if let Some(shard) = self.shards.get(shard) {
            shard.write().remove(hash, session, number);
        }
    }
}

/// The shard and the hash within it. Session identifiers are random and never chosen by a client, so their own bits are
/// the best hash.
fn place(session: SessionId) -> (usize, usize) {
    let bits = session.as_bytes().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    // The lowest bits choose the bucket, the highest the shard.
    ((bits >> 56) as usize % SHARDS, bits as usize)
}

impl Shard {
    // Nothing panics while it holds the lock.
    fn read(&self) -> RwLockReadGuard<'_, Buckets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Buckets> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hash table that grows and shrinks by one bucket at a time (Litwin 1980): with `n` buckets, between `2^k` and
/// `2^(k+1)`, the first `n - 2^k` are split already.
#[derive(Debug, Default)]
struct Buckets {
    buckets: Vec<Bucket>,
    len: usize,
    /// The next bucket to look through for what is over.
    cursor: usize,
}

/// Where an entry is when there are this many buckets.
fn slot(hash: usize, buckets: usize) -> usize {
    let mask = buckets.next_power_of_two() - 1;
    let slot = hash & mask;
    if slot < buckets { slot } else { slot & (mask >> 1) }
}

impl Buckets {
    fn find(&self, hash: usize, session: SessionId) -> Option<&Entry> {
        self.buckets.get(slot(hash, self.buckets.len()))?.find(hash, session)
    }

    fn put(&mut self, hash: usize, new: Entry, now: u32, max: usize) -> (bool, usize) {
        let mut work = self.grow_if_full();
        let slot = slot(hash, self.buckets.len());
        let Some(bucket) = self.buckets.get_mut(slot) else { return (false, work) };
        work += bucket.entries.len() + 1;
        let is_raised = match bucket.entries.iter_mut().find(|entry| entry.session == new.session) {
            // What is over must not come back with another number of the session.
            Some(entry) if entry.until <= now => {
                *entry = new;
                true
            }
            Some(entry) => {
                let is_raised = entry.number < new.number;
                entry.number = entry.number.max(new.number);
                entry.until = entry.until.max(new.until);
                is_raised
            }
            None if self.len >= max => false,
            None => {
                bucket.push(new);
                self.len += 1;
                true
            }
        };
        (is_raised, work)
    }

    fn remove(&mut self, hash: usize, session: SessionId, number: u32) {
        let slot = slot(hash, self.buckets.len());
        let Some(bucket) = self.buckets.get_mut(slot) else { return };
        self.len -= bucket.retain(|entry| entry.session != session || entry.number != number);
    }

    /// Splits the next bucket when all are full on average.
    fn grow_if_full(&mut self) -> usize {
        let count = self.buckets.len();
        if self.len < count * FULL {
            return 0;
        }
        self.buckets.push(Bucket::default());
        let (count, last) = (count + 1, count);
        // Where the entries of the new one have been.
        let Some(split) = self.buckets.get_mut(slot(last, last)).filter(|_| last > 0) else { return 0 };
        let work = split.entries.len();
        let (stay, go) = std::mem::take(&mut split.entries)
            .into_iter()
            .partition(|entry| slot(place(entry.session).1, count) != last);
        *split = Bucket::exact(stay);
        if let Some(new) = self.buckets.last_mut() {
            *new = Bucket::exact(go);
        }
        work
    }

    /// Drops what is over from the next bucket, and from those after it as long as there is something.
    fn sweep(&mut self, now: u32) -> usize {
        let mut work = 0;
        for _ in 0..SWEEP {
            self.cursor = if self.cursor + 1 < self.buckets.len() { self.cursor + 1 } else { 0 };
            let Some(bucket) = self.buckets.get_mut(self.cursor) else { break };
            work += bucket.entries.len();
            let gone = bucket.retain(|entry| now < entry.until);
            self.len -= gone;
            // Twice, to keep up: nothing can go before half of the entries went.
            work += self.shrink_if_empty() + self.shrink_if_empty();
            if gone == 0 {
                break;
            }
        }
        work
    }

    /// Puts the last bucket back to where it was split from when half of the buckets is enough.
    fn shrink_if_empty(&mut self) -> usize {
        if self.len * 2 >= self.buckets.len() * FULL || self.buckets.len() == 1 && self.len > 0 {
            return 0;
        }
        let Some(last) = self.buckets.pop() else { return 0 };
        let count = self.buckets.len();
        let work = last.entries.len();
        for entry in last.entries {
            let slot = slot(place(entry.session).1, count.max(1));
            if let Some(bucket) = self.buckets.get_mut(slot) {
                bucket.push(entry);
            }
        }
        if self.buckets.capacity() / 4 > count {
            self.buckets.shrink_to(count * 2);
        }
        work
    }
}

/// A few entries, and a bit for each of them: five of six sessions that have no entry find no bit either, with twelve
/// entries, and need not look through what is in no cache.
#[derive(Debug, Default)]
struct Bucket {
    bits: u64,
    entries: Vec<Entry>,
}

/// By how many entries a bucket grows: a vector would double.
const SPARE: usize = 2;

impl Bucket {
    /// As small as it can be.
    fn exact(mut entries: Vec<Entry>) -> Self {
        entries.shrink_to_fit();
        Self { bits: bits(&entries), entries }
    }

    fn find(&self, hash: usize, session: SessionId) -> Option<&Entry> {
        (self.bits & bit(hash) != 0).then(|| self.entries.iter().find(|entry| entry.session == session))?
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact(SPARE);
        }
        self.bits |= bit(place(entry.session).1);
        self.entries.push(entry);
    }

    /// Drops the other entries. Returns how many those were.
    fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.entries.len();
        self.entries.retain(keep);
        let gone = before - self.entries.len();
        if gone > 0 {
            self.entries.shrink_to(self.entries.len() + SPARE);
            self.bits = bits(&self.entries);
        }
        gone
    }
}

fn bits(entries: &[Entry]) -> u64 {
    entries.iter().fold(0, |bits, entry| bits | bit(place(entry.session).1))
}

/// By digits of the hash that choose the bucket only where a shard has millions of them.
fn bit(hash: usize) -> u64 {
    1 << (hash >> 26 & 63)
}
