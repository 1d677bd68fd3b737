//! Routes for administrators.

use axum::{
    extract::{FromRequestParts, State},
    http::{StatusCode, request::Parts},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_jwt_sessions::UserId;

use super::{Session, Sessions};
use crate::{
    problem::{AppError, Json, Path, Problem},
    users::{Role, Users},
};

/// The session of an administrator. A handler that takes it is unreachable for other users.
pub(super) struct Admin(Session);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        match session.claims().role {
            Role::Admin => Ok(Self(session)),
            Role::User => Err(Problem::new(StatusCode::FORBIDDEN, "admins_only", "This is for administrators.").into()),
        }
    }
}

pub(super) async fn welcome(Admin(session): Admin) -> axum::Json<Value> {
    axum::Json(json!({ "welcome": session.user_id() }))
}

#[derive(Deserialize)]
pub(super) struct NewRole {
    role: Role,
}

/// Changes the role first and then expires the access tokens, so that no refresh in between restores the old role. The
/// user's next request on any node is answered with a 401, the browser refreshes as usual, and the library loads the
/// claims again: the new role takes effect at once, and the user stays logged in. If expiring fails, the request can be
/// repeated.
pub(super) async fn set_role(
    _: Admin,
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    Path(name): Path<String>,
    Json(NewRole { role }): Json<NewRole>,
) -> Result<axum::Json<Value>, AppError> {
    let user = UserId::new(&name).map_err(|_| no_such_user())?;
    if !users.set_role(&name, role).await? {
        return Err(no_such_user().into());
    }
    sessions.expire_access(user).await?;
    Ok(axum::Json(json!({ "user_id": name, "role": role })))
}

/// Deletes the user first and then ends the sessions, so that no login survives: one in progress loads the claims
/// again, or is refused for its proof. If ending fails, the request can be repeated: it also ends the sessions of a
/// user who is already deleted.
pub(super) async fn delete_user(
    _: Admin,
    State(users): State<Users>,
    State(sessions): State<Sessions>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, AppError> {
    let user = UserId::new(&name).map_err(|_| no_such_user())?;
    let existed = users.delete(&name).await?;
    let ended = sessions.end_all(user).await?;
    match existed || ended > 0 {
        true => Ok(axum::Json(json!({ "success": true, "ended": ended }))),
        false => Err(no_such_user().into()),
    }
}

fn no_such_user() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_user", "There is no such user.")
}
