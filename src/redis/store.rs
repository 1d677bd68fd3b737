//! The methods of the store: the arguments of their scripts, and how the answers are read.

use std::{collections::HashMap, time::Duration};

use fred::types::Value;

use super::{
    RedisStore, Servers,
    batches::Batched,
    reply::{Reply, Unreadable},
    scripts::{self, bytes, duration, duration_rounded_up, integer, optional, time, word},
};
use crate::{
    clock::Timestamp,
    error::BoxError,
    id::SessionId,
    policy::{ReplayWindow, WhenFull},
    store::{
        AccessExpiry, ClaimsAge, CreateOutcome, EndMark, EndSessions, FoundSession, ListedSession, LogPage,
        LogPosition, LoginProof, NewSession, Owner, PutData, PutOutcome, RegisterDevice, RegisterOutcome,
        RotateOutcome, RotateSession, Rotation, SessionData, SessionList, SessionRecord, SessionStore, StoreError,
        WhichSessions,
    },
};

/// One more replaces the oldest.
const MAX_TOMBSTONES_OF_A_USER: u64 = 100;

fn sid(id: SessionId) -> Value {
    bytes(id.as_bytes())
}

/// The arguments of `are_claims_outdated`.
fn claims(claims: Option<ClaimsAge>) -> [Value; 3] {
    let nothing = || word("");
    let known = claims.and_then(|claims| claims.newer_than);
    [
        claims.map_or_else(nothing, |claims| duration(claims.age)),
        known.map_or_else(nothing, |known| time(known.at)),
        known.map_or_else(nothing, |known| integer(known.epoch)),
    ]
}

fn proof(proof: Option<LoginProof>) -> Value {
    match proof {
        None => word(""),
        Some(LoginProof { newer_than: None }) => word("+"),
        Some(LoginProof { newer_than: Some(mark) }) => format!("+{}", mark.as_millis()).into(),
    }
}

/// The server counts whole microseconds, so their difference may be up to one too large.
fn end_mark(reply: &mut Reply) -> Result<EndMark, BoxError> {
    let at = reply.time()?;
    let micros: u64 = reply.word()?.parse()?;
    Ok(EndMark { at, age: Duration::from_micros(micros.saturating_sub(1)) })
}

fn expiry(reply: &mut Reply) -> Result<AccessExpiry, BoxError> {
    Ok(AccessExpiry { at: reply.time()?, epoch: reply.integer()? })
}

fn failed(doing: &'static str) -> impl FnOnce(BoxError) -> StoreError {
    move |source| StoreError::new(doing, source)
}

impl RedisStore {
    /// Reads a live session and its data.
    async fn read(&self, owner: &Owner, id: SessionId) -> Result<Option<(FoundSession, Reply)>, BoxError> {
        let mut reply = self.run(&scripts::READ, owner, [sid(id)]).await?;
        let now = reply.time()?;
        let record = reply.optional_record()?.filter(|record: &SessionRecord| record.is_live(now));
        let device_key = reply.device_key()?;
        Ok(record.map(|record| (FoundSession { record, now, device_key }, reply)))
    }
}

