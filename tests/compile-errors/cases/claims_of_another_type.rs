// The error says: that resolves to `Result<Option<()>, _>`

use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{SessionManager, UserId};

#[derive(Serialize, Deserialize)]
struct Claims {
    role: String,
}

async fn find_user(_: UserId) -> Result<Option<Claims>, std::io::Error> {
    Ok(Some(Claims { role: "user".into() }))
}

fn main() {
    let builder = SessionManager::<()>::builder().claims_source(find_user);
}
