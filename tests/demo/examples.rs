//! The small examples: each is compiled into this test, and its main routes are called.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, body::Body, response::Response};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use sha2::Sha256;
use tower::ServiceExt as _;
use tower_jwt_sessions::{keys::SigningKey, redis::RedisStore, testing::conformance};
use tungstenite::{Message, client::IntoClientRequest as _};

use crate::redis_server::RedisServer;

macro_rules! examples {
    ($($name:ident in $path:literal,)*) => {$(
        #[allow(dead_code, reason = "main is not called")]
        #[path = $path]
        pub(crate) mod $name;
    )*};
}
examples! {
    custom_store in "../../examples/custom_store.rs",
    key_rotation in "../../examples/key_rotation.rs",
    migrate_from_jsonwebtoken in "../../examples/migrate_from_jsonwebtoken.rs",
    minimal in "../../examples/minimal.rs",
    native_client in "../../examples/native_client.rs",
    oauth_login in "../../examples/oauth_login.rs",
    redis in "../../examples/redis.rs",
    spa in "../../examples/spa.rs",
    verify_only in "../../examples/verify_only.rs",
    websocket in "../../examples/websocket.rs",
}

#[cfg(feature = "metrics")]
examples! {
    metrics in "../../examples/metrics.rs",
}
#[cfg(feature = "utoipa")]
examples! {
    openapi in "../../examples/openapi.rs",
}

pub(crate) const JWT: &str = "a secret of thirty-two bytes or more";
pub(crate) const REFRESH: &str = "another secret of thirty-two bytes or more";
const ALICE: &str = r#"{"username":"alice","password":"wonderland"}"#;

