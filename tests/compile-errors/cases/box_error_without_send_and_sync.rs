// The error says: or `Box<dyn std::error::Error + Send + Sync>`

use std::error::Error;

use tower_jwt_sessions::{SessionManager, UserId};

async fn find_user(user: UserId) -> Result<Option<()>, Box<dyn Error>> {
    Ok((user == "alice").then_some(()))
}

fn main() {
    let builder = SessionManager::<()>::builder().claims_source(find_user);
}
