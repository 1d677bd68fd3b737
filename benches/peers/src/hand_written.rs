//! Optimized code without a session crate: an extractor that finds the cookie in its header and decodes the token with
//! jsonwebtoken, with key and rules prepared once, into a struct with only the claims that are needed.

#![allow(clippy::disallowed_methods, reason = "the rules of this repository do not apply to this code")]

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::AppendHeaders,
    routing::{get, post},
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::{ISSUER, SECRET, User, alice, page};

#[derive(Serialize)]
struct Issued<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    exp: u64,
    user: &'a User,
}

/// Without `iss`, `aud` and `exp`, which jsonwebtoken checks itself. Not flattened, since serde would then buffer all
/// members first.
#[derive(Deserialize)]
struct Authenticated {
    #[allow(dead_code, reason = "GET /me does not use the user id")]
    sub: String,
    user: User,
}

static RULES: LazyLock<(DecodingKey, Validation)> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    (DecodingKey::from_secret(&SECRET), validation)
});

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs =
        headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';'));
    pairs.filter_map(|pair| pair.trim_start().split_once('=')).find(|(found, _)| *found == name).map(|(_, value)| value)
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let token = cookie(&parts.headers, "access").ok_or(StatusCode::UNAUTHORIZED)?;
        let (key, validation) = &*RULES;
        decode(token, key, validation).map(|token| token.claims).map_err(|_| StatusCode::UNAUTHORIZED)
    }
}

async fn login() -> Result<AppendHeaders<[(header::HeaderName, String); 1]>, StatusCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let issued = Issued { iss: ISSUER, aud: ISSUER, sub: "alice", exp: now.as_secs() + 3600, user: &alice() };
    let token = encode(&Header::new(Algorithm::HS256), &issued, &EncodingKey::from_secret(&SECRET))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(AppendHeaders([(header::SET_COOKIE, format!("access={token}; Path=/; HttpOnly; Secure; SameSite=Lax"))]))
}

async fn me(authenticated: Authenticated) -> &'static str {
    page(&authenticated.user.role)
}

pub(crate) fn app() -> Router {
    Router::new().route("/login", post(login)).route("/me", get(me))
}
