//! Failures between the steps of an end: flag, publish and settle.

use std::time::Duration;

use tower_jwt_sessions::{
    policy::SessionLimit,
    store::{CreateOutcome, PutOutcome, Revocation, RotateOutcome, SessionStore as _, WhichSessions},
};

use crate::cluster::scene::{A_WHILE, HOUR, MINUTE, Scene, ended, id};

/// The operations that end the first of two sessions.
const ENDINGS: [&str; 7] = ["one", "proven", "others", "all", "reuse", "eviction", "replacement"];
/// The operations of later requests, on the first session or on another.
const LATER: [&str; 10] =
    ["find", "get_data", "rotate", "put_data", "confirm", "list", "create", "end one", "end all", "expire_access"];

/// Two sessions, and a first that was refreshed long ago, so that its old token is proof of theft.
async fn two_sessions() -> Scene<'static> {
    two_sessions_in(Scene::new().await).await
}

async fn two_sessions_in(scene: Scene<'static>) -> Scene<'static> {
    scene.login(1).await;
    scene.store.rotate(&scene.rotation(1, 1)).await.unwrap();
    scene.clock.advance(MINUTE);
    scene.login(2).await;
    scene.store.rotate(&scene.rotation(2, 1)).await.unwrap();
    scene
}

/// Ends the first session. Returns whether that was reported as done.
async fn take_ending(scene: &Scene<'_>, how: &str) -> bool {
    let end = async |which| scene.end(which).await.map(drop);
    let outcome = match how {
        "one" => end(WhichSessions::One(id(1))).await,
        "proven" => end(WhichSessions::Proven(id(1))).await,
        "others" => end(WhichSessions::Others(id(2))).await,
        "all" => end(WhichSessions::All).await,
        "reuse" => scene.store.rotate(&scene.rotation(1, 1)).await.map(drop),
        "eviction" => scene.store.create(&scene.third_login(3)).await.map(drop),
        "replacement" => {
            let mut new = scene.new_session(3);
            new.replaces = Some(id(1));
            scene.store.create(&new).await.map(drop)
        }
        other => panic!("{other}"),
    };
    outcome.is_ok()
}

/// Runs a later request, which must find that the first session has ended.
async fn take_later(scene: &Scene<'_>, what: &str) {
    let store = &scene.store;
    match what {
        "find" => assert_eq!(store.find(&scene.user, id(1)).await.unwrap(), None),
        "get_data" => assert_eq!(store.get_data(&scene.user, id(1)).await.unwrap(), None),
        "rotate" => assert_eq!(store.rotate(&scene.rotation(1, 2)).await.unwrap(), RotateOutcome::Ended),
        "put_data" => assert_eq!(store.put_data(&scene.put(1)).await.unwrap(), PutOutcome::Ended),
        "confirm" => store.confirm(&scene.user, id(1), 2).await.unwrap(),
        "list" => assert!(!scene.live().await.contains(&id(1))),
        "create" => scene.login(9).await,
        "end one" => assert!(scene.end(WhichSessions::One(id(1))).await.unwrap().contains(&id(1))),
        "end all" => assert!(scene.end(WhichSessions::All).await.unwrap().contains(&id(1))),
        "expire_access" => drop(store.expire_access(&scene.user, HOUR).await.unwrap()),
        other => panic!("{other}"),
    }
}

fn ends_of(n: u8, published: &[Revocation]) -> usize {
    published.iter().filter(|revocation| **revocation == ended(n)).count()
}

#[tokio::test]
async fn flagged_end_is_published_once_by_later_step() {
    let first = Scene::new().await;
    for how in ENDINGS {
        for later in LATER {
            let scene = two_sessions_in(first.beside().await).await;
            scene.refuse_log().await;
            assert!(!take_ending(&scene, how).await, "{how}: reported as done without publication");
            assert!(!scene.is_stored(id(1)).await, "{how}: the session is stored");
            assert!(scene.pending_ttl().await > HOUR - MINUTE, "{how}: it expires before the tokens");
            scene.allow_log().await;
            if matches!(later, "list" | "create") {
                // These are not about the session, so they leave its end to the operation that may be completing it.
                scene.clock.advance(A_WHILE);
            }
            take_later(&scene, later).await;
            assert_eq!(ends_of(1, &scene.published().await), 1, "{how}, then {later}");
            scene.clock.advance(A_WHILE);
            for _ in 0..2 {
                assert_eq!(scene.store.find(&scene.user, id(1)).await.unwrap(), None);
                scene.live().await;
            }
            assert_eq!(ends_of(1, &scene.published().await), 1, "{how}, then {later}: once");
            assert_eq!(scene.pending().await, None, "{how}, then {later}");
        }
    }
}

#[tokio::test]
async fn step_on_ended_session_fails_while_log_is_unavailable() {
    let scene = two_sessions().await;
    scene.refuse_log().await;
    scene.end(WhichSessions::One(id(1))).await.unwrap_err();
    scene.store.find(&scene.user, id(1)).await.unwrap_err();
    scene.store.get_data(&scene.user, id(1)).await.unwrap_err();
    scene.store.rotate(&scene.rotation(1, 2)).await.unwrap_err();
    scene.store.put_data(&scene.put(1)).await.unwrap_err();
    scene.end(WhichSessions::One(id(1))).await.unwrap_err();
    scene.end(WhichSessions::All).await.unwrap_err();
}

/// The user can use the other sessions, and failed steps have no effect.
#[tokio::test]
async fn other_sessions_work_while_log_is_unavailable() {
    let scene = two_sessions().await;
    scene.refuse_log().await;
    scene.end(WhichSessions::One(id(1))).await.unwrap_err();
    for _ in 0..2 {
        assert!(scene.store.find(&scene.user, id(2)).await.unwrap().is_some());
        assert_eq!(scene.live().await, [id(2)]);
        scene.clock.advance(A_WHILE);
    }
    scene.clock.advance(MINUTE);
    let rotated = scene.store.rotate(&scene.rotation(2, 2)).await.unwrap();
    assert!(matches!(rotated, RotateOutcome::Live { record, .. } if record.generation == 3), "{rotated:?}");
    assert!(matches!(scene.store.put_data(&scene.put(2)).await.unwrap(), PutOutcome::Stored { .. }));
    scene.login(3).await;
    scene.allow_log().await;
    assert_eq!(scene.live().await, [id(2), id(3)]);
    assert_eq!(scene.published().await, [ended(1)]);
}

#[tokio::test]
async fn retry_completes_end_and_returns_ended_sessions() {
    for (which, expected) in [
        (WhichSessions::One(id(1)), vec![id(1)]),
        (WhichSessions::Proven(id(1)), vec![id(1)]),
        (WhichSessions::Others(id(2)), vec![id(1)]),
        (WhichSessions::All, vec![id(1), id(2)]),
    ] {
        let scene = two_sessions().await;
        scene.refuse_log().await;
        for _ in 0..3 {
            scene.end(which).await.unwrap_err();
        }
        scene.allow_log().await;
        let mut ended = scene.end(which).await.unwrap();
        ended.sort_unstable();
        assert_eq!(ended, expected);
        assert!(scene.end(which).await.unwrap().is_empty());
        assert_eq!(scene.published().await.len(), expected.len());
    }
}

#[tokio::test]
async fn end_of_lost_session_is_completed() {
    let scene = Scene::new().await;
    scene.refuse_log().await;
    scene.end(WhichSessions::Proven(id(7))).await.unwrap_err();
    scene.allow_log().await;
    scene.end(WhichSessions::Proven(id(7))).await.unwrap();
    scene.end(WhichSessions::Proven(id(7))).await.unwrap();
    assert_eq!(scene.published().await, [ended(7)]);
}

#[tokio::test]
async fn expired_access_is_published_by_later_step() {
    for later in ["find", "rotate", "put_data", "confirm", "list", "create", "end one", "expire_access"] {
        let scene = two_sessions().await;
        scene.refuse_log().await;
        scene.store.expire_access(&scene.user, HOUR).await.unwrap_err();
        let record = scene.store.find(&scene.user, id(1)).await.unwrap().unwrap().record;
        assert_eq!(record.epoch, 1, "a later publication expires new tokens");
        scene.allow_log().await;
        scene.clock.advance(MINUTE);
        match later {
            "find" => assert!(scene.store.find(&scene.user, id(1)).await.unwrap().is_some()),
            "rotate" => {
                let rotated = scene.store.rotate(&scene.rotation(1, 2)).await.unwrap();
                assert!(matches!(rotated, RotateOutcome::Live { .. }), "{rotated:?}");
            }
            "put_data" => drop(scene.store.put_data(&scene.put(1)).await.unwrap()),
            "end one" => drop(scene.end(WhichSessions::One(id(9))).await.unwrap()),
            later => {
                take_later_of_living(&scene, later).await;
            }
        }
        let epoch = if later == "expire_access" { 2 } else { 1 };
        let expected = [1, 2].map(|n| Revocation::new(id(n), epoch));
        let published = scene.published().await;
        assert!(expected.iter().all(|revocation| published.contains(revocation)), "{later}");
        assert_eq!(published.len(), 2, "{later}");
        assert_eq!(scene.pending().await, None);
    }
}

async fn take_later_of_living(scene: &Scene<'_>, later: &str) {
    match later {
        "confirm" => scene.store.confirm(&scene.user, id(1), 2).await.unwrap(),
        "list" => assert_eq!(scene.live().await, [id(1), id(2)]),
        "create" => scene.login(9).await,
        "expire_access" => assert_eq!(scene.store.expire_access(&scene.user, HOUR).await.unwrap().len(), 2),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn end_supersedes_unpublished_expired_access() {
    let scene = two_sessions().await;
    scene.refuse_log().await;
    scene.store.expire_access(&scene.user, HOUR).await.unwrap_err();
    scene.end(WhichSessions::One(id(1))).await.unwrap_err();
    scene.allow_log().await;
    assert_eq!(scene.end(WhichSessions::One(id(1))).await.unwrap(), [id(1)]);
    let published = scene.published().await;
    assert_eq!(published.len(), 2);
    assert!(published.contains(&ended(1)));
    assert!(published.contains(&Revocation::new(id(2), 1)));
}

/// The publishing node crashed before it could settle.
#[tokio::test]
async fn unsettled_end_is_published_again_without_reviving_session() {
    for how in ["one", "proven", "all", "reuse", "eviction"] {
        let scene = two_sessions().await;
        scene.refuse_log().await;
        take_ending(&scene, how).await;
        let flagged = scene.pending().await.expect("a pending end");
        scene.allow_log().await;
        take_later(&scene, "find").await;
        assert_eq!(ends_of(1, &scene.published().await), 1);
        scene.set_pending(&flagged).await;
        scene.clock.advance(A_WHILE);
        for _ in 0..3 {
            assert!(!scene.live().await.contains(&id(1)), "{how}");
            take_later(&scene, "rotate").await;
        }
        assert_eq!(ends_of(1, &scene.published().await), 2, "{how}: published once more");
        assert_eq!(scene.pending().await, None);
    }
}

#[tokio::test]
async fn only_published_ends_are_settled() {
    let scene = two_sessions().await;
    scene.refuse_log().await;
    scene.store.expire_access(&scene.user, HOUR).await.unwrap_err();
    let raised = scene.pending().await.expect("a pending end");
    scene.clock.advance(A_WHILE);
    scene.end(WhichSessions::One(id(1))).await.unwrap_err();
    assert_eq!(scene.pending().await.map(|pending| pending.len()), Some(raised.len()), "one entry for each session");
    scene.allow_log().await;
    // Leaves the end to the operation that may be completing it.
    scene.live().await;
    assert_eq!(scene.published().await, [Revocation::new(id(2), 1)]);
    assert!(scene.pending().await.is_some());
    take_later(&scene, "find").await;
    assert_eq!(ends_of(1, &scene.published().await), 1);
    assert_eq!(scene.pending().await, None);
}

/// The client of a failed login has no token of the new session, so the session must not count.
#[tokio::test]
async fn failed_login_leaves_no_session() {
    for how in ["eviction", "replacement"] {
        let scene = two_sessions().await;
        scene.refuse_log().await;
        assert!(!take_ending(&scene, how).await);
        scene.clock.advance(A_WHILE);
        assert_eq!(scene.live().await, [id(2)], "{how}");
        assert!(!scene.is_stored(id(3)).await);
        scene.allow_log().await;

        let mut again = scene.new_session(4);
        again.limit = Some(SessionLimit::refuse(2.try_into().unwrap()));
        again.replaces = Some(id(1));
        let outcome = scene.store.create(&again).await.unwrap();
        assert!(matches!(outcome, CreateOutcome::Created { .. }), "{outcome:?}");
        scene.clock.advance(A_WHILE);
        assert_eq!(scene.live().await, [id(2), id(4)], "{how}: the later session stays");
        assert_eq!(scene.published().await, [ended(1)]);
    }
}

/// Operations that expire access or publish pending ends do not know whether the login was completed.
#[tokio::test]
async fn failed_login_leaves_no_session_when_others_publish_its_ends() {
    for refuses in [true, false] {
        let scene = two_sessions().await;
        scene.refuse_log().await;
        assert!(!take_ending(&scene, "replacement").await);
        if !refuses {
            scene.allow_log().await;
        }
        assert_eq!(scene.store.expire_access(&scene.user, HOUR).await.is_err(), refuses);
        scene.allow_log().await;
        scene.clock.advance(A_WHILE);
        assert_eq!(scene.live().await, [id(2)]);
        assert_eq!(scene.pending().await, None);
    }
}

/// A login that replaces a session is reported as done when every node refuses that session, no matter which operation
/// ended it.
#[tokio::test]
async fn retried_login_publishes_end_of_replaced_session() {
    let scene = two_sessions().await;
    let login = async |n| {
        let mut new = scene.new_session(n);
        new.replaces = Some(id(1));
        scene.store.create(&new).await
    };
    scene.refuse_log().await;
    login(3).await.unwrap_err();
    login(4).await.unwrap_err();
    scene.clock.advance(A_WHILE);
    login(5).await.unwrap_err();
    scene.allow_log().await;
    let outcome = login(6).await.unwrap();
    assert!(matches!(&outcome, CreateOutcome::Created { ended, .. } if ended[..] == [id(1)]), "{outcome:?}");
    assert_eq!(scene.published().await, [ended(1)]);
    let outcome = login(7).await.unwrap();
    assert!(matches!(&outcome, CreateOutcome::Created { ended, .. } if ended.is_empty()), "{outcome:?}");
    scene.clock.advance(A_WHILE);
    assert_eq!(scene.live().await, [id(2), id(6), id(7)]);
    assert_eq!((scene.published().await, scene.pending().await), (vec![ended(1)], None));
}

#[tokio::test]
async fn login_that_ended_other_sessions_stays() {
    for how in ["eviction", "replacement"] {
        let scene = two_sessions().await;
        assert!(take_ending(&scene, how).await);
        scene.clock.advance(A_WHILE);
        assert_eq!(scene.live().await, [id(2), id(3)]);
        assert_eq!((scene.published().await, scene.pending().await), (vec![ended(1)], None));
    }
}

/// The handler is dropped halfway when the client closes the connection.
#[tokio::test]
async fn dropped_request_does_not_stop_publication() {
    let scene = two_sessions().await;
    {
        let end = std::pin::pin!(scene.end(WhichSessions::All));
        assert!(futures_util::poll!(end).is_pending());
    }
    let deadline = std::time::Instant::now() + crate::support::nodes::PATIENCE;
    while scene.published().await.len() < 2 || scene.pending().await.is_some() {
        assert!(std::time::Instant::now() < deadline, "the publication was stopped");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_ends_are_all_published_and_settled() {
    const SESSIONS: u8 = 40;
    let scene = Scene::new().await;
    for n in 0..SESSIONS {
        scene.login(n).await;
    }
    let ends = (0..SESSIONS).map(|n| scene.end(WhichSessions::One(id(n))));
    for (n, ended) in (0..).zip(futures_util::future::join_all(ends).await) {
        assert!(ended.unwrap().contains(&id(n)));
    }
    let published = scene.published().await;
    assert!((0..SESSIONS).all(|n| ends_of(n, &published) > 0));
    assert!(published.len() <= usize::from(SESSIONS) * usize::from(SESSIONS), "each at most once by each");
    scene.live().await;
    assert_eq!(scene.pending().await, None);
}

#[tokio::test]
async fn unreadable_fields_are_errors_and_stay() {
    let scene = two_sessions().await;
    for packed in [&b""[..], b"short", &[0; 35], &[0; 37]] {
        scene.set_pending(packed).await;
        scene.store.find(&scene.user, id(1)).await.unwrap_err();
        scene.end(WhichSessions::All).await.unwrap_err();
        assert_eq!(scene.pending().await.as_deref(), Some(packed));
    }
}
