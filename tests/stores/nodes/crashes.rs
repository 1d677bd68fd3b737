//! Crashes of a node while it ends sessions: each end is applied entirely, published and deleted, or not at all.

use std::time::Duration;

use http::HeaderMap;

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        nodes::{accepts, browser, refuses_soon, soon_works},
        redis_server::RedisServer,
    },
};

/// Asserts that the other node, once all ends have arrived, accepts exactly the sessions in the store. Counts both
/// outcomes.
async fn is_one_of_both(server: &RedisServer, users: &[(String, HeaderMap)]) -> [usize; 2] {
    let there = node_on(server).await;
    // This end is published after all others.
    let marker = browser(there.login("marker").await.unwrap());
    there.end_all("marker").await.unwrap();
    let (late, mut outcomes) = (node_on(server).await, [0, 0]);
    refuses_soon(&late, &marker).await;
    for (user, headers) in users {
        let lives = !there.list(user).await.unwrap().is_empty();
        assert_eq!(accepts(&late, headers), lives, "{user}: published and not deleted, or deleted and not published");
        outcomes[usize::from(lives)] += 1;
    }
    outcomes
}

/// The future is dropped at any time after its start, and with it the connection that the command was written to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_end_is_applied_entirely_or_not_at_all() {
    let server = RedisServer::start();
    let here = node_on(&server).await;
    let mut users = Vec::new();
    for n in 0..200 {
        let user = format!("user-{n}");
        let headers = browser(here.login(&user).await.unwrap());
        let node = here.clone();
        let ending = tokio::spawn({
            let user = user.clone();
            async move { node.end_all(&user).await }
        });
        // From immediately until long after the response.
        tokio::time::sleep(Duration::from_micros(5 * n)).await;
        ending.abort();
        users.push((user, headers));
    }
    let [ended, _] = is_one_of_both(&server, &users).await;
    assert!(ended > 0, "no end was applied");
}

/// The connection breaks after the command was sent, as when the process is killed.
#[tokio::test]
async fn end_with_broken_connection_is_applied_entirely_or_not_at_all() {
    let server = RedisServer::start();
    let here = node_on(&server).await;
    let killer = admin(&server.url()).await;
    let mut users = Vec::new();
    for n in 0..50 {
        let user = format!("user-{n}");
        users.push((user.clone(), browser(here.login(&user).await.unwrap())));
    }
    for (n, (user, _)) in (0..).zip(&users) {
        let ending = here.end_all(user);
        let killing = async {
            tokio::time::sleep(Duration::from_micros(8 * n)).await;
            command(&killer, "CLIENT", &["KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        };
        let (outcome, ()) = futures_util::future::join(ending, killing).await;
        soon_works(async || here.list(user).await.is_ok()).await;
        // After an error the outcome is unknown, after a success the session has ended.
        assert!(outcome.is_err() || here.list(user).await.unwrap().is_empty());
    }
    is_one_of_both(&server, &users).await;
}
