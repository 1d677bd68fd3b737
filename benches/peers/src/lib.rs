//! One small app, written with each of several crates: `POST /login` creates a session for a user with five claims,
//! `GET /me` reads it and uses one of them.

mod hand_written;
mod ours;
mod session_crates;

use std::{error::Error, net::SocketAddr};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderValue, Method, Request, StatusCode, header},
    response::Response,
    routing::get,
};
use serde::{Deserialize, Serialize};
use tower::{Service, ServiceExt as _, layer::layer_fn};

pub use self::ours::bare_hmac;

/// Any error.
pub type BoxError = Box<dyn Error + Send + Sync>;

const SECRET: [u8; 32] = [1; 32];
const ISSUER: &str = "https://app.example";
const ROLE: &str = "administrator";

/// The user who is logged in, the same for all apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct User {
    name: String,
    role: String,
    tenant: u64,
    verified: bool,
    groups: Vec<String>,
}

fn alice() -> User {
    User {
        name: "Alice Liddell".to_owned(),
        role: ROLE.to_owned(),
        tenant: 4_711,
        verified: true,
        groups: vec!["staff".to_owned(), "chess".to_owned()],
    }
}

/// The response of `GET /me`.
fn page(role: &str) -> &'static str {
    if role == ROLE { "an administrator" } else { "a user" }
}

/// An app, and the cookies of a user who is logged in there.
pub struct Peer {
    pub name: &'static str,
    pub app: Router,
    pub cookies: HeaderValue,
}

impl Peer {
    /// Logs in over HTTP, as a browser does, and checks that the cookies work.
    async fn new(name: &'static str, app: Router) -> Result<Self, BoxError> {
        let mut peer = Self { name, app, cookies: HeaderValue::from_static("") };
        let login = peer.request(Method::POST, "/login");
        let response = peer.app.clone().oneshot(login).await?;
        let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
        peer.cookies = pairs.join("; ").parse()?;
        let response = peer.app.clone().oneshot(peer.me()).await?;
        if response.status() != StatusCode::OK {
            return Err(format!("{name} responds with {} to {:?}", response.status(), peer.cookies).into());
        }
        Ok(peer)
    }

    fn request(&self, method: Method, path: &'static str) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = axum::http::Uri::from_static(path);
        request.headers_mut().insert(header::COOKIE, self.cookies.clone());
        // Servers insert it if the app needs it.
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
        request
    }

    /// Returns the request that is measured.
    pub fn me(&self) -> Request<Body> {
        self.request(Method::GET, "/me")
    }

    /// Sends a request.
    pub async fn call(app: &mut Router, request: Request<Body>) -> Response {
        let Ok(response) = Service::call(app, request).await;
        response
    }
}

/// Returns the apps that need no server; the first two are the reference for the others.
pub async fn in_process() -> Result<Vec<Peer>, BoxError> {
    // Unused, but `Peer::new` logs in to every app.
    let bare = || Router::new().route("/me", get(async || page(ROLE))).route("/login", get(async || ()));
    let ours = Peer::new("tower-jwt-sessions", ours::app(0).await?).await?;
    // All send the same request.
    let with_cookies = |name, app| Peer { name, app, cookies: ours.cookies.clone() };
    Ok(vec![
        with_cookies("bare route", bare()),
        with_cookies("bare route under a layer that does nothing", bare().layer(layer_fn(PassThrough))),
        Peer::new("tower-jwt-sessions, 100,000 revocations", ours::app(100_000).await?).await?,
        ours,
        Peer::new("jsonwebtoken, by hand", hand_written::app()).await?,
        Peer::new("tower-sessions, memory", session_crates::tower_sessions_in_memory()).await?,
        Peer::new("session-guard, memory", session_crates::session_guard_in_memory()).await?,
        Peer::new("axum_session, memory", session_crates::axum_session_in_memory().await?).await?,
    ])
}

/// Returns the apps that keep their sessions in this Redis.
pub async fn on_redis(url: &str) -> Result<Vec<Peer>, BoxError> {
    Ok(vec![
        Peer::new("tower-jwt-sessions on Redis", ours::on_redis(url).await?).await?,
        Peer::new("tower-sessions on Redis", session_crates::tower_sessions_on_redis(url).await?).await?,
        Peer::new("session-guard on Redis", session_crates::session_guard_on_redis(url).await?).await?,
    ])
}

/// Returns the median.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A layer that does nothing: shows what axum takes for any layer.
#[derive(Clone)]
struct PassThrough<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}
