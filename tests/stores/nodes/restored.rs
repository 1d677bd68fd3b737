//! Redis restored from a backup, which lacks later ends.

use std::{env, fs, path::PathBuf, process};

use http::HeaderMap;
use tower_jwt_sessions::{SessionManager, auth::VerifyError, error::ErrorKind};

use crate::{
    nodes::outages::{admin, command, node_on},
    support::{
        nodes::{accepts, becomes, browser, is_up_to_date, refuses_soon, soon_works},
        redis_server::RedisServer,
    },
};

/// A server that keeps its data in a folder and can be restored from a backup.
struct Kept {
    server: RedisServer,
    folder: PathBuf,
}

impl Kept {
    fn start(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("tower-jwt-sessions-{name}-{}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let server = RedisServer::start_with(&["--dir", folder.to_str().unwrap()]);
        Self { server, folder }
    }

    async fn back_up(&self) {
        command(&admin(&self.server.url()).await, "SAVE", &[]).await;
    }

    /// Kills the server, discards later writes, and restarts it from the backup.
    fn restore(&mut self) {
        self.server.restart();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.server.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn refresh(node: &SessionManager, headers: &HeaderMap) -> Result<HeaderMap, ErrorKind> {
    let cookies = node.refresh(&node.verifier().present(headers)).await;
    cookies.map(browser).map_err(|error| error.kind())
}

#[tokio::test]
async fn ends_known_to_node_hold_after_restore() {
    let mut redis = Kept::start("stays-ended");
    let (here, there) = (node_on(&redis.server).await, node_on(&redis.server).await);
    let login = async |user: &str| browser(here.login(user).await.unwrap());
    let before = login("zoe").await;
    here.end_all("zoe").await.unwrap();
    let (phone, laptop, bob) = (login("alice").await, login("alice").await, login("bob").await);
    redis.back_up().await;

    // Both kinds of end: of one session, and of all.
    let _removal = here.logout(&here.verifier().present(&phone)).await.unwrap();
    here.end_all("alice").await.unwrap();
    let carol = login("carol").await;
    for ended in [&phone, &laptop] {
        refuses_soon(&there, ended).await;
    }

    redis.restore();
    for node in [&here, &there] {
        soon_works(async || node.list("alice").await.is_ok()).await;
        becomes(node, is_up_to_date).await;
        assert_eq!(node.list("alice").await.unwrap().len(), 2, "the store has the ended sessions");
        for ended in [&phone, &laptop, &before] {
            assert_eq!(node.verifier().verify(ended).unwrap_err(), VerifyError::Revoked);
            assert_eq!(
                refresh(node, ended).await,
                Err(ErrorKind::InvalidRefreshToken),
                "the ended session is refreshed"
            );
        }
        // Live sessions stay, also a login that the store has lost, until its token expires.
        assert!(accepts(node, &bob) && accepts(node, &carol));
        refresh(node, &bob).await.unwrap();
    }

    // Ending them again ends them on every node.
    let late = node_on(&redis.server).await;
    assert!(accepts(&late, &phone) && !accepts(&late, &before));
    assert_eq!(here.end_all("alice").await.unwrap(), 2);
    for ended in [&phone, &laptop] {
        refuses_soon(&late, ended).await;
    }

    // The feeds follow the log from there.
    here.end_all("bob").await.unwrap();
    refuses_soon(&there, &bob).await;
}

/// An end is lost if neither the store nor the memory of a node has it.
#[tokio::test]
async fn node_started_after_restore_knows_only_restored_ends() {
    let mut redis = Kept::start("afterwards");
    let here = node_on(&redis.server).await;
    let phone = browser(here.login("alice").await.unwrap());
    redis.back_up().await;
    here.end_all("alice").await.unwrap();
    redis.restore();

    let fresh = node_on(&redis.server).await;
    assert!(accepts(&fresh, &phone), "the new node refuses a session whose end is lost");
    assert!(refresh(&fresh, &phone).await.is_ok(), "the store refuses a session whose end is lost");
    becomes(&here, is_up_to_date).await;
    assert!(!accepts(&here, &phone), "a node has lost a known end");

    // So operators who restore a backup must end all sessions that may have ended since.
    fresh.end_all("alice").await.unwrap();
    assert!(!accepts(&fresh, &phone));
}

/// Nodes know an epoch that the store has lost. Their tokens are accepted, and the store gets the epoch.
#[tokio::test]
async fn access_expired_since_backup_does_not_block_refresh() {
    let mut redis = Kept::start("expired-access");
    let (here, there) = (node_on(&redis.server).await, node_on(&redis.server).await);
    let phone = browser(here.login("alice").await.unwrap());
    redis.back_up().await;
    assert_eq!(here.expire_access("alice").await.unwrap(), 1);
    refuses_soon(&there, &phone).await;

    redis.restore();
    for node in [&here, &there] {
        soon_works(async || node.list("alice").await.is_ok()).await;
        becomes(node, is_up_to_date).await;
    }
    // A node that starts now knows neither.
    let late = node_on(&redis.server).await;
    let refreshed = refresh(&there, &phone).await.unwrap();
    let again = refresh(&late, &phone).await.unwrap();
    for node in [&here, &there, &late] {
        assert!(accepts(node, &refreshed) && accepts(node, &again));
    }
}
