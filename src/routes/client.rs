//! The router of the browser module: its script, the session that a request has, and a stream of what happens to it.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::get,
};
use futures_core::Stream;
use http::{HeaderMap, StatusCode, Uri, header, request::Parts};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{browser::authenticate, no_store, route::ClientRoute};
use crate::{
    auth::Session,
    claims::Claims,
    clock::Timestamp,
    manager::SessionManager,
    revocation::{Changed, SessionChange},
};

/// Shorter than the time after which proxies close silent connections, 30 seconds and more.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl<C: Claims> SessionManager<C> {
    /// Returns the routes of the browser module, the script in the folder `client` of the crate. They are not part of
    /// [`router`](Self::router): merge them into it where pages use the module.
    ///
    /// | route | success | needs |
    /// |---|---|---|
    /// | `GET /client.js` | the module, an ES module without dependencies | nothing |
    /// | `GET /session` | `{"user_id","session_id","auth_time","actor","bound","expires_in"}`, without asking the store | an access token |
    /// | `GET /events` | a stream of server-sent events about the session | an access token |
    ///
    /// `auth_time` is in seconds since the Unix epoch, `expires_in` in seconds. Errors are
    /// [`Problem`](crate::error::Problem) documents.
    ///
    /// # The module
    ///
    /// A page imports it from where the router is mounted. `script-src 'self'; connect-src 'self'` is all that it needs
    /// of a Content-Security-Policy.
    ///
    /// ```js
    /// import { createSession } from "/auth/client.js";
    ///
    /// const session = createSession({
    ///   base: "/auth",
    ///   onSignedIn: (info) => show(info.user_id),
    ///   onSignedOut: (reason) => showLogin(reason),
    /// });
    /// const response = await session.fetch("/notes"); // refreshes and repeats when the access token has expired
    /// ```
    ///
    /// Browsers keep the script and ask with its `ETag` whether it is still the same. With the version of this crate as
    /// its only parameter, as in `/auth/client.js?v=0.1.0`, they keep it for a year without asking; any other version is
    /// served as if there was none. The types are in `client/index.d.ts`.
    ///
    /// # The stream
    ///
    /// | event | data | |
    /// |---|---|---|
    /// | `session` | as `GET /session` | the first event |
    /// | `changed` | `{}` | the claims are out of date: refresh, and load again what depends on them |
    /// | `ended` | `{}` | the session has ended, on whichever node; the last event |
    /// | `alive` | `{}` | every 15 seconds, so that neither proxies nor clients take silence for the end of a connection |
    ///
    /// It costs what [`Session::changed`] costs. An open stream is no activity of the session, and no reason to keep a
    /// server up: it ends when the future that `stopping` returns resolves, and the module then connects to another
    /// node. Where the server is not shut down gracefully, pass [`std::future::pending`].
    ///
    /// ```
    /// use axum::Router;
    /// use tokio::sync::watch;
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// /// Streams end when the sender of `shutdown` is dropped.
    /// fn app(sessions: &SessionManager, shutdown: watch::Receiver<()>) -> Router {
    ///     let stopping = move || {
    ///         let mut shutdown = shutdown.clone();
    ///         async move { while shutdown.changed().await.is_ok() {} }
    ///     };
    ///     let auth = sessions.router().merge(sessions.client_router(stopping));
    ///     Router::new().nest("/auth", auth).layer(sessions.layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn client_router<S, F, Fut>(&self, stopping: F) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
        F: Fn() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let events = move |State(sessions): State<Self>, parts: Parts| {
            let stopping = stopping.clone();
            async move { events(&sessions, &parts, stopping) }
        };
        let serve = |router: Router<Self>, route: ClientRoute| match route {
            ClientRoute::Session => router.route(route.path(), get(session)),
            ClientRoute::Events => router.route(route.path(), get(events.clone())),
            ClientRoute::Script => router.route(route.path(), get(script)),
        };
        let private = ClientRoute::PRIVATE.into_iter().fold(Router::new(), serve).layer(map_response(no_store));
        ClientRoute::PUBLIC.into_iter().fold(private, serve).with_state(self.for_all_requests())
    }
}

