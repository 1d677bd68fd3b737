// The error says: derive both directions: `#[derive(serde::Serialize, serde::Deserialize)]`

use tower_jwt_sessions::SessionManager;

struct Claims {
    role: String,
}

fn main() {
    let builder = SessionManager::<Claims>::builder();
}
