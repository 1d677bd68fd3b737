//! A site of pages with a login form: `cargo run --example server_rendered`, then open <http://localhost:3000>. The place
//! to copy from: axum, maud, SQLite and argon2, and no line that handles a token or a cookie.
//!
//! Users are `alice` (password `wonderland`, an administrator) and `bob` (password `builder`). They are in a database in
//! memory, which is new at each start.
//!
//! | variable | default | |
//! |---|---|---|
//! | `PORT` | 3000 | the port; 0 selects a free one |
//! | `REDIS_URL` | | stores sessions in this Redis instead of in memory; needs the feature `redis` |
//! | `JWT_SECRET`, `REFRESH_SECRET` | random | two different secrets of at least 32 bytes |
//! | `ACCESS_TTL`, `REFRESH_TTL`, `ABSOLUTE_TTL` | 3600, 604800, 2592000 | lifetimes in seconds |
//! | `REPLAY_WINDOW`, `MAX_SESSIONS` | | as in the demo |
//! | `RUST_LOG` | info | the filter of the log, which goes to standard error |

mod account;
mod admin;
#[path = "../demo/config.rs"]
mod config;
mod devices;
mod error;
mod notes;
mod pages;
mod routes;
#[path = "../demo/server.rs"]
mod server;
mod sessions;
#[cfg(all(test, feature = "test-util"))]
mod tests;
mod users;

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use tower_jwt_sessions::MemoryStore;
#[cfg(feature = "redis")]
use tower_jwt_sessions::redis::RedisStore;
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, Storage},
    sessions::Claims,
    users::Users,
};

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let config = Config::from_env()?;
    let users = Users::open().await.map_err(|error| format!("database: {error}"))?;
    let builder = config.apply_to(sessions::builder(users.clone()));
    let builder = match &config.storage {
        Storage::Memory => builder.store(MemoryStore::new()),
        #[cfg(feature = "redis")]
        Storage::Redis(url) => {
            builder.store(RedisStore::connect(url).await.map_err(|error| format!("REDIS_URL: {error}"))?)
        }
    };
    let sessions = builder.build().map_err(|error| error.to_string())?;
    // Until this node has read the revocation log, it responds with 503 to requests with a session.
    sessions.revocation_feed().caught_up().await;
    let (listeners, port) = server::listen(config.port).await?;
    let announcement = format!("listening on http://localhost:{port}");
    server::serve(|_| routes::router(sessions, users), listeners, &announcement).await
}
