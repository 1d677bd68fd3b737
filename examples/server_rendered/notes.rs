//! The dashboard, and what the store keeps with a session: notes, and a message for the next page.

use axum::{Form, response::Redirect};
use maud::Markup;
use serde::{Deserialize, Serialize};
use tower_jwt_sessions::Error;

use crate::{
    error::AppError,
    pages,
    sessions::{Session, Sessions},
};

/// What the store keeps with a session until it ends.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Data {
    notes: Vec<String>,
    /// A message that the next page shows once.
    flash: Option<String>,
}

pub(crate) async fn dashboard(sessions: Sessions, session: Session) -> Result<Markup, AppError> {
    let data = take(&sessions, &session).await?;
    Ok(pages::dashboard(&session, &data.notes, data.flash.as_deref()))
}

#[derive(Deserialize)]
pub(crate) struct Note {
    text: String,
}

pub(crate) async fn add(
    sessions: Sessions,
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

/// Leaves a message for the next page.
pub(crate) async fn set_flash(sessions: &Sessions, session: &Session, text: &str) -> Result<(), Error> {
    let set = |data: Option<Data>| Data { flash: Some(text.to_owned()), ..data.unwrap_or_default() };
    sessions.update_data(session, set).await?;
    Ok(())
}

/// Returns the message for this page.
pub(crate) async fn take_flash(sessions: &Sessions, session: &Session) -> Result<Option<String>, Error> {
    Ok(take(sessions, session).await?.flash)
}

/// Returns the data of the session, whose message is then gone.
async fn take(sessions: &Sessions, session: &Session) -> Result<Data, Error> {
    let data = sessions.data::<Data>(session).await?.value.unwrap_or_default();
    if data.flash.is_some() {
        let clear = |data: Option<Data>| Data { flash: None, ..data.unwrap_or_default() };
        sessions.update_data(session, clear).await?;
    }
    Ok(data)
}
