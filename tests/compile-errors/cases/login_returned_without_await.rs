// The error says: expected `Result<SessionCookies, Error>`, found `Login<'_>`

use axum::extract::State;
use tower_jwt_sessions::{Error, SessionCookies, SessionManager};

async fn login(State(sessions): State<SessionManager>) -> Result<SessionCookies, Error> {
    sessions.login("alice")
}

fn main() {}
