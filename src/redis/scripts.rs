//! The Lua scripts, one for each step, and how they are run.

use std::{sync::LazyLock, time::Duration};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{ClientState, ClusterHash, CustomCommand, Value, config::Options, scripts::Script},
};
use tokio::time::Instant;

use crate::clock::{Timestamp, whole_millis};

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::from_lua(concat!(include_str!("lua/prelude.lua"), include_str!(concat!("lua/", $file))))
        });)*
    };
}

scripts! {
    CONFIRM = "confirm.lua";
    CREATE = "create.lua";
    END = "end.lua";
    EXPIRE_ACCESS = "expire_access.lua";
    LIST = "list.lua";
    PUT_DATA = "put_data.lua";
    READ = "read.lua";
    ROTATE = "rotate.lua";
}

/// Runs a script in one command, or in two when the server does not know it yet, within the client's command timeout.
///
/// Not through fred's own `evalsha`, which ignores per-command options: a command must fail at once while the
/// connection is down, must never be sent twice, and both commands together must not take longer than one.
pub(super) async fn run(
    client: &Client,
    script: &Script,
    args: Vec<Value>,
    timeout: Duration,
) -> Result<Value, FredError> {
    require_connection(client)?;
    let deadline = Instant::now() + timeout;
    let first = send(client, "EVALSHA", script.sha1().clone().into(), args.clone(), timeout).await;
    match (first, script.lua()) {
        (Err(error), Some(lua)) if error.details().starts_with("NOSCRIPT") => {
            // Zero would mean no timeout.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            send(client, "EVAL", lua.clone().into(), args, left).await
        }
        (outcome, _) => outcome,
    }
}

/// Fails at once where there is no connection: fred queues what comes while it connects.
pub(super) fn require_connection(client: &Client) -> Result<(), FredError> {
    match client.state() {
        ClientState::Connected => Ok(()),
        _ => Err(FredError::new(ErrorKind::IO, "not connected to Redis")),
    }
}

async fn send(
    client: &Client,
    command: &'static str,
    script: Value,
    args: Vec<Value>,
    timeout: Duration,
) -> Result<Value, FredError> {
    let options = Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() };
    let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
    client.with_options(&options).custom(command, [vec![script], args].concat()).await
}

/// Lua's numbers are doubles: what is larger than they hold exactly, some 285 000 years, is cut down to that.
pub(super) fn time(time: Timestamp) -> Value {
    integer(time.as_millis().min((1 << 53) - 1))
}

/// As [`time`]; half of it, so that sums are exact too.
pub(super) fn duration(duration: Duration) -> Value {
    integer(whole_millis(duration).min(1 << 52))
}

/// For `elapsed < duration` in whole milliseconds to come out as with the exact duration.
pub(super) fn duration_rounded_up(time: Duration) -> Value {
    duration(time.saturating_add(Duration::from_nanos(999_999)))
}

pub(super) fn integer(number: impl Into<u64>) -> Value {
    number.into().to_string().into()
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    bytes.into()
}

/// Nothing, or a plus sign and the bytes: tells an absent value from an empty one.
pub(super) fn optional(value: Option<&[u8]>) -> Value {
    value.map_or_else(|| bytes(b""), |value| bytes(&[b"+", value].concat()))
}
