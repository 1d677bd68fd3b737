//! Entries of the revocation log that this release cannot read.

use std::time::Duration;

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value},
};
use tower_jwt_sessions::{SessionManager, store::Revocation};
use tracing::level_filters::LevelFilter;

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        log::Log,
        nodes::{PATIENCE, accepts, browser, is_up_to_date, refuses_soon},
        owner::{owner, sessions_key},
        redis_server::RedisServer,
    },
};

/// Appends an entry, and returns its position.
pub(crate) async fn append(redis: &Client, fields: &[&[u8]]) -> String {
    let args: Vec<Value> = [&b"sessions:log"[..], b"*"].iter().chain(fields).map(|arg| Value::from(*arg)).collect();
    let add = CustomCommand::new_static("XADD", ClusterHash::FirstKey, false);
    redis.custom::<Value, _>(add, args).await.unwrap().into_string().unwrap()
}

/// In this order: an entry of another program, a truncated value, one of another length, the formats of later releases,
/// and names that are not text.
fn unreadable() -> Vec<Vec<Vec<u8>>> {
    let whole = [&[7; 16][..], &Revocation::ENDED.to_be_bytes()].concat();
    let entry = |fields: &[&[u8]]| fields.iter().map(|field| field.to_vec()).collect();
    vec![
        entry(&[b"junk", b"1"]),
        entry(&[b"r", &whole[..19]]),
        entry(&[b"r", &[&whole[..], &[0; 5]].concat()]),
        entry(&[b"r", b""]),
        entry(&[b"r2", &whole]),
        entry(&[b"s", b"\xff\x00", b"t", b"2"]),
        entry(&[b"\xff\xfe", b"\xff"]),
    ]
}

async fn login(node: &SessionManager, user: &str) -> http::HeaderMap {
    browser(node.login(user).await.unwrap())
}

#[tokio::test]
async fn unreadable_entry_hides_no_end_and_is_logged_once() {
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let redis = admin(&server.url()).await;
    let mut feed = there.revocation_feed().clone();
    Log::capture(LevelFilter::DEBUG);
    let mut ids = Vec::new();
    for fields in unreadable() {
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let headers = login(&here, "alice").await;
        ids.push(append(&redis, &fields).await);
        here.end_all("alice").await.unwrap();
        refuses_soon(&there, &headers).await;
    }
    assert!(tokio::time::timeout(Duration::ZERO, feed.changed()).await.is_err(), "the feed was stale");
    assert!(is_up_to_date(feed.status()));

    // A node that starts now, and one that reads some entries again.
    let headers = login(&here, "bob").await;
    here.end_all("bob").await.unwrap();
    let late = tokio::time::timeout(PATIENCE, node_on(&server)).await.expect("the node catches up");
    assert!(!accepts(&late, &headers));
    drop(late);
    crate::nodes::outages::kill_feeds(&redis).await;
    let headers = login(&here, "bob").await;
    here.end_all("bob").await.unwrap();
    refuses_soon(&there, &headers).await;

    let log = Log::captured();
    for id in ids {
        let lines = log.lines().filter(|line| line.contains("log entry skipped") && line.contains(&id)).count();
        assert_eq!(lines, 3, "once for each node: {log}");
    }
}

/// More entries than a page has.
#[tokio::test]
async fn many_unreadable_entries_are_logged_in_few_lines() {
    let server = RedisServer::start();
    let here = node_on(&server).await;
    let redis = admin(&server.url()).await;
    let headers = login(&here, "alice").await;
    let script = "for n = 1, 12000 do redis.call('XADD', 'sessions:log', '*', 'junk', n) end";
    command(&redis, "EVAL", &[script, "0"]).await;
    // If this times out on a busy machine, the node completes it by itself.
    let _ended = here.end_all("alice").await;
    refuses_soon(&here, &headers).await;
    Log::capture(LevelFilter::DEBUG);
    let late = tokio::time::timeout(PATIENCE, node_on(&server)).await.expect("the node catches up");
    assert!(!accepts(&late, &headers), "a later end is not read");
    let log = Log::captured();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    let (single, more) = (count("revocation log entry skipped"), count("more revocation log entries skipped"));
    assert!((10..=60).contains(&single) && (1..=6).contains(&more), "{single} and {more} lines");
}

/// A release that only adds to the format does not hide ends from this one.
#[tokio::test]
async fn unknown_entry_fields_are_ignored() {
    let server = RedisServer::start();
    let there = node_on(&server).await;
    let headers = login(&there, "alice").await;
    let id = there.verifier().verify(&headers).unwrap().id();
    let redis = admin(&server.url()).await;
    let packed = [&id.as_bytes()[..], &Revocation::ENDED.to_be_bytes()].concat();
    append(&redis, &[b"why", b"\xff", b"r", &packed]).await;
    refuses_soon(&there, &headers).await;
}

/// The skipped entry may have been the end of the session.
#[tokio::test]
async fn open_connection_checks_store_when_entry_is_skipped() {
    let server = RedisServer::start();
    let there = node_on(&server).await;
    let headers = login(&there, "alice").await;
    let mut ended = there.verifier().verify(&headers).unwrap().ended();
    let redis = admin(&server.url()).await;
    assert!(futures_util::poll!(&mut ended).is_pending());
    command(&redis, "DEL", &[&sessions_key("", &owner("alice"))]).await;
    append(&redis, &[b"r2", b"?"]).await;
    tokio::time::timeout(PATIENCE, ended).await.expect("the store has no such session");
}
