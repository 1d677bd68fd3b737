//! Histories as texts.

use std::fmt::Write as _;

use tower_jwt_sessions::{
    SessionId,
    clock::Timestamp,
    store::{CreateOutcome, RegisterOutcome, RotateOutcome, SessionRecord, WhichSessions},
};

use crate::{
    checker::{Violation, unexplained},
    operation::{Answer, Operation},
    recorder::Recorded,
    reference::Rules,
};

/// A session as its number where the plan has one, else the beginning of its identifier.
pub(crate) fn session(id: SessionId) -> String {
    let bytes = id.as_bytes();
    let number = u16::from_be_bytes([bytes[2], bytes[3]]);
    if bytes[4..].iter().all(|byte| *byte == 0xaa) {
        return format!("s{number}");
    }
    format!("s:{:02x}{:02x}{:02x}", bytes[0], bytes[1], bytes[2])
}

fn sessions(ids: &[SessionId]) -> String {
    let names: Vec<String> = ids.iter().map(|id| session(*id)).collect();
    format!("[{}]", names.join(" "))
}

fn revocations(all: &[(SessionId, u32)]) -> String {
    let text = |(id, epoch): &(SessionId, u32)| match *epoch {
        u32::MAX => format!("{} ended", session(*id)),
        epoch => format!("{} epoch {epoch}", session(*id)),
    };
    all.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// In milliseconds since the time at which test clocks begin.
pub(crate) fn time(at: Timestamp) -> String {
    let begin = 1_767_225_600_000_i128;
    format!("{}ms", i128::from(at.as_millis()) - begin)
}

pub(crate) fn record(record: &SessionRecord) -> String {
    let optional = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), time);
    format!(
        "g{} previous {} epoch {} created {} rotated {} confirmed {} expired {} bound {} until {}/{}{}",
        record.generation,
        record.previous.unwrap_or(0),
        record.epoch,
        time(record.created_at),
        optional(record.rotated_at),
        optional(record.confirmed_at),
        optional(record.access_expired_at),
        optional(record.bound_at),
        time(record.idle_end),
        time(record.absolute_end),
        if record.ended { " ENDED" } else { "" },
    )
}

pub(crate) fn operation(operation: &Operation) -> String {
    match operation {
        Operation::Create(new) => {
            let limit = new.limit.map(|limit| (limit.max(), limit.when_full()));
            let (replaces, claims) = (new.replaces.map(session), new.claims);
            format!(
                "create {} limit {limit:?} replaces {replaces:?} claims {claims:?} proof {:?}",
                session(new.id),
                new.proof
            )
        }
        Operation::Find(id) => format!("find {}", session(*id)),
        Operation::Rotate(rotate) => {
            let attempt = &rotate.attempt;
            format!(
                "rotate {} g{} until {} {:?} epoch {} proven {} claims {:?}",
                session(rotate.id),
                attempt.generation,
                time(attempt.token_expires_at),
                attempt.window,
                attempt.min_epoch,
                attempt.is_proven,
                rotate.claims
            )
        }
        Operation::Confirm(id, generation) => format!("confirm {} g{generation}", session(*id)),
        Operation::End(end) => {
            let which = match end.which {
                WhichSessions::One(id) => session(id),
                WhichSessions::Proven(id) => format!("{} (proven)", session(id)),
                WhichSessions::Others(id) => format!("all but {}", session(id)),
                WhichSessions::All => "all".to_owned(),
            };
            format!("end {which} older than {:?}", end.min_age)
        }
        Operation::List => "list".to_owned(),
        Operation::ExpireAccess(_) => "expire_access".to_owned(),
        Operation::GetData(id) => format!("get_data {}", session(*id)),
        Operation::PutData(put) => {
            let text = String::from_utf8_lossy(&put.bytes);
            format!("put_data {} {text:?} expects version {}", session(put.id), put.expected_version)
        }
        Operation::Register(register) => {
            format!("register {} key {}", session(register.id), register.key.as_bytes()[0])
        }
        Operation::ReadLog { .. } => "read_log".to_owned(),
    }
}

pub(crate) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Created(CreateOutcome::Created { record: created, ended, .. }) => {
            format!("created {}, ended {}", record(created), sessions(ended))
        }
        Answer::Created(refused) => format!("{refused:?}"),
        Answer::Found(found) => found.as_ref().map_or_else(|| "none".to_owned(), |found| record(&found.record)),
        Answer::Rotated(RotateOutcome::Live { rotation, record: after, rolled_back, .. }) => {
            let note = if *rolled_back { ", rolled back" } else { "" };
            format!("{rotation:?}{note} {}", record(after))
        }
        Answer::Rotated(outcome) => format!("{outcome:?}"),
        Answer::Confirmed => "done".to_owned(),
        Answer::Ended(ids) => format!("ended {}", sessions(ids)),
        Answer::Listed(list) => {
            let rows = list.sessions.iter().map(|row| format!("{}: {}", session(row.id), record(&row.record)));
            format!("[{}]", rows.collect::<Vec<_>>().join("; "))
        }
        Answer::Raised(raised) => format!("raised {}", revocations(raised)),
        Answer::Data(data) => match data {
            None => "none".to_owned(),
            Some(data) => {
                let text = data.bytes.as_deref().map(String::from_utf8_lossy);
                format!("version {} {text:?}", data.version)
            }
        },
        Answer::Registered(RegisterOutcome::Registered(found)) => format!("registered {}", record(&found.record)),
        Answer::Registered(outcome) => format!("{outcome:?}"),
        Answer::Put(outcome) => format!("{outcome:?}"),
        Answer::Log(entries) => {
            let entries: Vec<String> = entries.iter().map(|entry| format!("({})", revocations(entry))).collect();
            format!("[{}]", entries.join(" "))
        }
    }
}

/// Writes a history.
pub(crate) fn history(history: &[Recorded]) -> String {
    history.iter().enumerate().map(|(index, recorded)| line(index, recorded, ' ')).collect()
}

fn line(index: usize, recorded: &Recorded, mark: char) -> String {
    let (until, said) = match &recorded.answered {
        Some((event, said)) => (event.to_string(), answer(said)),
        None => (recorded.over.map_or_else(|| "-".to_owned(), |over| over.to_string()), "LOST".to_owned()),
    };
    let (client, begun, asked) = (recorded.client, recorded.invoked, operation(&recorded.operation));
    let now = time(recorded.now);
    format!("{mark} {index:2} client {client} {begun:4} to {until:4} at {now} {asked} -> {said}\n")
}

/// Writes a history that is not linearizable, with the longest beginning that can be explained.
pub(crate) fn violation(history: &[Recorded], violation: &Violation, rules: Rules) -> String {
    let left = unexplained(history, violation);
    let mark = |index| if left.contains(&index) { '!' } else { ' ' };
    let mut text: String =
        history.iter().enumerate().map(|(index, recorded)| line(index, recorded, mark(index))).collect();
    let _ = writeln!(
        text,
        "an order that can be explained: {:?}; then there is\n{:#?}",
        violation.explained, violation.then
    );
    for index in left {
        let mut then = violation.then.clone();
        let said = then.step(&history[index].operation, history[index].now, rules, true);
        let _ = writeln!(text, "{index:2} would answer {}", answer(&said));
    }
    text
}
