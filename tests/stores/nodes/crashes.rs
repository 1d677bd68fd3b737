//! A node dies while it ends sessions: they have ended entirely, published and deleted, or not at all.

use std::time::Duration;

use http::HeaderMap;

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        nodes::{accepts, browser, refuses_soon, soon_works},
        redis_server::RedisServer,
    },
};

/// What the other node sees when everything that was published has arrived: a session is in the store and accepted, or
/// in neither.
async fn is_one_of_both(server: &RedisServer, users: &[(String, HeaderMap)]) -> [usize; 2] {
    let there = node_on(server).await;
    // Comes after whatever is under way.
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

/// The future is dropped at any time after it was begun, with the connection that the command was written to.
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
        // From at once until long after the answer.
        tokio::time::sleep(Duration::from_micros(5 * n)).await;
        ending.abort();
        users.push((user, headers));
    }
    let [ended, _] = is_one_of_both(&server, &users).await;
    assert!(ended > 0, "none was begun early enough");
}

/// As a process that is killed: the command is on its way, and then the connection is gone.
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
        let (answer, ()) = futures_util::future::join(ending, killing).await;
        soon_works(async || here.list(user).await.is_ok()).await;
        // An error says that nothing is known, a success that it is done.
        assert!(answer.is_err() || here.list(user).await.unwrap().is_empty());
    }
    is_one_of_both(&server, &users).await;
}
