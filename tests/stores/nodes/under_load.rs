//! What was half-done or unreadable, under load: no end is lost, and both are metered.

use futures_util::future::join_all;
use http::HeaderMap;
use tower_jwt_sessions::{SessionManager, auth::VerifyError, error::ErrorKind, store::Revocation};

use super::{
    meter::{Meter, SKIPPED, UNFINISHED},
    outages::{admin, node_on},
    unreadable::append,
};
use crate::support::{
    nodes::{accepts, becomes, browser, is_up_to_date, node, redis_store, refuses_soon, soon},
    proxy::{Network, Proxy},
    redis_server::RedisServer,
};

const USERS: usize = 60;

async fn logins(node: &SessionManager) -> Vec<HeaderMap> {
    join_all((0..USERS).map(async |user| browser(node.login(user).await.unwrap()))).await
}

/// The server carries logouts out, but its answer is lost: the node cannot know.
#[tokio::test]
async fn logouts_that_half_happened_are_completed_under_load() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let server = RedisServer::start();
    let proxy = Proxy::before(server.port()).await;
    let here = node(redis_store(&proxy.url(), "").await).build().unwrap();
    let there = node_on(&server).await;
    becomes(&here, is_up_to_date).await;
    let browsers = logins(&here).await;

    proxy.set(Network::Loses(3));
    let logout = async |headers: &HeaderMap| here.logout(&here.verifier().present(headers)).await.map(drop);
    let mut failed = 0;
    for some in browsers.chunks(10) {
        for (outcome, headers) in join_all(some.iter().map(logout)).await.into_iter().zip(some) {
            let expected = match outcome.map_err(|error| error.kind()) {
                Ok(()) => [VerifyError::Revoked; 2],
                // It may have been completed by now.
                Err(ErrorKind::Store) => [VerifyError::EndUnfinished, VerifyError::Revoked],
                Err(other) => panic!("{other:?}"),
            };
            failed += usize::from(expected[0] == VerifyError::EndUnfinished);
            let why = here.verifier().verify(headers).unwrap_err();
            assert!(expected.contains(&why), "{why:?}");
        }
    }
    assert!(failed > 0, "no answer was lost");
    assert!(meter.shows(UNFINISHED).is_some(), "{failed} logouts failed, and no end was unfinished");
    proxy.set(Network::Works);
    soon("all ends are completed", || meter.shows(UNFINISHED) == Some(0.0)).await;
    for (user, headers) in browsers.iter().enumerate() {
        refuses_soon(&there, headers).await;
        let refreshed = there.refresh(&there.verifier().present(headers)).await;
        assert_eq!(refreshed.map(drop).unwrap_err().kind(), ErrorKind::InvalidRefreshToken);
        assert!(there.list(user).await.unwrap().is_empty());
    }
}

/// During a deployment, nodes of a later release write to the log, some entries in a format that this one cannot read.
#[tokio::test]
async fn entries_of_a_later_release_hide_no_end_under_load() {
    let meter = Meter::default();
    let _guard = metrics::set_default_local_recorder(&meter);
    let server = RedisServer::start();
    let (here, there) = (node_on(&server).await, node_on(&server).await);
    let redis = admin(&server.url()).await;
    let browsers = logins(&here).await;
    let mut feeds = [here.revocation_feed().clone(), there.revocation_feed().clone()];
    let later_release = async {
        for headers in &browsers[USERS / 2..] {
            let id = here.verifier().verify(headers).unwrap().id();
            let packed = [&id.as_bytes()[..], &Revocation::ENDED.to_be_bytes()].concat();
            // Another format, and a field more.
            append(&redis, &[b"r2", b"another format", b"k", b"3600000"]).await;
            append(&redis, &[b"r", &packed, b"why", b"\xff\x00", b"k", b"3600000"]).await;
        }
    };
    let this_release = join_all((0..USERS / 2).map(async |user| here.end_all(user).await.unwrap()));
    let (_, ended) = tokio::join!(later_release, this_release);
    assert_eq!(ended, vec![1; USERS / 2]);
    for headers in &browsers {
        refuses_soon(&there, headers).await;
        refuses_soon(&here, headers).await;
    }
    let skipped = (USERS / 2 * 2) as f64;
    soon("each node counts what it skipped", || meter.shows(SKIPPED) == Some(skipped)).await;
    for feed in &mut feeds {
        assert!(is_up_to_date(feed.status()));
        assert!(futures_util::poll!(std::pin::pin!(feed.changed())).is_pending(), "the feed was stale");
    }
    // A node that starts now reads the same.
    let late = node_on(&server).await;
    assert!(browsers.iter().all(|headers| !accepts(&late, headers)));
}
