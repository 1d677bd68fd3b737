//! A note in the data of the session: it stays on the server, and is deleted at the logout.

use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::{Session, Sessions};
use crate::problem::{AppError, Json};

#[derive(Default, Deserialize, Serialize)]
pub(super) struct Note {
    text: String,
}

pub(super) async fn read(State(sessions): State<Sessions>, session: Session) -> Result<axum::Json<Note>, AppError> {
    let note = sessions.data::<Note>(&session).await?;
    Ok(axum::Json(note.value.unwrap_or_default()))
}

pub(super) async fn write(
    State(sessions): State<Sessions>,
    session: Session,
    Json(Note { text }): Json<Note>,
) -> Result<axum::Json<Note>, AppError> {
    // The closure gets the newest value and runs again after a concurrent write, so it could keep other fields. Here it
    // replaces the whole note.
    let written = sessions.update_data(&session, |_: Option<Note>| Note { text: text.clone() }).await?;
    Ok(axum::Json(written))
}
