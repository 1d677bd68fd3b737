// The error says: |session: &Session<C>|

use axum::{Router, routing::get};
use tower_jwt_sessions::guard::require;

fn main() {
    let admin: Router =
        Router::new().route("/admin", get("hello")).layer(require(|session| session.user_id() == "alice"));
}
