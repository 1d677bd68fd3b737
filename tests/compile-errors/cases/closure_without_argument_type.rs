// The error says: consider giving this closure parameter an explicit type

use std::{collections::HashMap, io, sync::Arc};

use tower_jwt_sessions::SessionManager;

fn main() {
    let pool: Arc<HashMap<String, ()>> = Arc::default();
    let builder = SessionManager::<()>::builder().claims_source(move |user| {
        let pool = pool.clone();
        async move { Ok::<_, io::Error>(pool.get(user.as_str()).copied()) }
    });
}
