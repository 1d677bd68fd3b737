//! The first use of a generation, confirmed to the store in the background: what closes
//! [`ReplayWindow::UntilConfirmed`](crate::policy::ReplayWindow::UntilConfirmed).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};

use super::{node::NodeState, table::SessionTable};
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
        let seen = Arc::new(NewestUsed::new(node.clock.instant(), MAX_SESSIONS));
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
#[derive(Debug)]
struct NewestUsed {
    /// Written to at the first use of a generation, only read at all others.
    generations: SessionTable,
    /// Entries age by a monotonic clock.
    begun: Instant,
}

/// Some 30 MB. A full table takes no more sessions; their windows stay open longer.
const MAX_SESSIONS: usize = 900_000;

impl NewestUsed {
    fn new(begun: Instant, max_sessions: usize) -> Self {
        Self { generations: SessionTable::bounded(max_sessions), begun }
    }

    /// Whether this generation is used for the first time. `now` is the time by which the token was verified;
    /// `instant`, by which the entry ages, is read only then.
    fn is_first(&self, token: &RegisteredClaims, now: Timestamp, instant: impl FnOnce() -> Instant) -> bool {
        // No need for the time: the entry outlives its token, which was verified just now.
        let is_known = self.generations.find(token.session_id, |newest| newest >= token.generation, || 0).is_some();
        if is_known {
            return false;
        }
        let elapsed = seconds(instant().saturating_duration_since(self.begun));
        // Both are rounded down.
        let until = elapsed.saturating_add(seconds(token.expires_at.since(now))).saturating_add(2);
        self.generations.raise(token.session_id, token.generation, until, elapsed)
    }

    /// Takes a first use back, unless a newer generation was used.
    fn forget(&self, session: SessionId, generation: u32) {
        self.generations.forget(session, generation);
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

    fn token(session: u32, generation: u32) -> RegisteredClaims {
        let mut bytes = [0; SessionId::LEN];
        // All in one shard.
        bytes[4..8].copy_from_slice(&session.to_be_bytes());
        RegisteredClaims {
            user_id: UserId::new("alice").unwrap(),
            session_id: SessionId::from_bytes(bytes),
            generation,
            epoch: 0,
            auth_time: NOW,
            issued_at: NOW,
            expires_at: NOW.saturating_add(Duration::from_secs(3600)),
            terms: None,
        }
    }

    #[test]
    fn each_generation_is_first_once() {
        let seen = NewestUsed::new(*BEGUN, MAX_SESSIONS);
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
    fn known_generation_is_only_looked_up() {
        let seen = NewestUsed::new(*BEGUN, MAX_SESSIONS);
        assert!(seen.is_first(&token(1, 2), NOW, || *BEGUN));
        assert!(!seen.is_first(&token(1, 2), NOW, || unreachable!("the clock was read, which comes before a write")));
    }

    #[test]
    fn full_table_takes_no_new_session_until_others_expire() {
        let seen = NewestUsed::new(*BEGUN, 100 * 256);
        let taken = (0..1_000).filter(|n| seen.is_first(&token(*n, 2), NOW, || *BEGUN)).count();
        assert_eq!(taken, 100);
        // The wall clock plays no part: it can be set.
        let far = NOW.saturating_add(Duration::from_secs(7200));
        assert!(!seen.is_first(&token(2_000, 2), far, || *BEGUN));
        let later = |secs| move || *BEGUN + Duration::from_secs(secs);
        assert!(!seen.is_first(&token(2_000, 2), NOW, later(3601)));
        assert!(seen.is_first(&token(2_000, 2), NOW, later(3602)));
        // Every expired one makes room.
        assert!((3_000..3_099).all(|n| seen.is_first(&token(n, 2), NOW, later(3602))));
        assert!(!seen.is_first(&token(4_000, 2), NOW, later(3602)));
    }
}