/// A client that keeps cookies.
pub(crate) struct Client {
    pub(crate) app: Router,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Client {
    pub(crate) fn of(app: Router) -> Self {
        Self { app, cookies: BTreeMap::new() }
    }

    /// Returns a client with the same cookies at another service.
    fn at(&self, app: &Router) -> Self {
        Self { app: app.clone(), cookies: self.cookies.clone() }
    }

    fn cookie_header(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> (StatusCode, String) {
        self.send(Request::post(path), Body::empty()).await
    }

    async fn post_json(&mut self, path: &str, body: &str) -> (StatusCode, String) {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request, Body::from(body.to_owned())).await
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> (StatusCode, String) {
        let response = self.exchange(request, body).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    pub(crate) async fn get_response(&mut self, path: &str) -> Response {
        self.exchange(Request::get(path), Body::empty()).await
    }

    async fn exchange(&mut self, request: http::request::Builder, body: Body) -> Response {
        let request = request.header(header::COOKIE, self.cookie_header()).header(header::HOST, "localhost:3000");
        let response = self.app.clone().oneshot(request.body(body).expect("a request")).await.expect("a response");
        for line in response.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("text");
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            match line.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        response
    }
}

#[tokio::test]
async fn minimal_logs_in_refreshes_and_logs_out() {
    let mut client = Client::of(minimal::app(minimal::sessions(JWT, REFRESH).expect("a manager")));
    let wrong = r#"{"username":"alice","password":"looking-glass"}"#;
    assert_eq!(client.get("/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(client.post_json("/login", wrong).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(client.get("/").await, (StatusCode::OK, "Hello world\n".into()));
    assert_eq!(client.post_json("/login", ALICE).await.0, StatusCode::OK);
    assert_eq!(client.get("/me").await, (StatusCode::OK, "alice is admin\n".into()));
    assert_eq!(client.get("/").await, (StatusCode::OK, "Hello alice\n".into()));
    assert_eq!(client.post("/auth/refresh").await.0, StatusCode::OK);
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    assert_eq!(client.get("/me").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn redis_shares_sessions_between_nodes() {
    let server = RedisServer::start();
    let node = async || {
        let store = RedisStore::connect(&server.url()).await.expect("a connection");
        let sessions = redis::sessions(store, JWT, REFRESH).expect("a manager");
        sessions.revocation_feed().caught_up().await;
        redis::app(sessions)
    };
    let (first, second) = (node().await, node().await);
    let mut client = Client::of(first);
    assert_eq!(client.post("/login/alice").await.0, StatusCode::OK);
    let mut stolen = client.at(&second);
    assert_eq!(stolen.get("/me").await, (StatusCode::OK, "alice\n".into()));
    assert_eq!(stolen.get("/ready").await.0, StatusCode::OK);
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    while stolen.get("/me").await.0 != StatusCode::UNAUTHORIZED {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn native_client_refreshes_and_revokes_tokens() {
    let mut client = Client::of(native_client::app(native_client::sessions(JWT, REFRESH).expect("a manager")));
    let (status, tokens) = client.post_json("/login", ALICE).await;
    assert_eq!((status, client.cookies.len()), (StatusCode::OK, 0), "{tokens}");
    let tokens: serde_json::Value = serde_json::from_str(&tokens).expect("JSON");
    let token = |name: &str| tokens[name].as_str().expect("a token").to_owned();
    let me = || Request::get("/me").header(header::AUTHORIZATION, format!("Bearer {}", token("access_token")));
    assert_eq!(client.send(me(), Body::empty()).await, (StatusCode::OK, "alice\n".into()));

    let form = |path: &str, form: String| {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        (request, Body::from(form))
    };
    let refresh = format!("grant_type=refresh_token&refresh_token={}", token("refresh_token"));
    let (request, body) = form("/oauth/token", refresh);
    let (status, refreshed) = client.send(request, body).await;
    assert!(status == StatusCode::OK && refreshed.contains("access_token"), "{status} {refreshed}");
    let (request, body) = form("/oauth/revoke", format!("token={}", token("refresh_token")));
    assert_eq!(client.send(request, body).await.0, StatusCode::OK);
    assert_eq!(client.send(me(), Body::empty()).await.0, StatusCode::UNAUTHORIZED);
}

/// Covers the example `verify_only`, too, which needs the keys that the other publishes.
#[tokio::test]
async fn key_rotation_keeps_sessions_and_publishes_next_key() {
    let sessions = key_rotation::sessions(JWT, REFRESH).expect("a manager");
    let next = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key").serialize_pem();
    let next = SigningKey::eddsa_pem(next).expect("a signing key");
    let mut client = Client::of(key_rotation::app(sessions.clone()));
    assert_eq!(client.post("/login").await.0, StatusCode::OK);
    assert_eq!(client.get("/auth/jwks.json").await.0, StatusCode::NOT_FOUND);
    assert!(key_rotation::activate(&sessions, next.clone()).is_err(), "an unpublished key is activated");

    key_rotation::publish(&sessions, &next).expect("a published key");
    let (status, jwks) = client.get("/auth/jwks.json").await;
    assert_eq!(status, StatusCode::OK);
    let reports = verify_only::app(&verify_only::verifier(&jwks).expect("a verifier"));
    assert_eq!(client.at(&reports).get("/report").await.0, StatusCode::UNAUTHORIZED, "signed with the secret");

    key_rotation::activate(&sessions, next).expect("an active key");
    assert_eq!(client.get("/me").await.0, StatusCode::OK, "a token of the old key is refused");
    assert_eq!(client.post("/auth/refresh").await.0, StatusCode::OK);
    assert_eq!(client.get("/me").await.0, StatusCode::OK);
    assert_eq!(client.at(&reports).get("/report").await, (StatusCode::OK, "report for alice\n".into()));
}

#[tokio::test]
async fn websocket_closes_when_its_session_ends() {
    let app = websocket::app(websocket::sessions(JWT, REFRESH).expect("a manager"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(axum::serve(listener, app.clone()).into_future());
    let mut client = Client::of(app);
    assert_eq!(client.get("/").await.0, StatusCode::OK);
    assert_eq!(client.send(Request::builder().method(Method::GET).uri("/echo"), Body::empty()).await.0.as_u16(), 401);
    assert_eq!(client.post("/login").await.0, StatusCode::OK);

    let mut request = format!("ws://{address}/echo").into_client_request().expect("a request");
    let cookies = HeaderValue::from_str(&client.cookie_header()).expect("a header");
    request.headers_mut().insert(header::COOKIE, cookies);
    let socket = tokio::task::spawn_blocking(move || {
        let (mut socket, _) = tungstenite::connect(request).expect("a WebSocket");
        socket.send(Message::text("hello")).expect("a sent message");
        assert_eq!(socket.read().expect("a response"), Message::text("hello"));
        socket
    });
    let mut socket = socket.await.expect("the echo");
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    let closed = tokio::task::spawn_blocking(move || socket.read().expect("a close frame"));
    let Message::Close(Some(frame)) = closed.await.expect("a closed socket") else { panic!("no close frame") };
    assert_eq!(u16::from(frame.code), 4401);
}

#[tokio::test]
async fn custom_store_serves_logins_and_logouts() {
    let store = custom_store::TableStore::new(tower_jwt_sessions::clock::SystemClock);
    let mut client = Client::of(custom_store::app(custom_store::sessions(store, JWT, REFRESH).expect("a manager")));
    assert_eq!(client.post("/login").await.0, StatusCode::OK);
    let (status, list) = client.get("/auth/sessions").await;
    assert!(status == StatusCode::OK && list.contains(r#""current":true"#), "{status} {list}");
    let mut stolen = client.at(&client.app);
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    assert_eq!(stolen.get("/auth/sessions").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn custom_store_conforms() {
    conformance::run(async |clock| custom_store::TableStore::new(clock)).await;
}

#[tokio::test]
async fn spa_serves_page_and_session_calls() {
    let mut client = Client::of(spa::app(spa::sessions(JWT, REFRESH).expect("a manager")));
    let page = client.get("/").await.1;
    let script = client.get("/app.js").await.1;
    // The page has what the script looks for, and the router each path that it calls.
    let ids: Vec<_> = script.split("element(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(ids.contains(&"login") && ids.contains(&"account"), "{ids:?}");
    for id in ids {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    let paths: Vec<_> = script.split('"').filter(|text| text.starts_with('/')).collect();
    assert_eq!(paths, ["/auth/client.js", "/api/login", "/api/me"]);
    for path in paths {
        let served = client.send(Request::builder().method(Method::PATCH).uri(path), Body::empty()).await.0;
        assert_eq!(served, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert!(!page.contains("<script>") && !page.contains(" on"), "a script within the page");
    assert_eq!(client.post_json("/api/login", ALICE).await.0, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/api/me").await.1, r#"{"user":"alice"}"#);
    // What the script takes for "refresh, and repeat".
    client.cookies.remove("__Host-access");
    let (status, problem) = client.get("/api/me").await;
    assert!(status == StatusCode::UNAUTHORIZED && problem.contains(r#""code":"invalid_token""#), "{problem}");
    assert_eq!(client.post("/auth/refresh").await.0, StatusCode::OK);
    assert!(client.get("/auth/sessions").await.1.contains(r#""current":true"#));
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    let (status, problem) = client.get("/api/me").await;
    assert!(status == StatusCode::UNAUTHORIZED && problem.contains(r#""code":"missing_credentials""#), "{problem}");
}

#[tokio::test]
async fn migrate_from_jsonwebtoken_accepts_old_tokens_until_exchanged() {
    const OLD: &str = "the old secret";
    let sessions = migrate_from_jsonwebtoken::sessions(JWT, REFRESH).expect("a manager");
    let app = migrate_from_jsonwebtoken::app(sessions, OLD);
    let old_token = |secret: &str, expires_at: u64| {
        let claims = format!(r#"{{"sub":"alice","exp":{expires_at}}}"#);
        signed(secret, r#"{"typ":"JWT","alg":"HS256"}"#, &claims)
    };
    let with = |what: Method, path: &str, token: &str| {
        Request::builder().method(what).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"))
    };
    let mut client = Client::of(app);
    let token = old_token(OLD, 4_000_000_000);
    for refused in [old_token("another secret", 4_000_000_000), old_token(OLD, 1_000_000_000), String::new()] {
        assert_eq!(client.send(with(Method::GET, "/me", &refused), Body::empty()).await.0, StatusCode::UNAUTHORIZED);
        let exchange = client.send(with(Method::POST, "/migrate", &refused), Body::empty()).await;
        assert_eq!((exchange.0, client.cookies.len()), (StatusCode::UNAUTHORIZED, 0));
    }
    let me = with(Method::GET, "/me", &token);
    assert_eq!(client.send(me, Body::empty()).await, (StatusCode::OK, "alice\n".into()));
    assert_eq!(client.send(with(Method::POST, "/migrate", &token), Body::empty()).await.0, StatusCode::CREATED);
    assert_eq!(client.get("/me").await, (StatusCode::OK, "alice\n".into()));
    assert_eq!(client.post("/auth/refresh").await.0, StatusCode::OK);

    // After the logout the old token is of no use, neither by itself nor for another session.
    assert_eq!(client.post("/auth/logout").await.0, StatusCode::OK);
    assert_eq!(client.send(with(Method::GET, "/me", &token), Body::empty()).await.0, StatusCode::UNAUTHORIZED);
    let again = client.send(with(Method::POST, "/migrate", &token), Body::empty()).await;
    assert_eq!((again.0, client.cookies.len()), (StatusCode::UNAUTHORIZED, 0));
}

/// Returns a token as other libraries write it.
pub(crate) fn signed(secret: &str, header: &str, claims: &str) -> String {
    let (header, claims) = (BASE64URL.encode(header), BASE64URL.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{header}.{claims}").as_bytes());
    format!("{header}.{claims}.{}", BASE64URL.encode(mac.finalize().into_bytes()))
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn metrics_are_those_of_the_node() {
    // For this thread, on which all tasks of this test run: the other tests of the process would be counted, too.
    let recorder = metrics::exporter().expect("buckets").build_recorder();
    let mut prometheus = Client::of(metrics::metrics(recorder.handle()));
    let _for_this_thread = ::metrics::set_default_local_recorder(&recorder);
    let mut client = Client::of(metrics::app(metrics::sessions(JWT, REFRESH).expect("a manager")));
    assert_eq!(client.post("/login").await.0, StatusCode::OK);
    let (status, text) = prometheus.get("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        r#"tower_jwt_sessions_events_total{event="session_created"} 1"#,
        "tower_jwt_sessions_revocation_feed_up_to_date 1",
        r#"tower_jwt_sessions_store_step_duration_seconds_bucket{step="create",outcome="success",le="10"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!(client.get("/metrics").await.0, StatusCode::NOT_FOUND, "not for clients");
}

#[cfg(feature = "utoipa")]
#[tokio::test]
async fn openapi_describes_every_route() {
    let mut client = Client::of(openapi::app(openapi::sessions(JWT, REFRESH).expect("a manager")));
    let (status, document) = client.get("/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
    assert!(paths.len() > 7 && paths.iter().any(|path| *path == "/auth/sessions/{id}"), "{paths:?}");
    for path in paths {
        let status = client.send(Request::builder().method(Method::PATCH).uri(path), Body::empty()).await.0;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path} is not served");
    }
    let me = &document["paths"]["/me"]["get"];
    let (scheme, _) = me["security"][0].as_object().and_then(|schemes| schemes.iter().next()).expect("a scheme");
    assert_eq!(document["components"]["securitySchemes"][scheme]["name"], "__Host-access");
    assert!(me["responses"]["200"].is_object() && me["responses"]["401"].is_object(), "{me}");
    let login = &document["paths"]["/login"]["post"];
    assert!(login["responses"]["422"].is_object() && login["responses"]["409"].is_object(), "{login}");
    assert_eq!(login["security"], serde_json::json!([{}]));

    let wrong = r#"{"username":"alice","password":"looking-glass"}"#;
    assert_eq!(client.post_json("/login", wrong).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(client.post_json("/login", ALICE).await.0, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/me").await, (StatusCode::OK, r#"{"user":"alice"}"#.into()));
}
