//! The first use of a generation, confirmed to the store in the background: what closes
//! [`ReplayWindow::UntilConfirmed`](crate::ReplayWindow::UntilConfirmed).

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};

use super::node::NodeState;
use crate::{clock::Timestamp, id::SessionId, jwt::RegisteredClaims, store::Owner};

/// Confirms the first use of each generation on this node to the store, and no other use.
#[derive(Debug)]
pub(super) struct FirstUses {
    seen: Arc<NewestUsed>,
    sender: mpsc::Sender<FirstUse>,
    node: Arc<NodeState>,
}

#[derive(Debug)]
struct FirstUse {
    owner: Owner,
    session: SessionId,
    generation: u32,
}

/// How many first uses may wait to be confirmed. One that finds no room is noted again at the next request of its
/// session.
const MAX_WAITING: usize = 1024;
/// How many are confirmed at the same time.
const MAX_CONFIRMING: usize = 16;
/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_secs(1);

impl FirstUses {
    /// Starts to confirm, until this is dropped.
    pub(super) fn start(runtime: &Handle, node: Arc<NodeState>) -> Self {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let seen = Arc::new(NewestUsed::new(node.clock.instant()));
        runtime.spawn(confirm_all(Arc::clone(&node), Arc::clone(&seen), waiting));
        Self { seen, sender, node }
    }

    /// Notes that this access token was used. Never waits.
    pub(super) fn note(&self, token: &RegisteredClaims, now: Timestamp) {
        // The first generation supersedes none, so there is no window to close.
        if token.generation < 2 || !self.seen.is_first(token, now, || self.node.clock.instant()) {
            return;
        }
        let (owner, session, generation) = (self.node.owner(&token.user_id), token.session_id, token.generation);
        if self.sender.try_send(FirstUse { owner, session, generation }).is_err() {
            self.seen.forget(session, generation);
        }
    }
}

async fn confirm_all(node: Arc<NodeState>, seen: Arc<NewestUsed>, mut waiting: mpsc::Receiver<FirstUse>) {
    let mut confirming = JoinSet::new();
    while let Some(FirstUse { owner, session, generation }) = waiting.recv().await {
        if confirming.len() >= MAX_CONFIRMING
            && let Some(Ok(false)) = confirming.join_next().await
        {
            tokio::time::sleep(PAUSE).await;
        }
        let (node, seen) = (Arc::clone(&node), Arc::clone(&seen));
        confirming.spawn(async move {
            let confirmed = node.store.confirm(&owner, session, generation).await;
            node.observe(&confirmed);
            if confirmed.is_err() {
                // The next request of the session tries again.
                seen.forget(session, generation);
            }
            confirmed.is_ok()
        });
    }
    confirming.join_all().await;
}

/// The newest generation of each session that was used on this node, for as long as its access token lives.
///
/// An entry has 17 bytes, and a table is between 7/16 and 7/8 full: 20 to 39 bytes for each session that was refreshed
/// and used within the access lifetime. Full tables take no more; their sessions' windows stay open longer.
///
/// The list of revocations is no model for it: that one must not drop an entry early and grows without a bound; this one
/// is bounded and may refuse an entry.
#[derive(Debug)]
struct NewestUsed {
    /// Written to at the first use of a generation, only read at all others.
    shards: Box<[RwLock<Shard>]>,
    /// Entries age by a monotonic clock.
    begun: Instant,
}

/// By the first half of the session identifier: random bits, of which any eight bytes are unique enough.
type Table = HashMap<u64, Newest, BuildHasherDefault<OwnBits>>;

#[derive(Debug, Default)]
struct Shard {
    table: Table,
    /// When it was searched last for what has expired.
    swept_at: u32,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    generation: u32,
    /// In seconds since `begun`.
    until: u32,
}

/// Uses a key that is random already as its hash.
#[derive(Clone, Copy, Debug, Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

const SHARDS: usize = 64;
/// About 900,000 sessions in all, 18 MB. What fits into a table of 2¹⁴ places.
const MAX_IN_SHARD: usize = 7 << 11;

