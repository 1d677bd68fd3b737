// The error says: consider adjusting the signature so it does not borrow its argument

use std::io;

use tower_jwt_sessions::{SessionManager, UserId};

async fn find_user(user: &UserId) -> Result<Option<()>, io::Error> {
    Ok((*user == "alice").then_some(()))
}

fn main() {
    let builder = SessionManager::<()>::builder().claims_source(find_user);
}
