//! `POST /login`: checks the password, which is the task of the application, and begins a session.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_sessions::SessionCookies;

use super::{PresentedTokens, Sessions};
use crate::{
    problem::{AppError, Json, Problem},
    users::Users,
};

/// Not `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
pub(super) struct Credentials {
    username: String,
    password: String,
}

pub(super) async fn login(
    State(sessions): State<Sessions>,
    State(users): State<Users>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    presented: PresentedTokens,
    headers: HeaderMap,
    Json(Credentials { username, password }): Json<Credentials>,
) -> Result<(SessionCookies, axum::Json<Value>), AppError> {
    // Before the password hash is read: if the user's sessions are ended during the check, this login is refused.
    let proof = sessions.start_proof();
    if !users.check_password(&username, password).await? {
        // The same text whether or not the user exists.
        let detail = "User name or password is wrong.";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", detail).into());
    }
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    // A new login never continues the session that the browser had: that one ends.
    // The address is the peer's. Behind a proxy it is in a header, but only believe one that your proxy sets.
    let login = sessions.login(username).proven_since(proof).replacing(presented);
    let cookies = login.user_agent(user_agent).ip(client.ip().to_canonical()).await?;
    let expires_in = cookies.expires_in().unwrap_or_default().as_secs();
    Ok((cookies, axum::Json(json!({ "success": true, "expires_in": expires_in }))))
}
