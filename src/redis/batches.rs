//! Steps over all sessions of a user, in batches, so that no script blocks the server for long.

use fred::types::Value;

use super::{
    RedisStore,
    client_guard::shutting_down,
    reply::Reply,
    scripts::{ScriptPair, word},
};
use crate::{error::BoxError, id::SessionId, store::Owner};

/// One is enough unless the keys are moved to another server in between.
const MAX_PASSES: u32 = 5;

/// A step, and the arguments of its script before the position.
pub(super) struct Batched<T> {
    pub(super) step: &'static ScriptPair,
    pub(super) owner: Owner,
    pub(super) args: Vec<Value>,
    /// Reads the rows of a batch.
    pub(super) read: fn(&mut Reply) -> Result<Vec<T>, BoxError>,
}

/// The rows of all batches.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    /// Sessions that an earlier, unfinished step had ended and whose end was published now.
    pub(super) unfinished: Vec<SessionId>,
}

/// Where the next batch begins, and the time or mark of the first batch, both as the scripts write them.
struct Position {
    cursor: Value,
    since: Value,
    is_last: bool,
}

impl RedisStore {
    /// Runs a step over all sessions of a user.
    ///
    /// All batches but the first run in a task of their own, so that a cancelled request does not interrupt them.
    pub(super) async fn over_all<T: Send + 'static>(&self, batched: Batched<T>) -> Result<Found<T>, BoxError> {
        let mut found = Found { rows: Vec::new(), unfinished: Vec::new() };
        let start = Position { cursor: word("0"), since: word(""), is_last: false };
        let next = self.batch(&batched, &start, &mut found).await?;
        if next.is_last {
            return Ok(found);
        }
        let store = self.clone();
        let rest = tokio::spawn(async move { store.rest(batched, next, found).await });
        rest.await.unwrap_or_else(|_| Err(shutting_down().into()))
    }

    /// Runs the remaining batches. A cursor of Redis finds all fields only on one server: after a failover or a move of
    /// the keys it may skip some. So passes are repeated until one finds nothing more to do.
    async fn rest<T>(&self, batched: Batched<T>, next: Position, mut found: Found<T>) -> Result<Found<T>, BoxError> {
        let mut position = self.pass(&batched, next, &mut found).await?;
        for _ in 0..MAX_PASSES {
            let before = found.rows.len();
            position = self.pass(&batched, position, &mut found).await?;
            if found.rows.len() == before {
                return Ok(found);
            }
        }
        Err("the sessions of the user kept moving to other servers".into())
    }

    async fn pass<T>(
        &self,
        batched: &Batched<T>,
        mut position: Position,
        found: &mut Found<T>,
    ) -> Result<Position, BoxError> {
        loop {
            position = self.batch(batched, &position, found).await?;
            if position.is_last {
                return Ok(position);
            }
        }
    }

    async fn batch<T>(
        &self,
        batched: &Batched<T>,
        position: &Position,
        found: &mut Found<T>,
    ) -> Result<Position, BoxError> {
        let args = batched.args.iter().chain([&position.cursor, &position.since]).cloned();
        let (mut reply, unfinished) = self.run_and_find_unfinished(batched.step, &batched.owner, args).await?;
        reply.time()?;
        found.rows.extend((batched.read)(&mut reply)?);
        found.unfinished.extend(unfinished);
        let (cursor, since) = (reply.word()?, reply.word()?);
        Ok(Position { is_last: cursor == "0", cursor: cursor.into(), since: since.into() })
    }
}
