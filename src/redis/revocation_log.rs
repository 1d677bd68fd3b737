//! Reads the revocation log, a stream, on a connection of its own.

use std::{
    collections::HashMap,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use fred::{
    clients::{Client, WithOptions},
    error::{Error as FredError, ErrorKind},
    interfaces::{ClientLike, StreamsInterface},
    types::{
        Value,
        config::{Config, Options},
        streams::XReadResponse,
    },
};

use super::{
    client_guard::ClientGuard,
    reply::{Unreadable, without_arguments},
    scripts,
};
use crate::{
    clock::whole_millis,
    error::BoxError,
    id::SessionId,
    store::{LogEntry, LogPage, LogPosition, Revocation},
};

/// Entries of one page: 5000 are some 200 kB and take 15 ms.
const PAGE: u64 = 5_000;
/// Zero would mean without a limit.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Longer waits end early; Redis refuses very long ones.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// The field that is read: for each revocation the session and the smallest valid epoch, 20 bytes. Another format needs
/// another name, so that releases that do not know it skip the entry. Other fields are ignored.
const FIELD: &[u8] = b"r";
const REVOCATION_LEN: usize = SessionId::LEN + 4;

/// The connection on which the log is read, while it is idle.
///
/// `XREAD BLOCK` would block all other commands on a shared one. It is made when first needed, and dropped after an
/// error or when a read is cancelled, so it needs neither a reconnect policy nor detection of unresponsive servers,
/// which fred could not tell from the silence of a blocking read.
#[derive(Default)]
pub(super) struct LogReader(Mutex<Option<ClientGuard>>);

impl LogReader {
    pub(super) async fn read(
        &self,
        shared: &Client,
        key: &str,
        after: LogPosition,
        wait: Duration,
    ) -> Result<LogPage, BoxError> {
        if wait.is_zero() {
            scripts::require_connection(shared)?;
            return Ok(read(shared, key, after, None).await?.0);
        }
        // A second reader at the same time gets a connection of its own.
        let idle = self.slot().take();
        let connection = match idle {
            Some(connection) => connection,
            None => open(shared).await?,
        };
        // The server that lost the log may not report that. After this error the reader looks back, since the entries
        // of the new server can precede those that were read last.
        if connection.client().client_config().server != shared.client_config().server {
            return Err(FredError::new(ErrorKind::Cluster, "the revocation log has another server now").into());
        }
        let (page, is_free) = read(connection.client(), key, after, Some(wait)).await?;
        if is_free {
            *self.slot() = Some(connection);
        }
        Ok(page)
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<ClientGuard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection for reads that wait, to the server of the shared one.
async fn open(shared: &Client) -> Result<ClientGuard, FredError> {
    let mut connection = shared.connection_config().clone();
    connection.unresponsive.max_timeout = None;
    let config = Config { fail_fast: true, ..shared.client_config() };
    ClientGuard::open(Client::new(config, Some(shared.perf_config()), Some(connection), None)).await
}

/// Reads the entries after a position, and returns whether the connection is free again. Waits if there is no entry and
/// nothing was lost.
///
/// The newest position, the entries and the time are requested together, so that a read takes one round trip. The server
/// answers in order: the newest position before it begins to wait.
async fn read(
    client: &Client,
    key: &str,
    after: LogPosition,
    wait: Option<Duration>,
) -> Result<(LogPage, bool), BoxError> {
    let timeout = client.perf_config().default_command_timeout;
    let wait = wait.map(|wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT));
    let mut newest = pin!(newest(with_timeout(client, timeout), key));
    let mut entries =
        pin!(entries(with_timeout(client, timeout.saturating_add(wait.unwrap_or_default())), key, after, wait));
    // Behind a read that waits, so that it tells when the entries were sent.
    let mut time = pin!(scripts::server_time(client, timeout.saturating_add(wait.unwrap_or_default())));
    let (mut early, mut early_time) = (None, None);
    let newest = poll_fn(|cx| {
        let newest = newest.as_mut().poll(cx);
        if early.is_none()
            && let Poll::Ready(entries) = entries.as_mut().poll(cx)
        {
            early = Some(entries);
        }
        if early_time.is_none()
            && let Poll::Ready(time) = time.as_mut().poll(cx)
        {
            early_time = Some(time);
        }
        newest
    })
    .await?;
    if newest < after {
        // The log was lost, and no entry will have these positions: the caller has to know. The server is still
        // waiting.
        return Ok((LogPage { newest, ..LogPage::default() }, false));
    }
    let mut page = match early {
        Some(entries) => entries,
        None => entries.await,
    }?;
    page.read_at = match early_time {
        Some(time) => time,
        None => time.await,
    }
    .ok();
    page.newest = page.last().map_or(newest, |last| newest.max(last));
    Ok((page, true))
}

async fn entries(
    client: WithOptions<Client>,
    key: &str,
    after: LogPosition,
    wait: Option<Duration>,
) -> Result<LogPage, BoxError> {
    let read: Result<Value, _> = client.xread(Some(PAGE), wait.map(whole_millis), key, after.to_string()).await;
    let read = read.map_err(without_arguments)?;
    // Field names as bytes, since other writers may use any.
    let streams: XReadResponse<String, String, Vec<u8>, Value> = match read {
        Value::Null => HashMap::new(),
        read => read.into_xread_response()?,
    };
    let mut page = LogPage::default();
    for (id, fields) in streams.into_values().flatten() {
        let position = position(&id).ok_or(Unreadable("stream entry without a position"))?;
        match revocations(fields) {
            Some(revocations) => page.entries.push(LogEntry { position, revocations }),
            None => page.skipped.push(position),
        }
    }
    Ok(page)
}

fn with_timeout(client: &Client, timeout: Duration) -> WithOptions<Client> {
    let options = Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() };
    client.with_options(&options)
}

/// Returns the position of the newest entry, even if it was trimmed since.
async fn newest(client: WithOptions<Client>, key: &str) -> Result<LogPosition, BoxError> {
    let info: HashMap<String, Value> = match client.xinfo_stream(key, false, None).await {
        Ok(info) => info,
        Err(error) if error.details().contains("no such key") => return Ok(LogPosition::START),
        Err(error) => return Err(without_arguments(error).into()),
    };
    let id = info.get("last-generated-id").and_then(Value::as_str);
    id.and_then(|id| position(&id)).ok_or_else(|| Unreadable("stream without a position").into())
}

fn position(id: &str) -> Option<LogPosition> {
    let (millis, sequence) = id.split_once('-')?;
    Some(LogPosition::new(millis.parse().ok()?, sequence.parse().ok()?))
}

/// Reads the revocations of an entry; `None` if it is unreadable.
fn revocations(mut fields: HashMap<Vec<u8>, Value>) -> Option<Vec<Revocation>> {
    let packed = fields.remove(FIELD)?.into_owned_bytes()?;
    let (chunks, rest) = packed.as_chunks::<REVOCATION_LEN>();
    let revocation = |chunk: &[u8; REVOCATION_LEN]| {
        let (session, min_epoch) = chunk.split_first_chunk()?;
        let min_epoch = u32::from_be_bytes(min_epoch.try_into().ok()?);
        Some(Revocation { session: SessionId::from_bytes(*session), min_epoch })
    };
    if !rest.is_empty() || chunks.is_empty() {
        return None;
    }
    chunks.iter().map(revocation).collect()
}
