//! Routes that ask who is there.

use axum::Json;
use serde_json::{Value, json};

use super::Session;

/// Asking for a [`Session`] makes the route private: without one the answer is a 401, and this does not run.
pub(super) async fn me(session: Session) -> Json<Value> {
    Json(json!({
        "user_id": session.user_id(),
        "role": session.claims().role,
        "session_id": session.id(),
        "expires_in": session.expires_in().as_secs(),
    }))
}

/// A public page that greets those whom it knows.
pub(super) async fn hello(session: Option<Session>) -> Json<Value> {
    let name = session.as_ref().map_or("stranger", |session| session.user_id().as_str());
    Json(json!({ "hello": name }))
}
