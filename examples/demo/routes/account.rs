//! Routes that show the user.

use axum::Json;
use serde_json::{Value, json};

use super::Session;

/// The extractor [`Session`] makes the route private: without a session the response is a 401, and this does not run.
pub(super) async fn me(session: Session) -> Json<Value> {
    Json(json!({
        "user_id": session.user_id(),
        "role": session.claims().role,
        "session_id": session.id(),
        "expires_in": session.expires_in().as_secs(),
        // To the device of the browser, so that a copy of its cookies cannot be refreshed.
        "bound": session.is_bound(),
    }))
}

/// A public page that greets a logged-in user by name.
pub(super) async fn hello(session: Option<Session>) -> Json<Value> {
    let name = session.as_ref().map_or("stranger", |session| session.user_id().as_str());
    Json(json!({ "hello": name }))
}