impl SessionStore for RedisStore {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        let step = async {
            let ip = new.device.ip.map(|ip| ip.to_string());
            let args = [
                sid(new.id),
                duration(new.refresh_lifetime),
                duration(new.absolute_lifetime),
                duration(new.log_retention),
                integer(new.limit.map_or(0, |limit| limit.max())),
                match new.limit.map(|limit| limit.when_full()) {
                    Some(WhenFull::Refuse) => word("refuse"),
                    Some(WhenFull::EndLeastRecentlyRefreshed) | None => word("evict"),
                },
                new.replaces.map_or_else(|| word(""), sid),
                optional(new.device.user_agent.as_deref().map(str::as_bytes)),
                optional(ip.as_deref().map(str::as_bytes)),
                optional(new.data.as_deref()),
            ];
            let args = args
                .into_iter()
                .chain(claims(new.claims))
                .chain([proof(new.proof), optional(new.device.actor.as_ref().map(|actor| actor.as_str().as_bytes()))]);
            let mut reply = self.run(&scripts::CREATE, &new.owner, args).await?;
            let now = reply.time()?;
            match reply.word()?.as_str() {
                "limit" => Ok(CreateOutcome::LimitReached),
                "outdated" => Ok(CreateOutcome::ClaimsOutdated(expiry(&mut reply)?)),
                "unproven" => Ok(CreateOutcome::ProofOutdated(end_mark(&mut reply)?)),
                "created" => Ok(CreateOutcome::Created { record: reply.record()?, now, ended: reply.session_ids()? }),
                _ => Err(unknown_outcome()),
            }
        };
        step.await.map_err(failed("creating a session"))
    }

    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        let read = self.read(owner, id).await.map_err(failed("reading a session"))?;
        Ok(read.map(|(found, _)| found))
    }

    async fn rotate(&self, rotate: &RotateSession) -> Result<RotateOutcome, StoreError> {
        let step = async {
            let attempt = &rotate.attempt;
            let length = attempt.window.length();
            let args = [
                sid(rotate.id),
                integer(attempt.generation),
                time(attempt.token_expires_at),
                match attempt.window {
                    ReplayWindow::Fixed(_) => word("fixed"),
                    ReplayWindow::UntilConfirmed(_) => word("confirmed"),
                },
                duration_rounded_up(length),
                duration_rounded_up(length.saturating_mul(2)),
                duration(attempt.refresh_lifetime),
                duration(rotate.log_retention),
                integer(attempt.min_epoch),
            ];
            let args = args.into_iter().chain(claims(rotate.claims)).chain([integer(attempt.is_proven)]);
            let mut reply = self.run(&scripts::ROTATE, &rotate.owner, args).await?;
            let now = reply.time()?;
            let rotation = match reply.word()?.as_str() {
                "ended" => return Ok(RotateOutcome::Ended),
                "reused" => return Ok(RotateOutcome::Reused),
                "unproven" => return Ok(RotateOutcome::ProofRequired),
                "outdated" => return Ok(RotateOutcome::ClaimsOutdated(expiry(&mut reply)?)),
                "current" => Rotation::Current,
                "rotated" => Rotation::Rotated,
                "repeated" => Rotation::Repeated,
                _ => return Err(unknown_outcome()),
            };
            let record = reply.record()?;
            Ok(RotateOutcome::Live { rotation, record, now, rolled_back: reply.integer::<u64>()? == 1 })
        };
        step.await.map_err(failed("rotating a session"))
    }

    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        let args = [sid(id), integer(generation)];
        self.run(&scripts::CONFIRM, owner, args).await.map_err(failed("confirming a session"))?;
        Ok(())
    }

    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        let step = async {
            let (which, id) = match end.which {
                WhichSessions::One(id) => ("one", sid(id)),
                WhichSessions::Proven(id) => ("proven", sid(id)),
                WhichSessions::Others(id) => ("others", sid(id)),
                WhichSessions::All => ("all", word("")),
            };
            let args = vec![
                word(which),
                id,
                duration(end.log_retention),
                integer(MAX_TOMBSTONES_OF_A_USER),
                duration_rounded_up(end.min_age),
            ];
            let batched = Batched { step: &scripts::END, owner: end.owner.clone(), args, read: Reply::session_ids };
            let found = self.over_all(batched).await?;
            let mut ended = found.rows;
            // The attempt that ended these reported a failure.
            ended.extend(found.unfinished.into_iter().filter(|id| end.which.includes(*id)));
            ended.sort_unstable();
            ended.dedup();
            Ok(ended)
        };
        step.await.map_err(failed("ending sessions"))
    }

    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        let step = async {
            let mut cursor = "0".to_owned();
            // A scan of a growing hash may return a session twice.
            let mut listed: HashMap<SessionId, ListedSession> = HashMap::new();
            loop {
                let mut reply = self.run(&scripts::LIST, owner, [Value::from(&*cursor)]).await?;
                let now = reply.time()?;
                listed.extend(reply.rows(Reply::listed)?.into_iter().map(|session| (session.id, session)));
                cursor = reply.word()?;
                if cursor == "0" {
                    let live = listed.into_values().filter(|session| session.record.is_live(now));
                    return Ok(SessionList { now, sessions: live.collect() });
                }
            }
        };
        step.await.map_err(failed("listing sessions"))
    }

    async fn expire_access(&self, owner: &Owner, log_retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        let step = async {
            let batched = Batched {
                step: &scripts::EXPIRE_ACCESS,
                owner: owner.clone(),
                args: vec![duration(log_retention)],
                read: |reply| reply.rows(|mut row| Ok((row.session_id()?, row.integer()?))),
            };
            Ok(self.over_all(batched).await?.rows)
        };
        step.await.map_err(failed("expiring access tokens"))
    }

    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        let read = async { self.read(owner, id).await?.map(|(_, mut reply)| reply.data()).transpose() };
        read.await.map_err(failed("reading session data"))
    }

    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        let step = async {
            let Some(version) = put.expected_version.checked_add(1) else {
                // Never stored, since no version is greater than the last.
                let is_live = self.read(&put.owner, put.id).await?.is_some();
                return Ok(if is_live { PutOutcome::Conflict } else { PutOutcome::Ended });
            };
            let args = [
                sid(put.id),
                bytes(&put.expected_version.to_be_bytes()),
                bytes(&version.to_be_bytes()),
                bytes(&put.bytes),
            ];
            let mut reply = self.run(&scripts::PUT_DATA, &put.owner, args).await?;
            reply.time()?;
            match reply.word()?.as_str() {
                "stored" => Ok(PutOutcome::Stored { version }),
                "conflict" => Ok(PutOutcome::Conflict),
                "ended" => Ok(PutOutcome::Ended),
                _ => Err(unknown_outcome()),
            }
        };
        step.await.map_err(failed("writing session data"))
    }

    async fn register_device(&self, register: &RegisterDevice) -> Result<RegisterOutcome, StoreError> {
        let step = async {
            let args = [sid(register.id), bytes(register.key.as_bytes())];
            let mut reply = self.run(&scripts::REGISTER_DEVICE, &register.owner, args).await?;
            let now = reply.time()?;
            match reply.word()?.as_str() {
                "registered" => {
                    let found = FoundSession { record: reply.record()?, now, device_key: Some(register.key) };
                    Ok(RegisterOutcome::Registered(found))
                }
                "known" => Ok(RegisterOutcome::Known),
                "ended" => Ok(RegisterOutcome::Ended),
                _ => Err(unknown_outcome()),
            }
        };
        step.await.map_err(failed("registering a device"))
    }

    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let key = self.log_key();
        let page = match &*self.servers {
            Servers::One(connection) => self.tail.read(&connection.client(), &key, after, wait).await,
            Servers::Cluster(cluster) => cluster.read_log(&self.tail, &key, after, wait).await,
        };
        let mut page = page.map_err(failed("reading the revocation log"))?;
        if let Some(clock) = &self.clock {
            page.read_at = Some(clock.now());
        }
        Ok(page)
    }

    /// Redis keeps sessions beyond the process, so there is no such time.
    fn started_at(&self) -> Option<Timestamp> {
        None
    }
}

fn unknown_outcome() -> BoxError {
    Unreadable("outcome of another release").into()
}
