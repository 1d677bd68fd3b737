//! The routes of Device Bound Session Credentials, part of the router for browsers where sessions are bound.

use axum::{
    Json, Router,
    middleware::map_response,
    response::{IntoResponse, Response},
    routing::post,
};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use serde_json::json;

use super::route::DeviceRoute;
use crate::{
    auth::Session,
    claims::Claims,
    dbsc::{CHALLENGE_HEADER, REGISTRATION_HEADER},
    error::{Error, ErrorKind},
    manager::{DeviceRefresh, DeviceRegistration, SessionManager},
    problem::Problem,
};

/// Returns the routes; none where sessions are not bound.
pub(super) fn routes<C: Claims>(sessions: &SessionManager<C>) -> Router<SessionManager<C>> {
    if sessions.device_binding().is_none() {
        return Router::new();
    }
    let serve = |router: Router<SessionManager<C>>, route: DeviceRoute| match route {
        DeviceRoute::Register => router.route(route.path(), post(register::<C>)),
        DeviceRoute::Refresh => router.route(route.path(), post(refresh::<C>)),
    };
    DeviceRoute::ALL.into_iter().fold(Router::new(), serve).layer(map_response(isolated))
}

/// Neither a frame nor a page of another origin learns anything from the responses.
async fn isolated(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    response
}

async fn register<C: Claims>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error> {
    let presented = sessions.verifier().present(&parts.headers);
    let DeviceRegistration { cookies, identifier, challenge } =
        sessions.register_device(&presented, &parts.headers).await?;
    let (origin, refresh_url) =
        sessions.device_binding().map(|binding| (binding.origin.clone(), binding.refresh_path())).unwrap_or_default();
    let settings = &sessions.verifier().inner().sources.cookies;
    let session = json!({
        "session_identifier": identifier,
        "refresh_url": refresh_url,
        "scope": { "origin": origin, "include_site": false, "scope_specification": [] },
        "credentials": [
            { "type": "cookie", "name": settings.access_name, "attributes": settings.access_attributes() },
        ],
    });
    Ok(with_challenge((cookies, Json(session)).into_response(), challenge))
}

async fn refresh<C: Claims>(sessions: SessionManager<C>, parts: Parts) -> Result<Response, Error> {
    let presented = sessions.verifier().present(&parts.headers);
    Ok(match sessions.refresh_by_device(&presented, &parts.headers).await? {
        DeviceRefresh::Refreshed { cookies, challenge } => with_challenge(cookies.into_response(), challenge),
        DeviceRefresh::Challenged(challenge) => {
            let refusal = sessions.for_request(&parts).refusal(ErrorKind::ProofRequired).into_response();
            with_challenge(refusal, Some(challenge))
        }
        // Any other 4xx than 403 would end the binding.
        DeviceRefresh::Unverified => sessions.render(&Problem::REFRESH_TOKEN_UNVERIFIED, &parts),
        DeviceRefresh::Over => (StatusCode::OK, Json(json!({ "continue": false }))).into_response(),
    })
}

/// Offers once more to bind a session, if that is due.
pub(super) fn offering<C: Claims>(
    mut response: Response,
    sessions: &SessionManager<C>,
    session: &Session<C>,
    parts: &Parts,
) -> Response {
    if let Some(offer) = sessions.offer_again(session, &parts.headers) {
        response.headers_mut().insert(REGISTRATION_HEADER, offer);
    }
    response
}

fn with_challenge(mut response: Response, challenge: Option<HeaderValue>) -> Response {
    if let Some(challenge) = challenge {
        response.headers_mut().insert(CHALLENGE_HEADER, challenge);
    }
    response
}
