//! What a browser shows when something fails.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

use crate::pages;

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
                (StatusCode::INTERNAL_SERVER_ERROR, page("Please try again in a moment.")).into_response()
            }
        }
    }
}

/// A page of the site that says what is wrong.
pub(crate) fn page(text: &str) -> Response {
    let content = html! {
        p.error role="alert" { (text) }
        p { a href="/dashboard" { "To the dashboard" } }
    };
    pages::page("This did not work", None, None, content).into_response()
}

/// For paths that lead nowhere.
pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, page("There is no such page.")).into_response()
}
