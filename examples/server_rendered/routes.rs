//! The routes. Handlers that take a [`Session`] need a login: without one, a browser is redirected to the login form and
//! back afterwards. They take [`Sessions`] itself and not `State<Sessions>`, so that events and errors know the request.

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::{HeaderValue, header},
    middleware::map_response,
    response::{Redirect, Response},
    routing::{get, post},
};
use tower_jwt_sessions::guard::{require, require_recent_login};

use crate::{
    account, admin, error, notes,
    sessions::{Claims, RECENT, Session, Sessions},
    users::{Role, Users},
};

#[derive(Clone, FromRef)]
struct App {
    sessions: Sessions,
    users: Users,
}

pub(crate) fn router(sessions: Sessions, users: Users) -> Router {
    // The last layer is the first to decide: users who are no administrators are not asked for their password.
    let administration = Router::new()
        .route("/admin", get(admin::page))
        .route("/admin/users/{name}/role", post(admin::set_role))
        .route("/admin/users/{name}/act", post(admin::act))
        .layer(require_recent_login::<Claims>(RECENT))
        .layer(require(|session: &Session| session.claims().role == Role::Admin));
    // Not for an administrator who acts as the user.
    let own_account = Router::new()
        .route("/password", get(account::password_form).post(account::change_password))
        .route("/devices/{id}/end", post(account::end_device))
        .layer(require(|session: &Session| session.actor().is_none()));
    let pages = Router::new()
        .route("/", get(async || Redirect::to("/dashboard")))
        .route("/login", get(account::login_form).post(account::login))
        .route("/dashboard", get(notes::dashboard))
        .route("/notes", post(notes::add))
        .route("/devices", get(account::devices))
        .route("/act/end", post(admin::end_acting))
        .merge(own_account)
        .merge(administration)
        .fallback(error::not_found)
        // Refuses forms that other sites send, also to the login.
        .layer(sessions.cross_site_guard());
    Router::new()
        .merge(pages)
        .layer(map_response(private))
        .layer(DefaultBodyLimit::max(16 * 1024))
        // Verifies the access token of every request, and renews an expired one before the page is made.
        .layer(sessions.renewal_layer())
        // The logout forms, which verify and guard themselves.
        .merge(sessions.router())
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css")], include_str!("style.css"))))
        .with_state(App { sessions, users })
}

/// No cache may store pages of one user; no script runs in them, and no other site may show them in a frame.
async fn private(mut response: Response) -> Response {
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
