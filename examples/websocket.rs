//! A WebSocket that closes when its session ends, on whichever node the user logs out.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example websocket
//! ```
//!
//! Open <http://localhost:3000> in a browser, log in, connect, and log out in another tab.

use std::{env, error::Error, time::Duration};

use axum::{
    Router,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    response::{Html, Response, Result},
    routing::{get, post},
};
use tokio::time::timeout;
use tower_jwt_sessions::{
    ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager, revocation::Ended,
};

const PAGE: &str = r#"<!doctype html><title>Echo</title>
<button onclick="post('/login')">Log in</button>
<button onclick="connect()">Connect</button>
<button onclick="post('/auth/logout')">Log out</button>
<pre id=log></pre>
<script>
  const say = text => log.append(text + '\n');
  const post = async path => say(`${path}: ${(await fetch(path, { method: 'POST' })).status}`);
  function connect() {
    const socket = new WebSocket('/echo');
    socket.onopen = () => socket.send('hello');
    socket.onmessage = event => say(`echo: ${event.data}`);
    socket.onclose = event => say(`closed: ${event.code} ${event.reason}`);
  }
</script>"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    let app = app(sessions(&secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}

pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .build()
}

pub(crate) fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/", get(Html(PAGE)))
        .route("/login", post(login).layer(sessions.cross_site_guard()))
        // Browsers let every page open a WebSocket to any server, so this guard checks where the page comes from.
        .route("/echo", get(connect).layer(sessions.upgrade_guard()))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions)
}

/// Checks no password: see the example `minimal`.
async fn login(State(sessions): State<SessionManager>, presented: PresentedTokens) -> Result<SessionCookies> {
    Ok(sessions.login("alice").replacing(presented).await?)
}

/// Without a session the response is a 401, and nothing is upgraded.
async fn connect(session: Session, upgrade: WebSocketUpgrade) -> Response {
    let ended = session.ended();
    upgrade.max_message_size(4096).on_upgrade(|socket| serve(socket, ended))
}

/// The codes from 4000 to 4999 are for applications (RFC 6455, section 7.4.2).
const SESSION_ENDED: u16 = 4401;
/// How long to wait for the client's close frame.
const CLOSING: Duration = Duration::from_secs(5);

async fn serve(mut socket: WebSocket, ended: Ended) {
    tokio::select! {
        // In this order, so that no message is echoed after the end.
        biased;
        () = ended => {}
        () = echo(&mut socket) => return,
    }
    let close = CloseFrame { code: SESSION_ENDED, reason: "the session has ended".into() };
    if socket.send(Message::Close(Some(close))).await.is_ok() {
        let _ = timeout(CLOSING, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}

/// Returns when the client disconnects.
async fn echo(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}
