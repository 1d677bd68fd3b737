// The error says: connection pool or other state goes into `claims_with(state, function)`

use std::{collections::HashMap, sync::Arc};

use tower_jwt_sessions::SessionManager;

fn main() {
    let pool: Arc<HashMap<String, ()>> = Arc::default();
    let builder = SessionManager::<()>::builder().claims_source(pool);
}
