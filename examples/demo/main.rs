//! A small application with a login: `cargo run --example demo`, then open <http://localhost:3000>.
//!
//! Users are `alice` (password `wonderland`, an administrator) and `bob` (password `builder`).
//!
//! | variable | default | |
//! |---|---|---|
//! | `PORT` | 3000 | 0 takes a free one |
//! | `REDIS_URL` | | sessions and users live there instead of in this process, shared by every node |
//! | `JWT_SECRET`, `REFRESH_SECRET` | random | 32 bytes at least, two different ones |
//! | `ACCESS_TTL`, `REFRESH_TTL`, `ABSOLUTE_TTL` | 3600, 604800, 2592000 | lifetimes in seconds |
//! | `REPLAY_WINDOW` | until 10 s after the first use of its successor | how long a superseded refresh token may be repeated after the refresh, in seconds |
//! | `MAX_SESSIONS` | 100 | sessions of one user; one more ends the one that was refreshed least recently |
//! | `RUST_LOG` | info | what is logged, to standard error |

mod config;
mod problem;
mod routes;
mod server;
mod users;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{MemoryStore, ReplayWindow, SessionLimit, SessionManager, redis::RedisStore};
use tracing_subscriber::EnvFilter;

use crate::{
    config::Config,
    users::{Role, Users},
};

/// Travels in the access token, which its holder can read: nothing secret in here.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    role: Role,
}

/// Names the service in its tokens. Not taken from the port: nodes that share users must agree on it.
const ISSUER: &str = "https://demo.example";

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // If nobody reads standard error, there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let config = Config::from_env()?;
    let mut builder = SessionManager::<Claims>::builder()
        .access_keys(config.access_keys)
        .refresh_keys(config.refresh_keys)
        .issuer(ISSUER);
    if let Some(lifetime) = config.access_ttl {
        builder = builder.access_lifetime(lifetime);
    }
    if let Some(lifetime) = config.refresh_ttl {
        builder = builder.refresh_lifetime(lifetime);
    }
    if let Some(lifetime) = config.absolute_ttl {
        builder = builder.absolute_lifetime(lifetime);
    }
    if let Some(window) = config.replay_window {
        builder = builder.replay_window(ReplayWindow::Fixed(window));
    }
    if let Some(max) = config.max_sessions {
        builder = builder.session_limit(SessionLimit::evict(max));
    }
    builder = match &config.redis_url {
        Some(url) => builder.store(RedisStore::connect(url).await.map_err(|error| format!("REDIS_URL: {error}"))?),
        None => {
            tracing::info!("REDIS_URL is not set: sessions and users live in this process and end with it");
            builder.store(MemoryStore::new())
        }
    };
    let users = Users::open(config.redis_url.as_deref()).await.map_err(|error| format!("the user table: {error}"))?;
    let sessions = builder.claims_source(users.clone()).build().map_err(|error| error.to_string())?;
    // Until this node knows what others have ended it answers sessions with 503; nobody has to see that.
    sessions.revocation_feed().caught_up().await;

    server::serve(|stopping| routes::router(sessions, users, stopping), config.port).await
}
