//! Promises that were once found broken: each test says what should be.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use tower::ServiceExt as _;
use tower_jwt_sessions::{
    KeyRing, MemoryStore, SessionId, SessionManager, UserId,
    auth::VerifyError,
    clock::Timestamp,
    error::ErrorKind,
    manager::SessionManagerBuilder,
    revocation::FeedStatus,
    store::{
        CreateOutcome, EndSessions, FoundSession, LogPage, LogPosition, NewSession, Owner, PutData, PutOutcome,
        RotateOutcome, RotateSession, SessionData, SessionList, SessionStore, StoreError,
    },
    testing::TestClock,
};

use crate::support::cookies::browser;

fn builder<C>() -> SessionManagerBuilder<C>
where
    C: serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    SessionManager::<C>::builder()
        .access_keys(KeyRing::hs256([1; 32]).unwrap())
        .refresh_keys(KeyRing::hs256([2; 32]).unwrap())
        .issuer("https://app.test")
}

/// A store in memory with faults.
#[derive(Default)]
struct Faulty {
    store: MemoryStore,
    /// Reading the log hangs, or panics from the second time on.
    log: Log,
    reads: Arc<AtomicUsize>,
    end_fails: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Log {
    #[default]
    Good,
    Hangs,
    Panics,
}

impl SessionStore for Faulty {
    async fn create(&self, new: &NewSession) -> Result<CreateOutcome, StoreError> {
        self.store.create(new).await
    }
    async fn find(&self, owner: &Owner, id: SessionId) -> Result<Option<FoundSession>, StoreError> {
        self.store.find(owner, id).await
    }
    async fn rotate(&self, rotation: &RotateSession) -> Result<RotateOutcome, StoreError> {
        self.store.rotate(rotation).await
    }
    async fn confirm(&self, owner: &Owner, id: SessionId, generation: u32) -> Result<(), StoreError> {
        self.store.confirm(owner, id, generation).await
    }
    async fn end(&self, end: &EndSessions) -> Result<Vec<SessionId>, StoreError> {
        if self.end_fails.load(Ordering::SeqCst) {
            return Err(StoreError::new("ending sessions", "down"));
        }
        self.store.end(end).await
    }
    async fn list(&self, owner: &Owner) -> Result<SessionList, StoreError> {
        self.store.list(owner).await
    }
    async fn expire_access(&self, owner: &Owner, retention: Duration) -> Result<Vec<(SessionId, u32)>, StoreError> {
        self.store.expire_access(owner, retention).await
    }
    async fn get_data(&self, owner: &Owner, id: SessionId) -> Result<Option<SessionData>, StoreError> {
        self.store.get_data(owner, id).await
    }
    async fn put_data(&self, put: &PutData) -> Result<PutOutcome, StoreError> {
        self.store.put_data(put).await
    }
    async fn read_log(&self, after: LogPosition, wait: Duration) -> Result<LogPage, StoreError> {
        let reads = self.reads.fetch_add(1, Ordering::SeqCst);
        match self.log {
            Log::Hangs => std::future::pending().await,
            Log::Panics if reads > 0 => panic!("a bug in somebody's store"),
            Log::Good | Log::Panics => self.store.read_log(after, wait).await,
        }
    }
    fn started_at(&self) -> Option<Timestamp> {
        (self.log != Log::Hangs).then(|| self.store.started_at()).flatten()
    }
}

/// A follower that is gone must not be `Live` for ever.
#[tokio::test]
async fn feed_without_follower_is_not_up_to_date() {
    let store = Faulty { log: Log::Panics, ..Faulty::default() };
    let reads = Arc::clone(&store.reads);
    let sessions = builder::<()>().store(store).build().unwrap();
    while reads.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_ne!(
        sessions.revocation_feed().status(),
        FeedStatus::UpToDate,
        "nobody reads the log any more, and nobody says so"
    );
}

/// The same with a runtime that is gone: nothing reads the log, `status` says that everything is known.
#[test]
fn feed_without_runtime_is_not_up_to_date() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let sessions = first.block_on(async { builder::<()>().store(MemoryStore::new()).build().unwrap() });
    drop(first);
    assert_ne!(sessions.revocation_feed().status(), FeedStatus::UpToDate);
}

/// A policy that refuses sessions must not be passed by asking for `PresentedTokens` instead.
#[tokio::test]
async fn presented_tokens_hide_session_refused_by_stale_policy() {
    let store = Faulty { log: Log::Hangs, ..Faulty::default() };
    let sessions = builder::<()>().store(store).build().unwrap();
    let headers = browser(sessions.login("alice").await.unwrap());
    assert_eq!(sessions.verifier().verify(&headers).err(), Some(VerifyError::RevocationsUnknown));
    assert!(sessions.verifier().present(&headers).session().is_none());
}

