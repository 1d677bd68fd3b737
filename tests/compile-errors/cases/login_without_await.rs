// The error says: the `?` operator can only be applied to values that implement `Try`

use axum::extract::State;
use tower_jwt_sessions::{Error, SessionCookies, SessionManager};

async fn login(State(sessions): State<SessionManager>) -> Result<SessionCookies, Error> {
    Ok(sessions.login("alice")?)
}

fn main() {}
