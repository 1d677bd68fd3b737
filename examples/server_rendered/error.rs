//! What a handler that fails responds with.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

use crate::pages::page;

/// An error of the database, or of the sessions, which know their own response.
pub(crate) enum AppError {
    Database(Box<dyn std::error::Error + Send + Sync>),
    Sessions(tower_jwt_sessions::Error),
}

impl From<Box<dyn std::error::Error + Send + Sync>> for AppError {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::Database(error)
    }
}

impl From<tower_jwt_sessions::Error> for AppError {
    fn from(error: tower_jwt_sessions::Error) -> Self {
        Self::Sessions(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::Sessions(error) => error.into_response(),
            Self::Database(error) => {
                tracing::error!(%error, "database failed");
                let body = page("Something went wrong", None, None, html! { p { "Please try again in a moment." } });
                (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
            }
        }
    }
}
