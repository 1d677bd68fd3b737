//! Steps over all sessions of a user, however many, in pieces: no script holds up the server for long.

use fred::types::Value;

use super::{
    RedisStore,
    link::shutting_down,
    reply::Reply,
    scripts::{Step, word},
};
use crate::{error::BoxError, id::SessionId, store::Owner};

/// One more pass is enough unless the keys move to another server meanwhile.
const MAX_PASSES: u32 = 5;

/// A step, and what its script is given in front of where to go on.
pub(super) struct Pieces<T> {
    pub(super) step: &'static Step,
    pub(super) owner: Owner,
    pub(super) args: Vec<Value>,
    /// Reads what a piece found.
    pub(super) read: fn(&mut Reply) -> Result<Vec<T>, BoxError>,
}

/// What all pieces found.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    /// Sessions that an earlier step ended and that are published only now.
    pub(super) unfinished: Vec<SessionId>,
}

/// Where to go on, and what the first piece said for all that follow. Both as the scripts have them.
struct Position {
    cursor: Value,
    since: Value,
    is_last: bool,
}

impl RedisStore {
    /// Takes a step over all sessions of a user.
    ///
    /// It goes on in a task of its own: a request that is given up must not stop it half-way.
    pub(super) async fn over_all<T: Send + 'static>(&self, pieces: Pieces<T>) -> Result<Found<T>, BoxError> {
        let mut found = Found { rows: Vec::new(), unfinished: Vec::new() };
        let start = Position { cursor: word("0"), since: word(""), is_last: false };
        let next = self.piece(&pieces, &start, &mut found).await?;
        if next.is_last {
            return Ok(found);
        }
        let store = self.clone();
        let rest = tokio::spawn(async move { store.rest(pieces, next, found).await });
        rest.await.unwrap_or_else(|_| Err(shutting_down().into()))
    }

    /// A cursor of Redis finds what was there all the time, but only on one server: after a failover or a move of the keys
    /// it may skip some. So they are gone over again until a pass finds nothing more to do.
    async fn rest<T>(&self, pieces: Pieces<T>, next: Position, mut found: Found<T>) -> Result<Found<T>, BoxError> {
        let mut position = self.pass(&pieces, next, &mut found).await?;
        for _ in 0..MAX_PASSES {
            let before = found.rows.len();
            position = self.pass(&pieces, position, &mut found).await?;
            if found.rows.len() == before {
                return Ok(found);
            }
        }
        Err("the sessions of the user were moved again and again".into())
    }

    async fn pass<T>(
        &self,
        pieces: &Pieces<T>,
        mut position: Position,
        found: &mut Found<T>,
    ) -> Result<Position, BoxError> {
        loop {
            position = self.piece(pieces, &position, found).await?;
            if position.is_last {
                return Ok(position);
            }
        }
    }

    async fn piece<T>(
        &self,
        pieces: &Pieces<T>,
        position: &Position,
        found: &mut Found<T>,
    ) -> Result<Position, BoxError> {
        let args = pieces.args.iter().chain([&position.cursor, &position.since]).cloned();
        let (mut reply, unfinished) = self.take(pieces.step, &pieces.owner, args).await?;
        reply.time()?;
        found.rows.extend((pieces.read)(&mut reply)?);
        found.unfinished.extend(unfinished);
        let (cursor, since) = (reply.word()?, reply.word()?);
        Ok(Position { is_last: cursor == "0", cursor: cursor.into(), since: since.into() })
    }
}
