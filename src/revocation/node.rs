//! What the parts of a node share.

use std::{fmt, sync::Arc};

use super::{losses::LostSessions, revocations::Revocations};
use crate::{
    clock::Clock,
    health::Health,
    id::{SessionId, UserId},
    store::{DynStore, FoundSession, Owner, Population, StoreError},
};

/// The store of a node, whether it works, and what is known to be revoked.
///
/// Shared by the backend, which requests use, and its background tasks, which must not keep the backend alive.
pub(super) struct NodeState {
    pub(super) store: Arc<dyn DynStore>,
    pub(super) population: Population,
    pub(super) health: Health,
    pub(super) revocations: Revocations,
    pub(super) lost: LostSessions,
    pub(super) clock: Arc<dyn Clock>,
}

impl NodeState {
    /// The user as the store knows them.
    pub(super) fn owner(&self, user: &UserId) -> Owner {
        Owner::new(self.population, user.clone())
    }

    /// Tracks the health of the store by an answer.
    pub(super) fn observe<T>(&self, answer: &Result<T, StoreError>) {
        self.health.observe(answer.as_ref().err().map(|failure| failure as _));
    }

    /// Reads a session.
    pub(super) async fn find(&self, user: &UserId, session: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let found = self.store.find(&self.owner(user), session).await;
        self.observe(&found);
        found
    }
}

impl fmt::Debug for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeState").field("revocations", &self.revocations).finish_non_exhaustive()
    }
}
