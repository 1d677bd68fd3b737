//! What the sessions of this site are like.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{SessionManager, cookie::CookieConfig, manager::SessionManagerBuilder};

use crate::{
    error,
    users::{Role, Users},
};

/// What every page knows of the user without asking the database: the claims of the access token.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Claims {
    pub(crate) role: Role,
}

pub(crate) type Sessions = SessionManager<Claims>;
pub(crate) type Session = tower_jwt_sessions::Session<Claims>;
pub(crate) type PresentedTokens = tower_jwt_sessions::PresentedTokens<Claims>;

/// After this time the administration asks for the password again.
pub(crate) const RECENT: Duration = Duration::from_secs(30 * 60);

/// Everything but the keys and the store.
pub(crate) fn builder(users: Users) -> SessionManagerBuilder<Claims> {
    SessionManager::builder()
        .issuer("https://pages.example")
        // Links from other sites lead to pages that know the user. Forms of other sites still send no cookie.
        .cookies(CookieConfig::for_pages())
        .login_url("/login")
        // There are no scripts on this site, so every error is a page.
        .render_errors(|problem, _| error::page(problem.title()))
        .claims_source(users)
}
