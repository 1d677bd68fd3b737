//! The Lua scripts, and how they are run.

use std::{sync::LazyLock, time::Duration};

use fred::{
    clients::Client,
    error::{Error as FredError, ErrorKind},
    interfaces::ClientLike,
    types::{ClientState, ClusterHash, CustomCommand, Value, config::Options, scripts::Script},
};
use tokio::time::Instant;

use super::reply::without_arguments;
use crate::clock::{Timestamp, whole_millis};

/// The two forms of a step.
pub(super) struct ScriptPair {
    /// Publishes revocations itself: the log is the last of its keys.
    pub(super) whole: LazyLock<Script>,
    /// Stores unpublished revocations with the user: the log is on another server.
    pub(super) split: LazyLock<Script>,
}

macro_rules! lua {
    ($($part:expr),*) => {
        LazyLock::new(|| Script::from_lua(concat!($($part),*)))
    };
}

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!("lua/", $name))
    };
}

macro_rules! steps {
    ($($name:ident = $file:literal, completes: $completes:literal;)*) => {
        $(pub(super) static $name: ScriptPair = ScriptPair {
            whole: lua!(file!("prelude.lua"), file!("log.lua"), file!("publish.lua"), file!($file)),
            split: lua!(
                file!("prelude.lua"), file!("pending.lua"), "local completes = ", $completes, "\nlocal function step()\n",
                file!($file), "\nend\n", file!("publish_after.lua")
            ),
        };)*
    };
}

// In the split form, steps that complete publish everything that is pending.
steps! {
    CONFIRM = "confirm.lua", completes: false;
    CREATE = "create.lua", completes: false;
    END = "end.lua", completes: true;
    EXPIRE_ACCESS = "expire_access.lua", completes: true;
    LIST = "list.lua", completes: false;
    PUT_DATA = "put_data.lua", completes: false;
    READ = "read.lua", completes: false;
    REGISTER_DEVICE = "register_device.lua", completes: false;
    ROTATE = "rotate.lua", completes: false;
}

/// Appends the pending revocations of a split step to the log.
pub(super) static APPEND: LazyLock<Script> = lua!(file!("prelude.lua"), file!("log.lua"), file!("append.lua"));
/// Removes published revocations from those that are pending.
pub(super) static SETTLE: LazyLock<Script> = lua!(file!("prelude.lua"), file!("pending.lua"), file!("settle.lua"));

/// Runs a script in one command, or in two when the server does not know it yet, within the client's command timeout.
///
/// Not through fred's own `evalsha`, which ignores per-command options: a command must fail at once while the
/// connection is down, must never be sent twice, and both commands together must not take longer than one. `args` puts
/// the arguments behind what names the script.
pub(super) async fn run(
    client: &Client,
    script: &Script,
    args: impl Fn(Value) -> Vec<Value>,
    timeout: Duration,
    asking: bool,
) -> Result<Value, FredError> {
    require_connection(client)?;
    let deadline = Instant::now() + timeout;
    let first = send(client, "EVALSHA", args(script.sha1().clone().into()), timeout, asking).await;
    match (first, script.lua()) {
        (Err(error), Some(lua)) if error.details().starts_with("NOSCRIPT") => {
            // Zero would mean no timeout.
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            send(client, "EVAL", args(lua.clone().into()), left, asking).await
        }
        (outcome, _) => outcome,
    }
}

/// Fails at once if there is no connection: fred would queue the command while it connects.
pub(super) fn require_connection(client: &Client) -> Result<(), FredError> {
    match client.state() {
        ClientState::Connected => Ok(()),
        _ => Err(FredError::new(ErrorKind::IO, "not connected to Redis")),
    }
}

/// Sends a script; with `asking`, to a server to which the slot is being moved.
async fn send(
    client: &Client,
    command: &'static str,
    args: Vec<Value>,
    timeout: Duration,
    asking: bool,
) -> Result<Value, FredError> {
    send_as(client, command, args, timeout, asking).await.map_err(without_arguments)
}

async fn send_as(
    client: &Client,
    command: &'static str,
    args: Vec<Value>,
    timeout: Duration,
    asking: bool,
) -> Result<Value, FredError> {
    let options = Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() };
    let custom = |name| CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    if !asking {
        return client.with_options(&options).custom(custom(command), args).await;
    }
    let pipeline = client.pipeline().with_options(&options);
    let () = pipeline.custom(custom("ASKING"), Vec::<Value>::new()).await?;
    let () = pipeline.custom(custom(command), args).await?;
    let lost = || Err(FredError::new(ErrorKind::Protocol, "script without an answer"));
    let mut answers = pipeline.try_all().await.into_iter();
    // A server that denies the first command would answer the script with the redirection that has led here.
    let _asking: Value = answers.next().unwrap_or_else(lost)?;
    answers.next().unwrap_or_else(lost)
}

/// Asks the server for its time.
pub(super) async fn server_time(client: &Client, timeout: Duration) -> Result<Timestamp, FredError> {
    let options = Options { timeout: Some(timeout), max_attempts: Some(1), fail_fast: true, ..Options::default() };
    let time = CustomCommand::new_static("TIME", ClusterHash::FirstKey, false);
    let answer = client.with_options(&options).custom(time, Vec::<Value>::new()).await;
    let (seconds, micros): (u64, u64) = answer.map_err(without_arguments)?;
    Ok(Timestamp::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
}

/// Lua's numbers are doubles, which are exact up to this.
pub(super) const LARGEST: u64 = (1 << 53) - 1;

/// Capped at the largest number that Lua holds exactly, some 285,000 years.
pub(super) fn time(time: Timestamp) -> Value {
    integer(time.as_millis().min(LARGEST))
}

/// As [`time`]; half of it, so that sums are exact too.
pub(super) fn duration(duration: Duration) -> Value {
    integer(whole_millis(duration).min(1 << 52))
}

/// Rounds up, so that `elapsed < duration` in whole milliseconds gives the same result as with the exact duration.
pub(super) fn duration_rounded_up(time: Duration) -> Value {
    duration(time.saturating_add(Duration::from_nanos(999_999)))
}

/// fred writes integers as the texts that commands take.
pub(super) fn integer(number: impl Into<u64>) -> Value {
    let number = number.into();
    i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::Integer)
}

/// One of the words that scripts know.
pub(super) fn word(word: &'static str) -> Value {
    Value::from_static_str(word)
}

pub(super) fn bytes(bytes: &[u8]) -> Value {
    bytes.into()
}

/// Encodes a value as a plus sign and its bytes, and an absent one as nothing.
pub(super) fn optional(value: Option<&[u8]>) -> Value {
    value.map_or_else(|| word(""), |value| bytes(&[b"+", value].concat()))
}
