// The error says: expected `Result<Option<Claims>, _>`, found `Result<Claims, Error>`

use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{SessionManager, UserId};

#[derive(Serialize, Deserialize)]
struct Claims {
    role: String,
}

async fn find_user(_: UserId) -> Result<Claims, std::io::Error> {
    Ok(Claims { role: "user".into() })
}

fn main() {
    let builder = SessionManager::<Claims>::builder().claims_source(find_user);
}
