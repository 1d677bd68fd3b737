// The error says: expected `SessionManager`, found `AppState`

use axum::{Router, extract::State, routing::post};
use tower_jwt_sessions::{Error, SessionCookies, SessionManager};

#[derive(Clone)]
struct AppState {
    sessions: SessionManager,
}

async fn login(State(sessions): State<SessionManager>) -> Result<SessionCookies, Error> {
    sessions.login("alice").await
}

fn app(state: AppState) -> Router {
    Router::new().route("/login", post(login)).with_state(state)
}

fn main() {}
