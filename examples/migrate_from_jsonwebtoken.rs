//! From hand-written JWTs to sessions, without logging users out: for a while both are accepted.
//!
//! ```sh
//! OLD_SECRET=the-old-secret JWT_SECRET=$(openssl rand -base64 32) REFRESH_SECRET=$(openssl rand -base64 32) \
//!     cargo run --example migrate_from_jsonwebtoken
//!
//! curl localhost:3000/me -H "Authorization: Bearer $OLD_TOKEN"
//! curl -c jar -X POST localhost:3000/migrate -H "Authorization: Bearer $OLD_TOKEN"
//! curl -b jar localhost:3000/me
//! ```
//!
//! 1. Deploy this. Logins create sessions; old tokens remain valid until they expire, and no new ones are issued.
//! 2. The page exchanges its old token when it loads: `POST /migrate`, then `localStorage.removeItem("token")`.
//! 3. When the last old token has expired, remove everything below `mod old`, and the route `/migrate`.

use std::{
    collections::HashSet,
    env,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    RequestPartsExt as _, Router,
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response, Result},
    routing::{get, post},
};
use old::OldToken;
use tower_jwt_sessions::{ConfigError, KeyRing, MemoryStore, PresentedTokens, Session, SessionCookies, SessionManager};

#[derive(Clone)]
pub(crate) struct App {
    sessions: SessionManager,
    old_secret: Arc<str>,
    /// The old tokens that were exchanged. In an application a table of the database with a unique index, shared by all
    /// nodes; its rows can be deleted when the tokens expire.
    exchanged: Arc<Mutex<HashSet<String>>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = |name| env::var(name).map_err(|_| format!("set {name}"));
    let sessions = sessions(&secret("JWT_SECRET")?, &secret("REFRESH_SECRET")?)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(sessions, &secret("OLD_SECRET")?)).await?)
}

/// New secrets: with the old one, each old token would have to be refused by its claims alone.
pub(crate) fn sessions(jwt_secret: &str, refresh_secret: &str) -> Result<SessionManager, ConfigError> {
    SessionManager::builder()
        .access_keys(KeyRing::hs256(jwt_secret)?)
        .refresh_keys(KeyRing::hs256(refresh_secret)?)
        .issuer("http://localhost:3000")
        .store(MemoryStore::new())
        .build()
}

pub(crate) fn app(sessions: SessionManager, old_secret: &str) -> Router {
    let app = App { sessions: sessions.clone(), old_secret: old_secret.into(), exchanged: Arc::default() };
    Router::new()
        .route("/me", get(me))
        .route("/migrate", post(migrate).layer(sessions.cross_site_guard()))
        .nest("/auth", sessions.router())
        .layer(sessions.layer()) // leaves the `Authorization` header alone, unless Bearer tokens are accepted
        .with_state(app)
}

/// The user of a request, by session or old token. Afterwards handlers take `Session` instead.
struct User(String);

impl FromRequestParts<App> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        // The response of `Session` is the right one for a request with neither, too.
        match parts.extract::<Session>().await {
            Ok(session) => Ok(Self(session.user_id().to_string())),
            Err(rejection) => match OldToken::of(parts, app) {
                Some(old) => Ok(Self(old.user)),
                None => Err(rejection.into_response()),
            },
        }
    }
}

async fn me(User(user): User) -> String {
    format!("{user}\n")
}

/// Exchanges an old token for a session, once: after a logout it must not begin another one.
async fn migrate(
    State(app): State<App>,
    presented: PresentedTokens,
    old: Option<OldToken>,
) -> Result<(StatusCode, SessionCookies)> {
    let old = old.ok_or(StatusCode::UNAUTHORIZED)?;
    if !app.exchanged.lock().unwrap_or_else(PoisonError::into_inner).insert(old.signature.clone()) {
        return Err(StatusCode::UNAUTHORIZED.into());
    }
    match app.sessions.login(old.user).replacing(presented).await {
        Ok(cookies) => Ok((StatusCode::CREATED, cookies)),
        Err(error) => {
            // No session was created: the page may try again.
            app.exchanged.lock().unwrap_or_else(PoisonError::into_inner).remove(&old.signature);
            Err(error.into())
        }
    }
}

/// What is left of the old code: it verifies, and issues nothing.
mod old {
    use std::convert::Infallible;

    use axum::{
        extract::OptionalFromRequestParts,
        http::{header, request::Parts},
    };
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use serde::Deserialize;

    use super::{App, PoisonError};

    pub(crate) struct OldToken {
        pub(crate) user: String,
        /// Identifies the token.
        pub(crate) signature: String,
    }

    #[derive(Deserialize)]
    struct OldClaims {
        sub: String,
    }

    impl OldToken {
        /// Returns the old token of a request, if it is valid and was not exchanged.
        #[allow(clippy::disallowed_methods, reason = "the old code of an application, which has one backend")]
        pub(crate) fn of(parts: &Parts, app: &App) -> Option<Self> {
            let token = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
            let key = DecodingKey::from_secret(app.old_secret.as_bytes());
            let decoded = jsonwebtoken::decode::<OldClaims>(token, &key, &Validation::new(Algorithm::HS256)).ok()?;
            let (_, signature) = token.rsplit_once('.')?;
            let is_exchanged = app.exchanged.lock().unwrap_or_else(PoisonError::into_inner).contains(signature);
            (!is_exchanged).then(|| Self { user: decoded.claims.sub, signature: signature.to_owned() })
        }
    }

    impl OptionalFromRequestParts<App> for OldToken {
        type Rejection = Infallible;

        async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, Infallible> {
            Ok(Self::of(parts, app))
        }
    }
}
