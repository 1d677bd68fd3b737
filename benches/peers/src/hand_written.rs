//! What a team writes for itself: an extractor that reads the cookie with axum-extra and decodes it with jsonwebtoken.

#![allow(clippy::disallowed_methods, reason = "our own rules are not those of whoever writes this")]

use std::{
    sync::{Arc, LazyLock},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    routing::{get, post},
};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::{ISSUER, SECRET, User, alice, answer};

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    exp: u64,
    #[serde(flatten)]
    user: User,
}

struct Authenticated(Arc<Claims>);

static VALIDATION: LazyLock<(DecodingKey, Validation)> = LazyLock::new(|| {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    (DecodingKey::from_secret(&SECRET), validation)
});

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let jar = CookieJar::from_headers(&parts.headers);
        let token = jar.get("access").ok_or(StatusCode::UNAUTHORIZED)?;
        let (key, validation) = &*VALIDATION;
        let decoded = decode::<Claims>(token.value(), key, validation).map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(Self(Arc::new(decoded.claims)))
    }
}

async fn login(jar: CookieJar) -> Result<CookieJar, StatusCode> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: ISSUER.to_owned(),
        sub: "alice".to_owned(),
        exp: now.as_secs() + 3600,
        user: alice(),
    };
    let token = encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&SECRET))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(jar.add(Cookie::new("access", token)))
}

async fn me(Authenticated(claims): Authenticated) -> &'static str {
    answer(&claims.user.role)
}

pub(crate) fn app() -> Router {
    Router::new().route("/login", post(login)).route("/me", get(me))
}
