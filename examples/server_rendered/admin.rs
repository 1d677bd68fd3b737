//! The administration: roles, and acting as a user.

use axum::{
    Form,
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use maud::Markup;
use serde::Deserialize;

use crate::{
    account::Device,
    error::{self, AppError},
    notes::{set_flash, take_flash},
    pages,
    sessions::{PresentedTokens, Session, Sessions},
    users::{Role, Users},
};

pub(crate) async fn page(sessions: Sessions, State(users): State<Users>, session: Session) -> Result<Markup, AppError> {
    let flash = take_flash(&sessions, &session).await?;
    Ok(pages::admin(&session, &users.list().await?, flash.as_deref()))
}

#[derive(Deserialize)]
pub(crate) struct NewRole {
    role: Role,
}

pub(crate) async fn set_role(
    sessions: Sessions,
    State(users): State<Users>,
    session: Session,
    Path(name): Path<String>,
    Form(NewRole { role }): Form<NewRole>,
) -> Result<Response, AppError> {
    if !users.set_role(&name, role).await? {
        return Ok(error::not_found().await);
    }
    // The next page of this user is made with the new role.
    sessions.expire_access(&name).await?;
    set_flash(&sessions, &session, &format!("The role of {name} is now {}.", role.name())).await?;
    Ok(Redirect::to("/admin").into_response())
}

/// Logs the administrator in as another user. Their own session goes on, but its cookies are replaced: a browser has one
/// session at a time.
pub(crate) async fn act(
    sessions: Sessions,
    session: Session,
    presented: PresentedTokens,
    device: Device,
    Path(name): Path<String>,
) -> Result<Response, AppError> {
    let login = sessions.login(name).acting(&session).replacing(presented).persistent(false);
    let cookies = login.user_agent(device.user_agent).ip(device.ip).await?;
    Ok((cookies, Redirect::to("/dashboard")).into_response())
}

/// Back to the administration, by way of the login: the logout ends the administrator's own session, too. Without a
/// password, this session would be worth as much as that of an administrator.
pub(crate) async fn end_acting(
    sessions: Sessions,
    session: Session,
    presented: PresentedTokens,
) -> Result<Response, AppError> {
    let admin = Redirect::to("/admin");
    if session.actor().is_none() {
        return Ok(admin.into_response());
    }
    Ok((sessions.logout(&presented).await?, admin).into_response())
}
