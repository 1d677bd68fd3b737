//! Drills: a thief copies the refresh token of this browser and uses it later, or all cookies and uses them at once on
//! another device.
//!
//! The copy for later is in a cookie of its own that scripts cannot read, so it never leaves the browser. An application
//! has no such routes.

use std::convert::Infallible;

use axum::{
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request, StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_jwt_sessions::error::ErrorKind;

use super::{Session, Sessions};
use crate::problem::{AppError, Problem};

const COPY: &str = "demo-stolen";
/// More than any response of the library to a refresh.
const MAX_ANSWER: usize = 16 * 1024;
const ATTRIBUTES: &str = "Path=/theft; HttpOnly; SameSite=Strict";

/// `POST /theft/copy`: copies the refresh token of the request.
pub(super) async fn copy(_: Session, headers: HeaderMap) -> Result<impl IntoResponse, AppError> {
    let token = cookie(&headers, "__Host-refresh").ok_or_else(no_copy)?;
    let kept = format!("{COPY}={token}; {ATTRIBUTES}; Max-Age=300");
    Ok((AppendHeaders([(header::SET_COOKIE, kept)]), axum::Json(json!({ "copied": true }))))
}

/// `POST /theft/use`: presents the copy, as a thief does who does not know that it was superseded.
///
/// `too_early`: it is still the newest one. `repeated`: superseded a moment ago, which is also how a repeated request
/// looks whose response was lost. `refused`: the reuse was noticed, and the session has ended.
pub(super) async fn use_copy(
    State(sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, AppError> {
    let token = cookie(&headers, COPY).ok_or_else(no_copy)?;
    let answer = |outcome: &str, age| {
        let kept = format!("{COPY}={token}; {ATTRIBUTES}; Max-Age={age}");
        (AppendHeaders([(header::SET_COOKIE, kept)]), axum::Json::<Value>(json!({ "outcome": outcome })))
    };
    if cookie(&headers, "__Host-refresh") == Some(token) {
        return Ok(answer("too_early", 300));
    }
    match sessions.refresh_with_token(token).await {
        // The tokens that the thief got are dropped here.
        Ok(_) => Ok(answer("repeated", 300)),
        Err(error) if error.kind() == ErrorKind::InvalidRefreshToken => Ok(answer("refused", 0)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /theft/elsewhere`: presents all cookies of the request once more, as a program on another device does that has
/// a copy of them, but no key to sign with. Returns what that program was answered, without the tokens that it may have
/// got, and for how long the copied access token is good.
pub(super) async fn use_elsewhere(
    session: Session,
    State(sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Infallible> {
    let mut copy = Request::post("/refresh").header(header::ACCEPT, "application/json");
    for cookies in headers.get_all(header::COOKIE) {
        copy = copy.header(header::COOKIE, cookies);
    }
    // The routes of the library, as they serve every client.
    let response = match copy.body(Body::empty()) {
        Ok(request) => sessions.router().oneshot(request).await?,
        // Cookies that came in a request can be sent in one.
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    };
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), MAX_ANSWER).await.unwrap_or_default();
    let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let access_for = session.expires_in().as_secs();
    Ok(axum::Json(json!({ "status": status, "answer": answer, "bound": session.is_bound(), "access_for": access_for })))
}

/// Reads a cookie for the drill only: the library reads those of the session.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split("; ")).filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(found, value)| (found == name).then_some(value))
}

fn no_copy() -> Problem {
    Problem::new(StatusCode::CONFLICT, "no_copy", "There is no copy of a refresh token.")
}
