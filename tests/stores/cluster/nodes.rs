//! Two nodes on one cluster: a session that ends on one is refused by the other.

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode};
use tower::ServiceExt as _;
use tower_jwt_sessions::{SessionManager, error::ErrorKind, policy::SessionLimit};

use crate::{
    cluster::scene::{MINUTE, Scene},
    support::{
        nodes::{accepts, browser, node, refuses_soon},
        patient::patient_store,
    },
};

struct Nodes {
    scene: Scene<'static>,
    here: SessionManager,
    there: SessionManager,
}

impl Nodes {
    async fn new() -> Self {
        let scene = Scene::new().await;
        let store = async || patient_store(&scene.servers.url(), &scene.prefix).await.with_clock(scene.clock.clone());
        let limit = SessionLimit::evict(3.try_into().unwrap());
        let build = |store| node(store).clock(scene.clock.clone()).session_limit(limit).build().unwrap();
        let (here, there) = (build(store().await), build(store().await));
        there.revocation_feed().caught_up().await;
        here.revocation_feed().caught_up().await;
        Self { scene, here, there }
    }

    async fn login(&self) -> HeaderMap {
        browser(self.here.login(self.scene.user.user_id()).await.unwrap())
    }

    /// Sends one request to the companion router.
    async fn send(&self, method: Method, path: &str, headers: &HeaderMap) -> StatusCode {
        let app: Router = Router::new().nest("/auth", self.here.router()).layer(self.here.layer());
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.headers_mut().extend(headers.clone());
        app.oneshot(request).await.unwrap().status()
    }
}

#[tokio::test]
async fn every_kind_of_end_reaches_other_node() {
    let nodes = Nodes::new().await;
    let Nodes { scene, here, there } = &nodes;

    let cookies = nodes.login().await;
    assert!(accepts(there, &cookies));
    let _removal = here.logout(&here.verifier().present(&cookies)).await.unwrap();
    assert!(!accepts(here, &cookies));
    refuses_soon(there, &cookies).await;

    let old = nodes.login().await;
    assert_eq!(here.expire_access(scene.user.user_id()).await.unwrap(), 1);
    refuses_soon(there, &old).await;
    let fresh = browser(there.refresh(&there.verifier().present(&old)).await.unwrap());
    assert!(accepts(here, &fresh) && accepts(there, &fresh));

    let replaced = browser(here.login(scene.user.user_id()).replacing(here.verifier().present(&fresh)).await.unwrap());
    refuses_soon(there, &fresh).await;
    for _ in 0..3 {
        scene.clock.advance(MINUTE / 10);
        nodes.login().await;
    }
    refuses_soon(there, &replaced).await;
    let last = nodes.login().await;
    assert_eq!(here.end_all(scene.user.user_id()).await.unwrap(), 3);
    refuses_soon(there, &last).await;
}

#[tokio::test]
async fn end_by_reuse_reaches_other_node() {
    let Nodes { scene, here, there } = Nodes::new().await;
    let stolen = browser(here.login(scene.user.user_id()).await.unwrap());
    scene.clock.advance(MINUTE);
    let newest = browser(here.refresh(&here.verifier().present(&stolen)).await.unwrap());
    let _cookies = here.refresh(&here.verifier().present(&newest)).await.unwrap();
    scene.clock.advance(MINUTE);
    assert!(accepts(&there, &newest));
    here.refresh(&here.verifier().present(&stolen)).await.unwrap_err();
    refuses_soon(&there, &newest).await;
}

#[tokio::test]
async fn unpublished_end_is_503_and_completed_by_retry() {
    for (method, path) in [(Method::POST, "/auth/logout"), (Method::POST, "/auth/logout-all")] {
        let nodes = Nodes::new().await;
        let Nodes { scene, here, there } = &nodes;
        let (cookies, other) = (nodes.login().await, nodes.login().await);
        scene.refuse_log().await;
        for _ in 0..2 {
            assert_eq!(nodes.send(method.clone(), path, &cookies).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert!(accepts(there, &cookies), "the end cannot have reached it");
        }
        let failure = there.refresh(&there.verifier().present(&cookies)).await.unwrap_err();
        assert_eq!(failure.kind(), ErrorKind::Store, "success before the end is published");
        scene.allow_log().await;
        // The retry finds that the session has ended, or ends it.
        let retried = nodes.send(method.clone(), path, &cookies).await;
        assert!(retried.is_success() || retried == StatusCode::UNAUTHORIZED, "{path}: {retried}");
        refuses_soon(there, &cookies).await;
        if path.ends_with("all") {
            refuses_soon(there, &other).await;
            assert!(!accepts(here, &other) || here.list(scene.user.user_id()).await.unwrap().is_empty());
        } else {
            assert!(accepts(there, &other));
        }
        assert_eq!(nodes.send(Method::POST, "/auth/refresh", &cookies).await, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn unpublished_expire_access_is_error_and_completed_by_refresh_elsewhere() {
    let Nodes { scene, here, there } = Nodes::new().await;
    let old = browser(here.login(scene.user.user_id()).await.unwrap());
    scene.refuse_log().await;
    assert_eq!(here.expire_access(scene.user.user_id()).await.unwrap_err().kind(), ErrorKind::Store);
    scene.allow_log().await;
    let fresh = browser(there.refresh(&there.verifier().present(&old)).await.unwrap());
    refuses_soon(&here, &old).await;
    refuses_soon(&there, &old).await;
    assert!(accepts(&here, &fresh) && accepts(&there, &fresh));
}

#[tokio::test]
async fn unreadable_log_entry_hides_no_end() {
    let nodes = Nodes::new().await;
    let Nodes { scene, here, there } = &nodes;
    let cookies = nodes.login().await;
    scene.append_to_log(&[b"\xff", b"\xfe"]).await;
    scene.append_to_log(&[b"r", b"short"]).await;
    let _removal = here.logout(&here.verifier().present(&cookies)).await.unwrap();
    refuses_soon(there, &cookies).await;
}

#[tokio::test]
async fn unpublished_end_is_completed_without_request() {
    let nodes = Nodes::new().await;
    let Nodes { scene, here, there } = &nodes;
    let cookies = nodes.login().await;
    scene.refuse_log().await;
    let failed = here.logout(&here.verifier().present(&cookies)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Store);
    assert!(accepts(there, &cookies), "the end cannot have reached it");
    scene.allow_log().await;
    refuses_soon(there, &cookies).await;
    refuses_soon(here, &cookies).await;
}
