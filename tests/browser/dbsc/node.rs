//! A node that binds sessions, over https and with the clock of the test, and a program that sends it requests.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{Html, Response},
    routing::{get, post},
};
use http::{HeaderMap, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::sleep};
use tower_jwt_sessions::{
    Error, KeyRing, Session, SessionCookies, SessionManager, dbsc::DeviceBinding, redis::RedisStore, testing::TestClock,
};
use ureq::{
    Agent,
    tls::{TlsConfig, TlsProvider},
};

use crate::{
    chromium::{AGAIN, SOON},
    redis_server::RedisServer,
    tls::Certificate,
};

/// A request that was answered.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) status: u16,
    /// Whether it came with a signature.
    pub(super) is_signed: bool,
    /// Why the browser did not refresh before it, as it says.
    pub(super) skipped: String,
}

pub(super) struct Node {
    pub(super) url: String,
    /// The hash of the key of its certificate.
    pub(super) spki: String,
    pub(super) clock: TestClock,
    pub(super) redis: RedisServer,
    pub(super) sessions: SessionManager,
    seen: Log,
    _running: watch::Sender<()>,
}

type Log = Arc<Mutex<Vec<Seen>>>;

fn log(seen: &Log) -> MutexGuard<'_, Vec<Seen>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Serves a site of this host.
    pub(super) async fn serve(host: &str, certificate: &Certificate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("https://{host}:{}", listener.local_addr().expect("an address").port());
        let clock = TestClock::new();
        let redis = RedisServer::start();
        let store = RedisStore::connect(&redis.url()).await.expect("the server runs").with_clock(clock.clone());
        let sessions = SessionManager::builder()
            .access_keys(KeyRing::hs256("the secret of access tokens in this test").expect("a key"))
            .refresh_keys(KeyRing::hs256("the secret of refresh tokens in this test").expect("a key"))
            .issuer("https://app.test")
            .own_origin(&url)
            .device_binding(DeviceBinding::new())
            .clock(clock.clone())
            .store(store)
            .build()
            .expect("a manager");
        sessions.revocation_feed().caught_up().await;
        let seen = Log::default();
        let (running, stopping) = watch::channel(());
        let app = app(&sessions, stopping).layer(middleware::from_fn_with_state(Arc::clone(&seen), note));
        let listener = certificate.listen(listener).expect("a listener");
        tokio::spawn(axum::serve(listener, app).into_future());
        Self { url, spki: certificate.spki().to_owned(), clock, redis, sessions, seen, _running: running }
    }

    /// The answers to requests for this path.
    pub(super) fn seen(&self, path: &str) -> Vec<Seen> {
        log(&self.seen).iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// How often a request for this path was answered like this.
    pub(super) fn count(&self, path: &str, status: u16) -> usize {
        self.seen(path).iter().filter(|seen| seen.status == status).count()
    }

    /// Waits for an answer to a request that the browser sends by itself.
    pub(super) async fn until(&self, path: &str, status: u16) {
        let begun = Instant::now();
        while self.count(path, status) == 0 {
            assert!(begun.elapsed() < SOON, "{path} was not answered with {status}: {:#?}", log(&self.seen));
            sleep(AGAIN).await;
        }
    }
}

fn app(sessions: &SessionManager, stopping: watch::Receiver<()>) -> Router {
    async fn login(State(sessions): State<SessionManager>) -> Result<SessionCookies, Error> {
        sessions.login("alice").await
    }
    async fn me(session: Session) -> Json<Value> {
        Json(json!({ "user": session.user_id(), "bound": session.is_bound() }))
    }
    let stopped = move || {
        let mut stopping = stopping.clone();
        async move { while stopping.changed().await.is_ok() {} }
    };
    Router::new()
        .route("/", get(|| async { Html("<!doctype html><title>A page</title><link rel=icon href=data:,>") }))
        .route("/login", post(login))
        .route("/me", get(me))
        .nest("/auth", sessions.router().merge(sessions.client_router(stopped)))
        .layer(sessions.layer())
        .with_state(sessions.clone())
}

async fn note(State(seen): State<Log>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let text =
        |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    let is_signed = request.headers().contains_key("secure-session-response");
    let skipped = text(request.headers(), "secure-session-skipped").unwrap_or_default();
    let response = next.run(request).await;
    log(&seen).push(Seen { path, status: response.status().as_u16(), is_signed, skipped });
    response
}

/// A program on another computer that has a copy of the cookies of a browser.
pub(super) struct Thief {
    agent: Agent,
    url: String,
    jar: String,
}

impl Thief {
    pub(super) fn with(url: &str, cookies: &[Value]) -> Self {
        let pairs: Vec<String> = cookies
            .iter()
            .map(|cookie| format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap()))
            .collect();
        let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            // The certificate is that of a test, which no authority has signed.
            .disable_verification(true)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(60)))
            .tls_config(tls)
            .build();
        Self { agent: config.into(), url: url.to_owned(), jar: pairs.join("; ") }
    }

    /// Sends a request with all cookies, and returns status and body of the response.
    pub(super) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        request = request.header(header::COOKIE, &self.jar).header(header::ACCEPT, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(String::new()).expect("a request")).expect("a response");
        let body = response.body_mut().read_to_string().expect("a body of text");
        (response.status().as_u16(), body)
    }
}
