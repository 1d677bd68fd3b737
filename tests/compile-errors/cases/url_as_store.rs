// The error says: the store of `RedisStore::connect(url).await?`

use tower_jwt_sessions::SessionManager;

fn main() {
    let builder = SessionManager::<()>::builder().store("redis://localhost");
}
