//! The router for browsers: refresh, logout and the list of sessions.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    handler::Handler,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post},
};
use http::{Method, header, request::Parts};
use serde::Deserialize;
use serde_json::json;

use super::{no_store, route::BrowserRoute};
use crate::{
    auth::Session,
    claims::Claims,
    error::{Error, ErrorKind},
    id::SessionId,
    manager::{SessionInfo, SessionManager},
    pages::{NextPath, is_form},
    problem::Problem,
};

/// How long caches may keep the public keys. A new key has to be published for longer than that before it signs.
const JWKS_CACHE_CONTROL: &str = "public, max-age=300";

impl<C: Claims> SessionManager<C> {
    /// Returns the companion router: routes for browsers, to be nested into a router of any state.
    ///
    /// | route | success | needs |
    /// |---|---|---|
    /// | `POST /refresh` | `{"success":true,"expires_in":3600}` and new cookies | a refresh token |
    /// | `POST /logout` | `{"success":true}`, cookies removed, the session ended | nothing |
    /// | `POST /logout-all` | the same, every session of the user ended | a valid access token, or an unexpired refresh token of a live session |
    /// | `GET /sessions` | `{"sessions":[{"id","current","created_at","refreshed_at","expires_at","user_agent","ip","actor","bound"}]}` | an access token |
    /// | `DELETE /sessions/{id}` | `{"success":true}`, that session of the user ended | an access token |
    /// | `POST /sessions/{id}/end` | the same, for forms, which have no `DELETE` | an access token |
    /// | `POST /dbsc/register` | the description of a session for browsers that bind it to their device, only with `device_binding` | a refresh token and a signature of a recent login's challenge |
    /// | `POST /dbsc/refresh` | new cookies, or `{"continue":false}` when the session has ended; 403 `proof_required` with the challenge to sign; only with `device_binding` | a refresh token and a signature by the key of the device |
    /// | `GET /jwks.json` | the public keys of access tokens as a JWK set (RFC 7517); 404 `no_public_keys` when there are only secrets | nothing |
    ///
    /// Times are seconds since the Unix epoch, those of refreshes to the minute, as in
    /// [`list_for`](SessionManager::list_for). A session in which someone [acts](crate::manager::Login::acting) as the user
    /// can end itself, and no other one: `403` `insufficient_scope`. Errors are [`Problem`] documents. Requests from other
    /// sites are refused, responses are not cached except `jwks.json`, for five minutes, and no body contains a token. The
    /// router verifies requests itself, so it works with and without the layer.
    ///
    /// # Forms
    ///
    /// A form that a browser submits is answered with `303 See Other` in place of the JSON document, to the path in the
    /// parameter `next` of its address, read as a [`NextPath`], or, after a logout, to
    /// [`after_logout`](crate::manager::SessionManagerBuilder::after_logout). If neither is there, forms get JSON as well.
    /// Without a session they lead to the [`login_url`](crate::manager::SessionManagerBuilder::login_url).
    ///
    /// ```html
    /// <form method="post" action="/auth/logout"><button>Log out</button></form>
    /// <form method="post" action="/auth/sessions/AAECAwQFBgcICQoLDA0ODw/end?next=/devices"><button>End</button></form>
    /// ```
    ///
    /// ```
    /// use axum::Router;
    /// use tower_jwt_sessions::SessionManager;
    ///
    /// fn app(sessions: &SessionManager) -> Router {
    ///     Router::new().nest("/auth", sessions.router()).layer(sessions.layer())
    /// }
    /// # let _ = app;
    /// ```
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let serve = |router: Router<Self>, route: BrowserRoute| router.route(route.path(), handler(route));
        let guarded = BrowserRoute::GUARDED.into_iter().fold(Router::new(), serve);
        #[cfg(feature = "dbsc")]
        let guarded = guarded.merge(super::device::routes(self));
        let router = guarded.layer(self.cross_site_guard()).layer(map_response(no_store));
        BrowserRoute::PUBLIC.into_iter().fold(router, serve).with_state(self.for_all_requests())
    }
}

fn handler<C: Claims>(route: BrowserRoute) -> MethodRouter<SessionManager<C>> {
    match route {
        BrowserRoute::Refresh => at(&route.method(), refresh::<C>),
        BrowserRoute::Logout => at(&route.method(), logout::<C>),
        BrowserRoute::LogoutAll => at(&route.method(), logout_all::<C>),
        BrowserRoute::List => at(&route.method(), list::<C>),
        BrowserRoute::End | BrowserRoute::EndByForm => at(&route.method(), end::<C>),
        BrowserRoute::Jwks => at(&route.method(), jwks::<C>),
    }
}

fn at<T: 'static, S: Clone + Send + Sync + 'static>(method: &Method, handler: impl Handler<T, S>) -> MethodRouter<S> {
    match *method {
        Method::GET => get(handler),
        Method::DELETE => delete(handler),
        _ => post(handler),
    }
}