/// A source that fails is answered with 503, and nothing is burned. After `expire_access` a refresh asks the source
/// twice, and the second time stands after the rotation.
#[tokio::test]
async fn claims_source_failing_after_rotation_keeps_refresh_token() {
    let clock = TestClock::new();
    let (calls, is_down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let source = {
        let (calls, is_down) = (Arc::clone(&calls), Arc::clone(&is_down));
        move |_: UserId| {
            let call = calls.fetch_add(1, Ordering::SeqCst);
            let failed = call >= 2 && is_down.load(Ordering::SeqCst);
            async move { if failed { Err(io::Error::other("down")) } else { Ok(Some(())) } }
        }
    };
    let sessions = builder::<()>()
        .store(MemoryStore::with_clock(clock.clone()))
        .clock(clock.clone())
        .claims_source(source)
        .build()
        .unwrap();
    let headers = browser(sessions.login("alice").await.unwrap());
    sessions.expire_access("alice").await.unwrap();
    let presented = sessions.verifier().present(&headers);
    assert_eq!(sessions.refresh(&presented).await.unwrap_err().kind(), ErrorKind::ClaimsSource);

    // The user database is away for eleven seconds, one more than the replay window.
    clock.advance(Duration::from_secs(11));
    is_down.store(false, Ordering::SeqCst);
    let again = sessions.refresh(&presented).await;
    assert!(again.is_ok(), "an honest user is taken for a thief: {again:?}");
}

/// A login that is answered with an error must leave no session behind.
#[tokio::test]
async fn login_failing_after_creation_leaves_no_session() {
    let calls = Arc::new(AtomicUsize::new(0));
    let source = {
        let calls = Arc::clone(&calls);
        move |_: UserId| {
            let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
            async move { Ok::<_, io::Error>(first.then_some(())) }
        }
    };
    let sessions = builder::<()>().store(MemoryStore::new()).claims_source(source).build().unwrap();
    sessions.expire_access("alice").await.unwrap();
    assert_eq!(sessions.login("alice").await.unwrap_err().kind(), ErrorKind::UserNotFound);
    assert_eq!(sessions.list("alice").await.unwrap(), []);
}

/// The router is for `.nest(…)` anywhere, also below a path with a parameter.
#[tokio::test]
async fn router_nests_below_path_parameter() {
    let sessions = builder::<()>().store(MemoryStore::new()).build().unwrap();
    let headers = browser(sessions.login("alice").await.unwrap());
    let id = sessions.verifier().verify(&headers).unwrap().id();
    let app: Router = Router::new().nest("/{tenant}/auth", sessions.router());
    let mut request = Request::delete(format!("/acme/auth/sessions/{id}")).body(Body::empty()).unwrap();
    *request.headers_mut() = headers;
    assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

/// "never claims success": a logout that could not tell which session it is for must not say that it is done.
#[tokio::test]
async fn logout_with_duplicate_cookies_ends_session_or_fails() {
    let sessions = builder::<()>().store(MemoryStore::new()).build().unwrap();
    let headers = browser(sessions.login("alice").await.unwrap());
    let line = headers[header::COOKIE].to_str().unwrap();
    let app: Router = sessions.router();
    let doubled = Request::post("/logout").header(header::COOKIE, format!("{line}; {line}"));
    let answer = app.oneshot(doubled.body(Body::empty()).unwrap()).await.unwrap();
    let lives = sessions.verifier().verify(&headers).is_ok();
    assert!(!(answer.status().is_success() && lives), "200 and removed cookies, but the session lives");
}

/// "Never claims success when the store failed", and "completed by its retry": the first attempt makes this node refuse
/// the access token, so the second one presents nothing. So it is for a logout route that the refresh cookie does not
/// reach (`refresh_path`).
#[tokio::test]
async fn failed_logout_by_access_token_is_completed_by_retry() {
    let store = Faulty::default();
    let end_fails = Arc::clone(&store.end_fails);
    let sessions = builder::<()>().store(store).build().unwrap();
    let both = browser(sessions.login("alice").await.unwrap());
    let access = both[header::COOKIE].to_str().unwrap().split("; ").next().unwrap();
    let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(access).unwrap())]);

    end_fails.store(true, Ordering::SeqCst);
    let first = sessions.logout(&sessions.verifier().present(&headers)).await;
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Store);
    end_fails.store(false, Ordering::SeqCst);
    let second = sessions.logout(&sessions.verifier().present(&headers)).await;
    let lives = !sessions.list("alice").await.unwrap().is_empty();
    assert!(!(second.is_ok() && lives), "the logout says that it is done, and the session lives in the store");
}

/// "Expired sessions are dropped as new ones come; memory is bounded by twice the number of live sessions."
#[tokio::test]
async fn memory_store_removes_expired_sessions() {
    let clock = TestClock::new();
    let store = MemoryStore::with_clock(clock.clone());
    let sessions = builder::<()>().store(store.clone()).clock(clock.clone()).build().unwrap();
    for user in 0..1000 {
        let _cookies = sessions.login(user).await.unwrap();
    }
    // Sweeps while all of them live.
    for _ in 0..5 {
        let _cookies = sessions.login("alice").await.unwrap();
    }
    clock.advance(Duration::from_secs(365 * 24 * 3600));
    for _ in 0..10 {
        let _cookies = sessions.login("alice").await.unwrap();
    }
    assert_eq!(format!("{store:?}"), "MemoryStore { sessions: 10, .. }");
}

/// The README: "misconfiguration is an error at start that names the cure". Its own program ends with `?` in `main`,
/// and what Rust prints then is `Debug`.
#[test]
fn config_error_debug_names_help() {
    let error: Box<dyn std::error::Error> = KeyRing::hs256("short").unwrap_err().into();
    assert!(format!("{error:?}").contains("openssl rand"), "{error:?}");
}
