//! The crates that keep a session behind an opaque cookie, as their documentation shows them.

use std::time::Duration;

use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use axum_session::{SessionConfig, SessionLayer, SessionNullPool};
use session_guard::{AuthSession, Guard, NewSession, SessionStore, ValkeyStore, axum::Sessions};
use tower_sessions_redis_store::fred::{self, interfaces::ClientLike as _};

use crate::{BoxError, User, alice, page};

const KEY: &str = "user";
const FAILED: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// The two versions of tower-sessions have the same API.
macro_rules! tower_sessions_app {
    ($version:ident, $store:expr) => {{
        async fn login(session: $version::Session) -> Result<(), StatusCode> {
            session.insert(KEY, alice()).await.map_err(|_| FAILED)
        }

        async fn me(session: $version::Session) -> Result<&'static str, StatusCode> {
            let user: Option<User> = session.get(KEY).await.map_err(|_| FAILED)?;
            Ok(page(&user.ok_or(StatusCode::UNAUTHORIZED)?.role))
        }

        Router::new()
            .route("/login", post(login))
            .route("/me", get(me))
            .layer($version::SessionManagerLayer::new($store))
    }};
}

pub(crate) fn tower_sessions_in_memory() -> Router {
    tower_sessions_app!(tower_sessions, tower_sessions::MemoryStore::default())
}

pub(crate) async fn tower_sessions_on_redis(url: &str) -> Result<Router, BoxError> {
    let pool = fred::clients::Pool::new(fred::types::config::Config::from_url(url)?, None, None, None, 6)?;
    pool.connect();
    pool.wait_for_connect().await?;
    Ok(tower_sessions_app!(tower_sessions_0_14, tower_sessions_redis_store::RedisStore::new(pool)))
}

fn session_guard_app<St: SessionStore>(store: St) -> Router {
    async fn login<St: SessionStore>(sessions: Sessions<St, User>) -> Result<(NewSession, ()), StatusCode> {
        Ok((sessions.login(&alice()).await.map_err(|_| FAILED)?, ()))
    }

    async fn me(session: AuthSession<User>) -> &'static str {
        page(&session.subject.role)
    }

    let guard = Guard::builder(store, session_guard::GuardConfig::default()).subject::<User>().build();
    Router::new().route("/me", get(me)).layer(guard.layer()).route("/login", post(login::<St>)).with_state(guard)
}

pub(crate) fn session_guard_in_memory() -> Router {
    session_guard_app(session_guard::MemoryStore::new())
}

pub(crate) async fn session_guard_on_redis(url: &str) -> Result<Router, BoxError> {
    let client = redis::Client::open(url)?;
    let patience = Duration::from_secs(5);
    let connection = tokio::time::timeout(patience, redis::aio::ConnectionManager::new(client)).await??;
    Ok(session_guard_app(ValkeyStore::new(connection)))
}

pub(crate) async fn axum_session_in_memory() -> Result<Router, BoxError> {
    type Session = axum_session::Session<SessionNullPool>;

    async fn login(session: Session) {
        session.set(KEY, alice());
    }

    async fn me(session: Session) -> Result<&'static str, StatusCode> {
        let user: Option<User> = session.get(KEY);
        Ok(page(&user.ok_or(StatusCode::UNAUTHORIZED)?.role))
    }

    let store = axum_session::SessionStore::<SessionNullPool>::new(None, SessionConfig::default()).await?;
    Ok(Router::new().route("/login", post(login)).route("/me", get(me)).layer(SessionLayer::new(store)))
}
