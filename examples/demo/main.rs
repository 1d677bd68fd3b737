//! A small application with a login: `cargo run --example demo`, then open <http://localhost:3000>.
//! With `--features redis` it can keep its sessions in Redis, and with `--features dbsc` it can serve https and bind
//! sessions to the device of their browser.
//!
//! Users are `alice` (password `wonderland`, an administrator) and `bob` (password `builder`).
//!
//! | variable | default | |
//! |---|---|---|
//! | `PORT` | 3000 | the port; 0 selects a free one |
//! | `REDIS_URL` | | stores sessions and users in this Redis, shared by all nodes, instead of in memory; needs the feature `redis` |
//! | `JWT_SECRET`, `REFRESH_SECRET` | random | two different secrets of at least 32 bytes |
//! | `ACCESS_TTL`, `REFRESH_TTL`, `ABSOLUTE_TTL` | 3600, 604800, 2592000 | lifetimes in seconds |
//! | `REPLAY_WINDOW` | until 10 s after the first use of its successor | how long a superseded refresh token may be repeated after the refresh, in seconds |
//! | `MAX_SESSIONS` | 100 | sessions of one user; one more ends the one that was refreshed least recently |
//! | `DEMO_TLS` | 0 | 1 serves `https://localhost` with a certificate made at start, which no authority has signed, prints `spki` and the SHA-256 of its public key for browsers under test, and binds sessions to devices; needs the feature `dbsc` |
//! | `BOUND_TTL` | 600 | lifetime of access tokens of bound sessions in seconds, with `DEMO_TLS=1` |
//! | `RUST_LOG` | info | the filter of the log, which goes to standard error |

mod binding;
mod config;
mod problem;
mod routes;
mod server;
#[cfg(feature = "dbsc")]
mod tls;
mod users;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};
#[cfg(feature = "redis")]
use tower_jwt_sessions::redis::RedisStore;
use tower_jwt_sessions::{MemoryStore, SessionManager};
use tracing_subscriber::EnvFilter;

use crate::{
    binding::Binding,
    config::{Config, Storage},
    users::{Role, Users},
};

/// The claims of the access token, which its holder can read: keep secrets out of it.
#[derive(Debug, Deserialize, Serialize)]
struct Claims {
    role: Role,
}

/// Names the service in its tokens. It does not depend on the port: nodes that share users must agree on it.
const ISSUER: &str = "https://demo.example";

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let binding = Binding::from_env()?;
    let config = Config::from_env()?;
    // Before the manager is built, since sessions are bound to the origin, which has the port.
    let (listeners, port) = server::listen(config.port).await?;
    let builder = config.apply_to(SessionManager::<Claims>::builder().issuer(ISSUER));
    let builder = binding.apply_to(builder, port);
    let builder = match &config.storage {
        Storage::Memory => {
            tracing::info!("REDIS_URL is not set: sessions and users are kept in this process and end with it");
            builder.store(MemoryStore::new())
        }
        #[cfg(feature = "redis")]
        Storage::Redis(url) => {
            builder.store(RedisStore::connect(url).await.map_err(|error| format!("REDIS_URL: {error}"))?)
        }
    };
    let users = Users::open(&config.storage).await.map_err(|error| format!("user table: {error}"))?;
    let sessions = builder.claims_source(users.clone()).build().map_err(|error| error.to_string())?;
    // Until this node has read the revocation log, it responds with 503 to requests with a session.
    sessions.revocation_feed().caught_up().await;

    binding.serve(|stopping| routes::router(sessions, users, stopping), listeners, port).await
}