impl NewestUsed {
    fn new(begun: Instant) -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect(), begun }
    }

    /// Whether this generation is used for the first time. `now` is the time by which the token was verified;
    /// `instant`, by which the entry ages, is read only then.
    fn is_first(&self, token: &RegisteredClaims, now: Timestamp, instant: impl FnOnce() -> Instant) -> bool {
        let Some((key, shard)) = self.place(token.session_id) else { return false };
        let is_known = |shard: &Shard| shard.table.get(&key).is_some_and(|known| known.generation >= token.generation);
        if is_known(&shard.read().unwrap_or_else(PoisonError::into_inner)) {
            return false;
        }
        let elapsed = seconds(instant().saturating_duration_since(self.begun));
        // Both are rounded down.
        let until = elapsed.saturating_add(seconds(token.expires_at.since(now))).saturating_add(2);
        let newest = Newest { generation: token.generation, until };
        let mut shard = write_to(shard);
        if let Some(known) = shard.table.get_mut(&key) {
            let is_newer = known.generation < token.generation;
            if is_newer {
                *known = newest;
            }
            return is_newer;
        }
        let has_room = shard.make_room(elapsed);
        if has_room {
            shard.table.insert(key, newest);
        }
        has_room
    }

    /// Removes an entry, unless there is a newer one.
    fn forget(&self, session: SessionId, generation: u32) {
        let Some((key, shard)) = self.place(session) else { return };
        let mut shard = write_to(shard);
        if shard.table.get(&key).is_some_and(|newest| newest.generation == generation) {
            shard.table.remove(&key);
        }
    }

    fn place(&self, session: SessionId) -> Option<(u64, &RwLock<Shard>)> {
        let (key, rest) = session.as_bytes().split_first_chunk()?;
        let shard = self.shards.get(usize::from(*rest.first()?) % SHARDS)?;
        Some((u64::from_be_bytes(*key), shard))
    }
}

fn write_to(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    // Nothing panics while it is held.
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Drops what has expired when the table is full, and lets it grow if that was not much.
    fn make_room(&mut self, now: u32) -> bool {
        let Self { table, swept_at } = self;
        if table.len() < table.capacity() {
            return true;
        }
        let is_largest = table.len() >= MAX_IN_SHARD;
        if is_largest && *swept_at == now {
            return false;
        }
        *swept_at = now;
        table.retain(|_, newest| now < newest.until);
        // One that stays nearly full would be searched again too soon.
        if !is_largest && table.len() > table.capacity() / 2 {
            table.reserve(table.len());
        }
        table.len() < MAX_IN_SHARD
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::id::UserId;

    const NOW: Timestamp = Timestamp::from_secs(1_000);
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn token(session: u64, generation: u32) -> RegisteredClaims {
        let mut bytes = [0; SessionId::LEN];
        // All in one shard.
        bytes[..8].copy_from_slice(&session.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        RegisteredClaims {
            user_id: UserId::new("alice").unwrap(),
            session_id: SessionId::from_bytes(bytes),
            generation,
            epoch: 0,
            auth_time: NOW,
            issued_at: NOW,
            expires_at: NOW.saturating_add(Duration::from_secs(3600)),
        }
    }

    #[test]
    fn each_generation_is_first_once() {
        let seen = NewestUsed::new(*BEGUN);
        assert!(seen.is_first(&token(1, 2), NOW, || *BEGUN));
        assert!(!seen.is_first(&token(1, 2), NOW, || *BEGUN));
        assert!(seen.is_first(&token(2, 2), NOW, || *BEGUN));
        assert!(seen.is_first(&token(1, 3), NOW, || *BEGUN));
        assert!(!seen.is_first(&token(1, 2), NOW, || *BEGUN), "a late use of an older generation is no first use");
        seen.forget(token(1, 2).session_id, 2);
        assert!(!seen.is_first(&token(1, 3), NOW, || *BEGUN), "a newer one was used");
        seen.forget(token(1, 3).session_id, 3);
        assert!(seen.is_first(&token(1, 3), NOW, || *BEGUN));
    }

    #[test]
    fn known_generation_takes_no_write_lock() {
        let seen = Arc::new(NewestUsed::new(*BEGUN));
        assert!(seen.is_first(&token(1, 2), NOW, || *BEGUN));
        let reader = seen.place(token(1, 2).session_id).unwrap().1.read().unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = Arc::clone(&seen);
        std::thread::spawn(move || sender.send(other.is_first(&token(1, 2), NOW, || *BEGUN)));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(false), "it waits for another reader");
        drop(reader);
    }

    #[test]
    fn full_table_refuses_new_sessions_until_others_expire() {
        let seen = NewestUsed::new(*BEGUN);
        let taken = (0..100_000).filter(|n| seen.is_first(&token(*n, 2), NOW, || *BEGUN)).count();
        assert_eq!(taken, MAX_IN_SHARD);
        // The wall clock plays no part: it can be set.
        let far = NOW.saturating_add(Duration::from_secs(7200));
        assert!(!seen.is_first(&token(200_000, 2), far, || *BEGUN));
        let later = |secs| move || *BEGUN + Duration::from_secs(secs);
        assert!(!seen.is_first(&token(200_000, 2), NOW, later(3601)));
        assert!(seen.is_first(&token(200_000, 2), NOW, later(3602)));
        assert_eq!(seen.place(token(1, 2).session_id).unwrap().1.read().unwrap().table.len(), 1);
    }

    #[test]
    fn entry_has_documented_size() {
        assert_eq!(size_of::<(u64, Newest)>(), 16);
    }
}
