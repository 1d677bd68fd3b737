// The error says: Ok::<Option<()>, E>(Some(()))

use tower_jwt_sessions::SessionManager;

fn main() {
    let builder =
        SessionManager::<()>::builder().claims_source(async |user| Ok(Some(())));
}
