// The error says: the store of `RedisStore::connect(url).await?`

use tower_jwt_sessions::{SessionManager, redis::RedisStore};

fn main() {
    let builder = SessionManager::<()>::builder().store(RedisStore::connect("redis://localhost"));
}
