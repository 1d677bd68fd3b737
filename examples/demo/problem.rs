//! Error responses of the application: RFC 9457 problem documents, as those of the library.

use axum::{
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{JsonRejection, PathRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tower_jwt_sessions::auth::SessionRejection;

/// The error of handlers.
#[derive(Debug)]
pub(crate) enum AppError {
    /// An error of the application.
    Problem(Problem),
    /// An error of the library, which has its own status, document and headers.
    Session(tower_jwt_sessions::Error),
    /// The request has no session.
    Unauthenticated(SessionRejection),
    /// The user table failed. The cause goes to the log.
    Users(crate::users::UsersError),
}

#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = json!({
            // `code` is for programs, `detail` for people.
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, content_type, document.to_string()).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // A 401 names a way to authenticate (RFC 9110, section 15.5.2).
            let challenge = HeaderValue::from_static(r#"Bearer realm="session""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Session(error) => error.into_response(),
            Self::Unauthenticated(rejection) => rejection.into_response(),
            Self::Users(error) => {
                tracing::error!(%error, "user table unavailable");
                let detail = "User data is unavailable.";
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "users_unavailable", detail);
                ([(header::RETRY_AFTER, "1")], problem).into_response()
            }
        }
    }
}

impl From<Problem> for AppError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<tower_jwt_sessions::Error> for AppError {
    fn from(error: tower_jwt_sessions::Error) -> Self {
        Self::Session(error)
    }
}

impl From<SessionRejection> for AppError {
    fn from(rejection: SessionRejection) -> Self {
        Self::Unauthenticated(rejection)
    }
}

impl From<crate::users::UsersError> for AppError {
    fn from(error: crate::users::UsersError) -> Self {
        Self::Users(error)
    }
}

/// axum's `Json`, which rejects with a problem document.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Json<T>(pub(crate) T);

/// axum's `Path`, which rejects with a problem document.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), "invalid_body", rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), "invalid_path", rejection.body_text())
    }
}

pub(crate) async fn not_found(request: Request) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("There is nothing at {}.", request.uri().path()))
}

pub(crate) async fn method_not_allowed(request: Request) -> Problem {
    let detail = format!("{} does not know the method {}.", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
