//! Creating a session.

use std::{fmt, time::Duration};

#[cfg(doc)]
use super::SessionStore;
use super::{
    marks::{AccessExpiry, ClaimsAge, EndMark, LoginProof},
    owner::Owner,
    record::SessionRecord,
    redacted::Bytes,
    session::Device,
};
use crate::{clock::Timestamp, id::SessionId, policy::SessionLimit};

/// The session that [`SessionStore::create`] creates.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewSession {
    /// The owner.
    pub owner: Owner,
    /// The identifier, drawn for this session.
    pub id: SessionId,
    /// How long after the last rotation the session ends.
    pub refresh_lifetime: Duration,
    /// How long after the login the session ends in any case.
    pub absolute_lifetime: Duration,
    /// How many sessions the user may have; `None` for no limit.
    pub limit: Option<SessionLimit>,
    /// A session *of the same user* that ends in the same step and does not count for the limit.
    pub replaces: Option<SessionId>,
    /// The first version of the application's data.
    pub data: Option<Vec<u8>>,
    /// Where the login came from.
    pub device: Device,
    /// How long entries of the log must be kept.
    pub log_retention: Duration,
    /// The claims that will be signed; `None` when there is nothing to compare.
    pub claims: Option<ClaimsAge>,
    /// What the login states about its proof; with `None`, no mark refuses it.
    pub proof: Option<LoginProof>,
}

impl NewSession {
    /// Returns a session with these lifetimes, without limit, data or device. Set the other fields as needed.
    pub fn new(
        owner: Owner,
        id: SessionId,
        refresh_lifetime: Duration,
        absolute_lifetime: Duration,
        log_retention: Duration,
    ) -> Self {
        Self {
            owner,
            id,
            refresh_lifetime,
            absolute_lifetime,
            limit: None,
            replaces: None,
            data: None,
            device: Device::default(),
            log_retention,
            claims: None,
            proof: None,
        }
    }
}

/// Without the data and the device.
impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession")
            .field("owner", &self.owner)
            .field("id", &self.id)
            .field("refresh_lifetime", &self.refresh_lifetime)
            .field("absolute_lifetime", &self.absolute_lifetime)
            .field("limit", &self.limit)
            .field("replaces", &self.replaces)
            .field("data", &self.data.as_deref().map(Bytes::of))
            .field("device", &self.device)
            .field("log_retention", &self.log_retention)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// The outcome of [`SessionStore::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateOutcome {
    /// The session is live: see [`created`](Self::created).
    #[non_exhaustive]
    Created {
        /// The new record.
        record: SessionRecord,
        /// The store's time of the step.
        now: Timestamp,
        /// The sessions that ended for it: the replaced one and those over the limit.
        ended: Vec<SessionId>,
    },
    /// The user has as many sessions as allowed and the limit says to refuse. Nothing changed.
    LimitReached,
    /// [`NewSession::claims`] are outdated. Nothing changed.
    ClaimsOutdated(AccessExpiry),
    /// [`NewSession::proof`] is not known to be newer than this. Nothing changed.
    ProofOutdated(EndMark),
}

impl CreateOutcome {
    /// Returns the outcome [`Created`](Self::Created) of a step at the store's time `now`, which ended these sessions.
    pub const fn created(record: SessionRecord, now: Timestamp, ended: Vec<SessionId>) -> Self {
        Self::Created { record, now, ended }
    }
}
