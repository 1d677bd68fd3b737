//! A single-page app: login, calls that refresh by themselves, the list of sessions, logout.
//!
//! ```sh
//! JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) cargo run --example spa
//! ```
//!
//! Open `localhost:3000` and log in as alice with the password wonderland, in two tabs: a logout in one is seen in the
//! other. The script never sees a token: they are in `HttpOnly` cookies. The session calls come from the browser module,
//! which the server has at `/auth/client.js`; `client/README.md` describes it.

use std::{env, error::Error, future};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, Result},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager};

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
    // Refresh, logout and the list of sessions; the module with the stream that tells of logouts. A server that is shut
    // down gracefully passes a future that ends the streams, in place of `pending`.
    let auth = sessions.router().merge(sessions.client_router(future::pending::<()>));
    // Only scripts of this site, none within the page: text that a user wrote cannot become one.
    let policy = "default-src 'self'; frame-ancestors 'none'";
    Router::new()
        .route("/", get(async move || ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE))))
        .route("/app.js", get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)))
        .route("/api/login", post(login).layer(sessions.cross_site_guard()))
        .route("/api/me", get(me))
        .nest("/auth", auth)
        .layer(sessions.layer())
        .with_state(sessions)
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

async fn login(
    State(sessions): State<SessionManager>,
    presented: PresentedTokens,
    Json(login): Json<Login>,
) -> Result<(StatusCode, SessionCookies)> {
    let proof = sessions.start_proof();
    // An application checks a password hash here.
    if (login.username.as_str(), login.password.as_str()) != ("alice", "wonderland") {
        return Err(StatusCode::UNPROCESSABLE_ENTITY.into());
    }
    let cookies = sessions.login(login.username).proven_since(proof).replacing(presented).await?;
    Ok((StatusCode::NO_CONTENT, cookies))
}

#[derive(Serialize)]
struct Me {
    user: String,
}

async fn me(session: Session) -> Json<Me> {
    Json(Me { user: session.user_id().to_string() })
}

const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Example</title>
<script type="module" src="/app.js"></script>
<p id="outage" role="status" hidden>The server is not reachable. This page tries again by itself.</p>
<p id="message" role="alert"></p>
<form id="login" hidden>
  <p><label>User <input name="username" autocomplete="username" required></label></p>
  <p><label>Password <input name="password" type="password" autocomplete="current-password" required></label></p>
  <button>Log in</button>
</form>
<section id="account" hidden>
  <p>Logged in as <b id="user"></b>, with these sessions:</p>
  <ul id="sessions"></ul>
  <button id="logout">Log out</button>
</section>
</html>
"#;

const SCRIPT: &str = r#"
import { createSession } from "/auth/client.js";

const element = (id) => document.getElementById(id);
const say = (text) => (element("message").textContent = text);

const session = createSession({
  loginUrl: "/api/login",
  // An outage is no logout: what the page shows stays. "unknown" is a page that the back button has restored.
  onState: (state) => {
    element("outage").hidden = state !== "unavailable";
    element("login").hidden = state !== "signedOut";
    element("account").hidden = state === "unknown" || !session.info;
  },
  // At the start, after a login here or in another tab.
  onSignedIn: () => showAccount().catch(failed),
  // Another login has replaced the session, or claims have changed.
  onChanged: () => showAccount().catch(failed),
  onSignedOut: (reason) => say(reason === "ended" ? "Your session has ended." : ""),
});

async function showAccount() {
  say("");
  // As the `fetch` of the browser. If the access token has expired, it refreshes and repeats the request.
  const response = await session.fetch("/api/me");
  if (!response.ok) return say("Please try again later.");
  element("user").textContent = (await response.json()).user;
  const items = (await session.list()).map(({ current, created_at }) => {
    const item = document.createElement("li");
    const since = new Date(created_at * 1000).toLocaleString();
    item.textContent = `since ${since}${current ? ", this browser" : ""}`;
    return item;
  });
  element("sessions").replaceChildren(...items);
}

function failed(error) {
  if (error.status === 422) say("Wrong user or password.");
  else say(error.isOutage ? "That did not work. Please try again later." : error.message);
}

element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const credentials = Object.fromEntries(new FormData(event.target));
  session.login(credentials).then(() => event.target.reset(), failed);
});
element("logout").addEventListener("click", () => session.logout().catch(failed));
"#;
