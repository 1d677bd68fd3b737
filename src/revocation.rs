//! What this node knows to be revoked: the only thing that a request is checked against besides its signature.

use std::{
    hash::{BuildHasherDefault, Hasher},
    sync::atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

use crate::{clock::Timestamp, id::SessionId, store::Revocation};

/// The smallest valid epoch of every session that was revoked lately.
///
/// An entry is needed only until the last access token that it concerns has expired, so the list is bounded by the
/// revocations of that time.
#[derive(Debug, Default)]
pub(crate) struct RevocationList {
    entries: DashMap<SessionId, Entry, BuildHasherDefault<RandomKeyHasher>>,
    added_since_sweep: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    min_epoch: u32,
    until: Timestamp,
}

impl RevocationList {
    /// Remembers a revocation until the given time. Entries are merged by maximum: what came late or twice changes
    /// nothing.
    pub(crate) fn revoke(&self, revocation: Revocation, until: Timestamp, now: Timestamp) {
        self.entries
            .entry(revocation.session)
            .and_modify(|entry| {
                entry.min_epoch = entry.min_epoch.max(revocation.min_epoch);
                entry.until = entry.until.max(until);
            })
            .or_insert(Entry { min_epoch: revocation.min_epoch, until });
        self.sweep(now);
    }

    /// Whether access tokens of this session and epoch are revoked.
    pub(crate) fn is_revoked(&self, session: SessionId, epoch: u32) -> bool {
        self.entries.get(&session).is_some_and(|entry| epoch < entry.min_epoch)
    }

    /// Whether the session has ended.
    pub(crate) fn is_ended(&self, session: SessionId) -> bool {
        self.entries.get(&session).is_some_and(|entry| entry.min_epoch == Revocation::ENDED)
    }

    /// Drops what is over whenever as many entries came as there are, so that the work for each is constant.
    fn sweep(&self, now: Timestamp) {
        let added = self.added_since_sweep.fetch_add(1, Ordering::Relaxed) + 1;
        if added > self.entries.len() / 2 + 1024 {
            self.added_since_sweep.store(0, Ordering::Relaxed);
            self.entries.retain(|_, entry| now < entry.until);
        }
    }
}

/// Session identifiers are random and never chosen by a client, so their own bits are the best hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RandomKeyHasher(u64);

impl Hasher for RandomKeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The identifier's bytes; its length, which is written as an integer before them, adds nothing.
        self.0 = bytes.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
    }

    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn session(n: u32) -> SessionId {
        let mut bytes = [0; SessionId::LEN];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn refuses_smaller_epochs_only() {
        let list = RevocationList::default();
        assert!(!list.is_revoked(session(1), 0));
        list.revoke(Revocation { session: session(1), min_epoch: 2 }, NOW, NOW);
        assert!(list.is_revoked(session(1), 1));
        assert!(!list.is_revoked(session(1), 2));
        assert!(!list.is_ended(session(1)));
        assert!(!list.is_revoked(session(2), 0));
    }

    #[test]
    fn merges_by_maximum() {
        let list = RevocationList::default();
        list.revoke(Revocation::ended(session(1)), NOW, NOW);
        list.revoke(Revocation { session: session(1), min_epoch: 1 }, NOW, NOW);
        assert!(list.is_ended(session(1)));
        assert!(list.is_revoked(session(1), u32::MAX - 1));
    }

    #[test]
    fn forgets_what_is_over_and_keeps_the_rest() {
        let list = RevocationList::default();
        let later = NOW.saturating_add(Duration::from_secs(60));
        list.revoke(Revocation::ended(session(0)), later.saturating_add(Duration::from_secs(60)), NOW);
        for n in 1..5_000 {
            list.revoke(Revocation::ended(session(n)), later, NOW);
        }
        assert_eq!(list.entries.len(), 5_000);
        for n in 5_000..10_000 {
            list.revoke(Revocation::ended(session(n)), later.saturating_add(Duration::from_secs(1)), later);
        }
        assert!(list.entries.len() < 9_000, "{}", list.entries.len());
        assert!(list.is_ended(session(0)));
        assert!(!list.is_ended(session(1)));
        assert!(list.is_ended(session(9_999)));
    }
}
