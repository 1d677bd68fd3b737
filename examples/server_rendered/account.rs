//! What users do with their own account: log in, see their devices, change the password.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::{
    Form,
    extract::{ConnectInfo, FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::Markup;
use serde::Deserialize;
use tower_jwt_sessions::{SessionId, pages::NextPath};

use crate::{
    error::AppError,
    notes::{set_flash, take_flash},
    pages,
    sessions::{PresentedTokens, RECENT, Session, Sessions},
    users::Users,
};

pub(crate) async fn login_form(next: NextPath, session: Option<Session>) -> Response {
    let next = next.or("/dashboard");
    match session {
        // Pages that need a recent login lead here, and this must not lead back to them.
        Some(session) if session.require_recent_login(RECENT).is_err() => {
            pages::login(next.as_str(), session.user_id().as_str(), None).into_response()
        }
        Some(_) => next.into_response(),
        None => pages::login(next.as_str(), "", None).into_response(),
    }
}

/// Not `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    username: String,
    password: String,
    #[serde(default)]
    next: NextPath,
    remember: Option<String>,
}

pub(crate) async fn login(
    sessions: Sessions,
    State(users): State<Users>,
    presented: PresentedTokens,
    device: Device,
    Form(credentials): Form<Credentials>,
) -> Result<Response, AppError> {
    let Credentials { username, password, next, remember } = credentials;
    let next = next.or("/dashboard");
    // Before the password hash is read: if the user's sessions are ended during the check, this login is refused.
    let proof = sessions.start_proof();
    if !users.check_password(&username, password).await? {
        let form = pages::login(next.as_str(), &username, Some("User name or password is wrong."));
        return Ok((StatusCode::UNAUTHORIZED, form).into_response());
    }
    let login = sessions.login(username).proven_since(proof).replacing(presented).persistent(remember.is_some());
    let cookies = login.user_agent(device.user_agent).ip(device.ip).await?;
    Ok((cookies, next).into_response())
}

/// What the list of devices says about a login.
pub(crate) struct Device {
    pub(crate) user_agent: String,
    pub(crate) ip: IpAddr,
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        // Behind a proxy, read the header that the proxy sets.
        let client = ConnectInfo::<SocketAddr>::from_request_parts(parts, state).await;
        let ip = client.map_or(Ipv4Addr::UNSPECIFIED.into(), |ConnectInfo(client)| client.ip().to_canonical());
        let user_agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self { user_agent: user_agent.unwrap_or_default().to_owned(), ip })
    }
}

pub(crate) async fn devices(sessions: Sessions, session: Session) -> Result<Markup, AppError> {
    let flash = take_flash(&sessions, &session).await?;
    Ok(pages::devices(&session, &sessions.list_for(&session).await?, flash.as_deref()))
}

pub(crate) async fn end_device(
    sessions: Sessions,
    session: Session,
    Path(id): Path<SessionId>,
) -> Result<Redirect, AppError> {
    // Only a session of this user: the id alone is not enough.
    sessions.end(session.user_id(), id).await?;
    set_flash(&sessions, &session, "The device is logged out.").await?;
    Ok(Redirect::to("/devices"))
}

pub(crate) async fn password_form(session: Session) -> Markup {
    pages::password(&session, None)
}

/// Not `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
pub(crate) struct Passwords {
    current: String,
    new: String,
}

pub(crate) async fn change_password(
    sessions: Sessions,
    State(users): State<Users>,
    session: Session,
    Form(Passwords { current, new }): Form<Passwords>,
) -> Result<Response, AppError> {
    let refused = |error| (StatusCode::UNPROCESSABLE_ENTITY, pages::password(&session, Some(error))).into_response();
    if new.chars().count() < 8 {
        return Ok(refused("The new password needs at least 8 characters."));
    }
    let name = session.user_id().as_str();
    if !users.check_password(name, current).await? {
        return Ok(refused("The current password is wrong."));
    }
    users.set_password(name, new).await?;
    // A thief with the old password is logged out.
    sessions.end_others(&session).await?;
    set_flash(&sessions, &session, "Password changed. Your other devices are logged out.").await?;
    Ok(Redirect::to("/dashboard").into_response())
}