async fn session<C: Claims>(State(sessions): State<SessionManager<C>>, parts: Parts) -> Response {
    match authenticate(&sessions, &parts) {
        Ok(session) => {
            let response = Json(document(&session)).into_response();
            #[cfg(feature = "dbsc")]
            let response = super::device::offering(response, &sessions, &session, &parts);
            response
        }
        Err(response) => *response,
    }
}

fn document<C>(session: &Session<C>) -> Value {
    json!({
        "user_id": session.user_id(),
        "session_id": session.id(),
        "auth_time": Timestamp::from(session.auth_time()).as_secs(),
        "actor": session.actor(),
        "bound": session.is_bound(),
        "expires_in": session.expires_in().as_secs(),
    })
}

fn events<C, Fut>(sessions: &SessionManager<C>, parts: &Parts, stopping: impl FnOnce() -> Fut) -> Response
where
    C: Claims,
    Fut: Future<Output = ()> + Send + 'static,
{
    let session = match authenticate(sessions, parts) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    // Ticks that were missed are not made up for at once.
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        first: Some(document(&session).to_string()),
        changed: session.changed(),
        stopping: Box::pin(stopping()),
        heartbeat,
        is_over: false,
    };
    let headers = [
        ("content-type", "text/event-stream"),
        // nginx and others would keep the events back until their buffer is full.
        ("x-accel-buffering", "no"),
    ];
    (headers, Body::from_stream(events)).into_response()
}

/// The body of a stream of events.
struct Events<Fut> {
    /// The data of the first event, until it was sent.
    first: Option<String>,
    changed: Changed,
    stopping: Pin<Box<Fut>>,
    heartbeat: Interval,
    is_over: bool,
}

impl<Fut: Future<Output = ()>> Stream for Events<Fut> {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = |name, data: &str| Poll::Ready(Some(Ok(format!("event: {name}\ndata: {data}\n\n"))));
        if self.is_over {
            return Poll::Ready(None);
        }
        if let Some(document) = self.first.take() {
            return event("session", &document);
        }
        // The end first: nothing follows it.
        match Pin::new(&mut self.changed).poll(cx) {
            Poll::Ready(SessionChange::AccessExpired) => return event("changed", "{}"),
            Poll::Ready(SessionChange::Ended) => {
                self.is_over = true;
                return event("ended", "{}");
            }
            Poll::Pending => {}
        }
        if self.stopping.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(None);
        }
        match self.heartbeat.poll_tick(cx) {
            Poll::Ready(_) => event("alive", "{}"),
            Poll::Pending => Poll::Pending,
        }
    }
}

const VERSION_PARAMETER: &str = concat!("v=", env!("CARGO_PKG_VERSION"));

/// The module as it is served, and its entity tag.
static SCRIPT: LazyLock<(String, String)> = LazyLock::new(|| {
    let script = without_comments(include_str!("../../client/index.js"));
    let tag = format!("\"{}-{:016x}\"", env!("CARGO_PKG_VERSION"), fnv1a(script.as_bytes()));
    (script, tag)
});

async fn script(headers: HeaderMap, uri: Uri) -> Response {
    let (script, tag) = &*SCRIPT;
    // Nodes of two releases run at the same time, so only the own version may be kept without asking.
    let cache_control = match uri.query() {
        Some(VERSION_PARAMETER) => "public, max-age=31536000, immutable",
        _ => "public, no-cache",
    };
    let validators = [(header::ETAG, tag.as_str()), (header::CACHE_CONTROL, cache_control)];
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|list| list.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag) {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let content = [("content-type", "text/javascript; charset=utf-8"), ("x-content-type-options", "nosniff")];
    (validators, content, script.as_str()).into_response()
}

/// Removes the comments, which stand on lines of their own, and the indentation.
fn without_comments(source: &str) -> String {
    let is_code =
        |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with("/*") && !line.starts_with('*');
    source.lines().map(str::trim).filter(is_code).flat_map(|line| [line, "\n"]).collect()
}

/// The FNV-1a hash: it tells two versions of the script apart, and protects nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