async fn refresh<C>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error>
where
    C: Claims,
{
    let presented = sessions.verifier().present(&parts.headers);
    let cookies = match sessions.refresh(&presented).await {
        // With an access token that is good, the browser has refreshed just before.
        #[cfg(feature = "dbsc")]
        Err(error) if error.kind() == ErrorKind::ProofRequired && presented.session().is_none() => {
            return Ok((sessions.access_removal()?, error).into_response());
        }
        refreshed => refreshed?,
    };
    let expires_in = cookies.expires_in().unwrap_or_default().as_secs();
    Ok((cookies, Json(json!({ "success": true, "expires_in": expires_in }))).into_response())
}

async fn logout<C>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error>
where
    C: Claims,
{
    let cookies = sessions.logout(&sessions.verifier().present(&parts.headers)).await?;
    Ok((cookies, done(&parts, sessions.after_logout())).into_response())
}

async fn logout_all<C>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error>
where
    C: Claims,
{
    let presented = sessions.verifier().present(&parts.headers);
    match sessions.logout_all_by_user(&presented).await {
        Ok(Some(cookies)) => Ok((cookies, done(&parts, sessions.after_logout())).into_response()),
        Ok(None) => Ok(sessions.render(&Problem::INSUFFICIENT_SCOPE, &parts)),
        // No user is known whose sessions to end, so success would be a false claim. If credentials are missing or
        // cannot be verified now, the response says that instead.
        Err(error) if error.kind() == ErrorKind::SessionEnded => match authenticate(&sessions, &parts) {
            Ok(_) => Err(error),
            Err(response) => Ok(*response),
        },
        Err(error) => Err(error),
    }
}

async fn list<C>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error>
where
    C: Claims,
{
    let session = match authenticate(&sessions, &parts) {
        Ok(session) => session,
        Err(response) => return Ok(*response),
    };
    let listed = sessions.list_for(&session).await?;
    let rows: Vec<_> = listed.into_iter().map(|info| row(info, session.id())).collect();
    Ok(Json(json!({ "sessions": rows })).into_response())
}

/// Read by name, since the router may be nested below other parameters.
#[derive(Deserialize)]
struct SessionPath {
    id: String,
}

async fn end<C>(
    sessions: SessionManager<C>,
    path: Result<Path<SessionPath>, PathRejection>,
    parts: Parts,
) -> Result<Response, Error>
where
    C: Claims,
{
    let session = match authenticate(&sessions, &parts) {
        Ok(session) => session,
        Err(response) => return Ok(*response),
    };
    // Only the sessions of this user are looked up, so the response does not tell whether another user has that one.
    let ended = match path.ok().and_then(|Path(path)| path.id.parse().ok()) {
        Some(id) if session.actor().is_some() && id != session.id() => {
            return Ok(sessions.render(&Problem::INSUFFICIENT_SCOPE, &parts));
        }
        Some(id) => sessions.end(session.user_id(), id).await?,
        None => false,
    };
    Ok(if ended { done(&parts, None) } else { sessions.render(&Problem::SESSION_NOT_FOUND, &parts) })
}

async fn jwks<C>(State(sessions): State<SessionManager<C>>, parts: Parts) -> Response
where
    C: Claims,
{
    match sessions.access_keys().public_jwks() {
        Some(jwks) => {
            let media_type = (header::CONTENT_TYPE, "application/jwk-set+json");
            ([media_type, (header::CACHE_CONTROL, JWKS_CACHE_CONTROL)], jwks).into_response()
        }
        // Not cached: otherwise a first public key would be noticed late.
        None => sessions.render(&Problem::NO_PUBLIC_KEYS, &parts),
    }
}

impl<C: Claims> SessionManager<C> {
    pub(super) fn render(&self, problem: &Problem, parts: &Parts) -> Response {
        let renderer = &self.verifier().inner().renderer;
        renderer.render(problem, &renderer.recipient(parts))
    }
}

pub(super) fn authenticate<C>(sessions: &SessionManager<C>, parts: &Parts) -> Result<Session<C>, Box<Response>>
where
    C: Claims,
{
    let verifier = sessions.verifier();
    verifier.verify(&parts.headers).map_err(|reason| Box::new(verifier.reject(reason, parts).into_response()))
}

/// The response to a command that was carried out: forms go to a page, scripts get a document.
fn done(parts: &Parts, configured: Option<&NextPath>) -> Response {
    let place = is_form(&parts.headers).then(|| NextPath::in_query(&parts.uri).or_else(|| configured.cloned()));
    match place.flatten() {
        Some(place) => place.into_response(),
        None => Json(json!({ "success": true })).into_response(),
    }
}

fn row(info: SessionInfo, current: SessionId) -> serde_json::Value {
    let seconds = |time: std::time::SystemTime| crate::clock::Timestamp::from(time).as_secs();
    json!({
        "id": info.id,
        "current": info.id == current,
        "created_at": seconds(info.created_at),
        "refreshed_at": seconds(info.refreshed_at),
        "expires_at": seconds(info.expires_at),
        "user_agent": info.user_agent,
        "ip": info.ip,
        "actor": info.actor,
        "bound": info.bound,
    })
}
