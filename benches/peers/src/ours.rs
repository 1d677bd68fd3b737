//! This crate.

use std::convert::Infallible;

use aws_lc_rs::hmac;
use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Result},
    routing::{get, post},
};
use tower_jwt_sessions::{
    KeyRing, MemoryStore, Session, SessionManager, UserId, redis::RedisStore, store::SessionStore,
};

use crate::{BoxError, ISSUER, Peer, SECRET, User, alice, page};

async fn user(_: UserId) -> std::result::Result<Option<User>, Infallible> {
    Ok(Some(alice()))
}

fn manager(store: impl SessionStore) -> std::result::Result<SessionManager<User>, BoxError> {
    let sessions = SessionManager::<User>::builder()
        .access_keys(KeyRing::hs256(SECRET)?)
        .refresh_keys(KeyRing::hs256([2; 32])?)
        .issuer(ISSUER)
        .session_limit(None)
        .store(store)
        .claims_source(user)
        .build()?;
    Ok(sessions)
}

async fn login(State(sessions): State<SessionManager<User>>) -> Result<impl IntoResponse> {
    Ok(sessions.login("alice").await?)
}

async fn me(session: Session<User>) -> &'static str {
    page(&session.claims().role)
}

fn routes(sessions: SessionManager<User>) -> Router {
    Router::new().route("/login", post(login)).route("/me", get(me)).layer(sessions.layer()).with_state(sessions)
}

/// Returns the app with sessions in memory and so many revocations in force.
pub(crate) async fn app(revoked: usize) -> std::result::Result<Router, BoxError> {
    let sessions = manager(MemoryStore::new())?;
    for user in 0..revoked / 100 {
        for _ in 0..100 {
            let _cookies = sessions.login(user).await?;
        }
        sessions.end_all(user).await?;
    }
    Ok(routes(sessions))
}

pub(crate) async fn on_redis(url: &str) -> std::result::Result<Router, BoxError> {
    let sessions = manager(RedisStore::connect(url).await?)?;
    sessions.revocation_feed().caught_up().await;
    Ok(routes(sessions))
}

/// The unavoidable cost of a signed token: an HMAC over the bytes of our token.
pub fn bare_hmac(peer: &Peer) -> std::result::Result<impl Fn() -> bool + use<>, BoxError> {
    let cookies = peer.cookies.to_str()?;
    let token = cookies.split("; ").find_map(|pair| pair.strip_prefix("__Host-access=")).ok_or("no access cookie")?;
    let (signed, _) = token.rsplit_once('.').ok_or("no token")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
    let tag = hmac::sign(&key, signed.as_bytes());
    let signed = signed.to_owned();
    Ok(move || hmac::verify(&key, signed.as_bytes(), tag.as_ref()).is_ok())
}
