//! One axum route in process: without a layer, with one that does nothing, and with the session layer and an extractor.
//! The benchmarks and the counts of instructions and allocations share it.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    task::{Context, Poll},
};

use aws_lc_rs::hmac;
use axum::{Extension, Router, body::Body, routing::get};
use axum_core::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use tower::Service;
use tower_jwt_sessions::{KeyRing, MemoryStore, Session, SessionManager, UserId};

pub const SECRET: [u8; 32] = [1; 32];

/// Five claims, one of which is a string: the type itself needs an allocation.
#[derive(Clone, Serialize, Deserialize)]
pub struct Claims {
    pub name: String,
    pub role: Role,
    pub tenant: u32,
    pub verified: bool,
    pub plan: Plan,
    /// Makes tokens longer; absent if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    Free,
    Pro,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Admin,
    Member,
}

/// What a browser sends, and the manager that receives it.
pub struct Subject {
    pub sessions: SessionManager<Claims>,
    pub access: String,
    refresh: String,
    mac: hmac::Key,
    tag: Vec<u8>,
}

impl Subject {
    /// Returns a manager with `revoked` ended sessions, and a login whose token is longer by `padding` bytes of JSON.
    pub async fn new(revoked: usize, padding: usize) -> Self {
        let claims = move |_: UserId| async move {
            Ok::<_, Infallible>(Some(Claims {
                name: "Alice".to_owned(),
                role: Role::Member,
                tenant: 4_711,
                verified: true,
                plan: Plan::Pro,
                text: "x".repeat(padding),
            }))
        };
        let sessions = SessionManager::<Claims>::builder()
            .access_keys(KeyRing::hs256(SECRET).expect("a long secret"))
            .refresh_keys(KeyRing::hs256([2; 32]).expect("a long secret"))
            .issuer("https://a.example")
            .session_limit(None)
            .store(MemoryStore::new())
            .claims_source(claims)
            .build()
            .expect("a configuration that works");
        for user in 0..revoked / 100 {
            for _ in 0..100 {
                let _cookies = sessions.login(user).await.expect("a login");
            }
            assert_eq!(sessions.end_all(user).await.expect("an end"), 100);
        }
        let response = sessions.login(4_711).await.expect("a login").into_response();
        let lines = response.headers().get_all(header::SET_COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs: Vec<&str> = lines.filter_map(|line| line.split(';').next()).collect();
        let value = |name| pairs.iter().find_map(|pair| pair.strip_prefix(name)).expect("both cookies").to_owned();
        let access: String = value("__Host-access=");
        let (_, signature) = access.rsplit_once('.').expect("a token of three parts");
        let tag = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let mac = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
        let subject = Self { sessions, refresh: value("__Host-refresh="), mac, tag, access };
        assert!(subject.hmac());
        subject
    }

    /// The unavoidable part: the HMAC of the same bytes with a prepared key.
    pub fn hmac(&self) -> bool {
        let signed = self.access.rsplit_once('.').map_or("", |(signed, _)| signed);
        hmac::verify(&self.mac, std::hint::black_box(signed).as_bytes(), &self.tag).is_ok()
    }

    /// Both cookies, after so many `others`.
    pub fn good(&self, others: usize) -> HeaderMap {
        let others: String = (0..others).map(|n| format!("other-{n}=a-value-of-the-usual-length-{n}; ")).collect();
        headers(&format!("{others}__Host-access={}; __Host-refresh={}", self.access, self.refresh))
    }

    /// The same with another last letter of the claims.
    pub fn forged(&self) -> HeaderMap {
        let (signed, signature) = self.access.rsplit_once('.').expect("a token of three parts");
        let (kept, last) = signed.split_at(signed.len() - 1);
        let other = if last == "A" { "B" } else { "A" };
        headers(&format!("__Host-access={kept}{other}.{signature}; __Host-refresh={}", self.refresh))
    }

    /// As long as a token, and not a token.
    pub fn garbage(&self) -> HeaderMap {
        headers(&format!("__Host-access={}; __Host-refresh={}", "x".repeat(self.access.len()), self.refresh))
    }
}

/// Headers with this cookie and two others that most requests have.
pub fn headers(cookie: &str) -> HeaderMap {
    let mut headers = anonymous();
    headers.insert(header::COOKIE, HeaderValue::from_str(cookie).expect("cookies are ASCII"));
    headers
}

/// Headers without a cookie.
pub fn anonymous() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("a.example"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers
}

async fn bare() -> &'static str {
    "hello"
}

async fn me(session: Session<Claims>) -> &'static str {
    std::hint::black_box(session.user_id());
    "hello"
}

async fn greet(session: Option<Session<Claims>>) -> &'static str {
    std::hint::black_box(session.is_some());
    "hello"
}

/// Each caller gives it its state, as servers do: without it, axum builds every layer again for every request.
fn routes() -> Router {
    Router::new().route("/bare", get(bare)).route("/me", get(me)).route("/greet", get(greet))
}

/// The bare routes.
pub fn without_layer() -> Router {
    routes().with_state(())
}

/// The routes under a layer that does nothing, which shows what axum takes for any layer.
pub fn passing_through() -> Router {
    routes().layer(tower::layer::layer_fn(PassThrough)).with_state(())
}

/// The routes under the session layer.
pub fn with_sessions(sessions: &SessionManager<Claims>) -> Router {
    routes().layer(sessions.layer()).with_state(())
}

/// A router with the client's address in the extensions, as with `into_make_service_with_connect_info`: their table has
/// grown before the layer uses it.
pub fn served(router: Router) -> Router {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
    router.layer(Extension(client)).with_state(())
}

#[derive(Clone)]
struct PassThrough<S>(S);

impl<S: Service<Request<Body>>> Service<Request<Body>> for PassThrough<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

/// Sends one request and returns the status, without a runtime: nothing on the path waits.
pub fn call(router: &mut Router, path: &'static str, headers: &HeaderMap) -> StatusCode {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    *request.headers_mut() = headers.clone();
    let response: Option<Result<Response<Body>, Infallible>> = router.call(request).now_or_never();
    response.expect("nothing waits").expect("nothing fails").status()
}
