//! The routes. Handlers that take a [`Session`] need a login: without one, a browser is redirected to the login form and
//! back afterwards.

use std::net::SocketAddr;

use axum::{
    Form, Router,
    extract::{ConnectInfo, DefaultBodyLimit, FromRef, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use maud::Markup;
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::{SessionId, guard::require, pages::NextPath};

use crate::{
    error::AppError,
    pages,
    sessions::{PresentedTokens, Session, Sessions},
    users::{Role, Users},
};

#[derive(Clone, FromRef)]
struct App {
    sessions: Sessions,
    users: Users,
}

/// What the store keeps with a session until it ends.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Data {
    notes: Vec<String>,
    /// A message for the next page.
    flash: Option<String>,
}

pub(crate) fn router(sessions: Sessions, users: Users) -> Router {
    let admin = Router::new()
        .route("/admin", get(admin_page))
        .route("/admin/users/{name}/role", post(set_role))
        .layer(require(|session: &Session| session.claims().role == Role::Admin));
    let pages = Router::new()
        .route("/", get(async || Redirect::to("/dashboard")))
        .route("/login", get(login_form).post(login))
        .route("/dashboard", get(dashboard))
        .route("/notes", post(add_note))
        .route("/devices", get(devices))
        .route("/devices/{id}/end", post(end_device))
        .route("/password", get(password_form).post(change_password))
        .merge(admin)
        // Refuses forms that other sites send, also to the login.
        .layer(sessions.cross_site_guard());
    Router::new()
        .merge(pages)
        .layer(map_response(private))
        .layer(DefaultBodyLimit::max(16 * 1024))
        // Verifies the access token of every request, and renews an expired one before the page is made.
        .layer(sessions.renewal_layer())
        // The logout forms, which verify and guard themselves.
        .merge(sessions.router())
        .with_state(App { sessions, users })
}

/// No cache may store pages of one user; no other site may show them in a frame.
async fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

async fn login_form(next: NextPath, session: Option<Session>) -> Response {
    let next = next.or("/dashboard");
    match session {
        Some(_) => next.into_response(),
        None => pages::login(next.as_str(), None).into_response(),
    }
}

/// Not `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
    #[serde(default)]
    next: NextPath,
    remember: Option<String>,
}

async fn login(
    State(sessions): State<Sessions>,
    State(users): State<Users>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    presented: PresentedTokens,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Result<Response, AppError> {
    let Credentials { username, password, next, remember } = credentials;
    let next = next.or("/dashboard");
    // Before the password hash is read: if the user's sessions are ended during the check, this login is refused.
    let proof = sessions.start_proof();
    if !users.check_password(&username, password).await? {
        let form = pages::login(next.as_str(), Some("User name or password is wrong."));
        return Ok((StatusCode::UNAUTHORIZED, form).into_response());
    }
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let cookies = sessions
        .login(username)
        .proven_since(proof)
        .replacing(presented)
        .persistent(remember.is_some())
        .user_agent(user_agent)
        .ip(client.ip().to_canonical())
        .await?;
    Ok((cookies, next).into_response())
}

async fn dashboard(State(sessions): State<Sessions>, session: Session) -> Result<Markup, AppError> {
    let data = sessions.data::<Data>(&session).await?.value.unwrap_or_default();
    if data.flash.is_some() {
        sessions.update_data(&session, |data: Option<Data>| Data { flash: None, ..data.unwrap_or_default() }).await?;
    }
    Ok(pages::dashboard(&session, &data.notes, data.flash.as_deref()))
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

async fn add_note(
    State(sessions): State<Sessions>,
    session: Session,
    Form(Note { text }): Form<Note>,
) -> Result<Redirect, AppError> {
    // The closure gets the newest value and runs again after a concurrent write.
    let add = |data: Option<Data>| {
        let mut data = data.unwrap_or_default();
        data.notes.push(text.clone());
        data.flash = Some("Note added.".to_owned());
        data
    };
    sessions.update_data(&session, add).await?;
    Ok(Redirect::to("/dashboard"))
}

async fn devices(State(sessions): State<Sessions>, session: Session) -> Result<Markup, AppError> {
    Ok(pages::devices(&session, &sessions.list_for(&session).await?, None))
}

async fn end_device(
    State(sessions): State<Sessions>,
    session: Session,
    Path(id): Path<SessionId>,
) -> Result<Redirect, AppError> {
    // Only a session of this user: the id alone is not enough.
    sessions.end(session.user_id(), id).await?;
    Ok(Redirect::to("/devices"))
}

async fn admin_page(State(users): State<Users>, session: Session) -> Result<Markup, AppError> {
    Ok(pages::admin(&session, &users.list().await?, None))
}

#[derive(Deserialize)]
struct NewRole {
    role: Role,
}

async fn set_role(
    State(sessions): State<Sessions>,
    State(users): State<Users>,
    Path(name): Path<String>,
    Form(NewRole { role }): Form<NewRole>,
) -> Result<Response, AppError> {
    if !users.set_role(&name, role).await? {
        return Ok((StatusCode::NOT_FOUND, "No such user.").into_response());
    }
    // The next page of this user is made with the new role.
    sessions.expire_access(&name).await?;
    Ok(Redirect::to("/admin").into_response())
}

async fn password_form(session: Session) -> Markup {
    pages::password(&session, None)
}

/// Not `Debug`, so that no password gets into a log.
#[derive(Deserialize)]
struct Passwords {
    current: String,
    new: String,
}

async fn change_password(
    State(sessions): State<Sessions>,
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
    // A thief of the old password is out.
    sessions.end_others(&session).await?;
    let flash = |data: Option<Data>| Data {
        flash: Some("Password changed. Your other devices are logged out.".to_owned()),
        ..data.unwrap_or_default()
    };
    sessions.update_data(&session, flash).await?;
    Ok(Redirect::to("/dashboard").into_response())
}
