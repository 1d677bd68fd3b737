//! The routes and their common layers.

mod account;
mod admin;
mod live;
mod login;
mod notes;
mod page;
mod theft;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::{HeaderValue, header},
    middleware::map_response,
    response::Response,
    routing::{delete, get, post, put},
};
use tower_jwt_sessions::SessionManager;

use crate::{
    Claims,
    problem::{method_not_allowed, not_found},
    server::Stopping,
    users::Users,
};

/// The state of the handlers. Each extracts the part that it uses: `State<Sessions>` or `State<Users>`.
#[derive(Clone, FromRef)]
struct App {
    sessions: Sessions,
    users: Users,
    stopping: Stopping,
}

type Sessions = SessionManager<Claims>;
type Session = tower_jwt_sessions::Session<Claims>;
type PresentedTokens = tower_jwt_sessions::PresentedTokens<Claims>;

/// The longest body is a note.
const MAX_BODY: usize = 16 * 1024;

pub(crate) fn router(sessions: Sessions, users: Users, stopping: Stopping) -> Router {
    // Refuses cross-site requests on routes that change something. Without the guard on the login, another site could
    // log the browser in as another user.
    let guarded = Router::new()
        .route("/login", post(login::login))
        .route("/notes", get(notes::read).put(notes::write))
        .route("/theft/copy", post(theft::copy))
        .route("/theft/use", post(theft::use_copy))
        .route("/theft/elsewhere", post(theft::use_elsewhere))
        .route("/admin/users/{name}/role", put(admin::set_role))
        .route("/admin/users/{name}", delete(admin::delete_user))
        .layer(sessions.cross_site_guard());

    // Refresh, logout and the list of sessions, with their own guards; the browser module and its events. They say
    // themselves what caches may store.
    let events_until = {
        let stopping = stopping.clone();
        move || stopping.clone().requested()
    };
    let auth = sessions.router().merge(sessions.client_router(events_until));

    Router::new()
        .merge(guarded)
        .route("/me", get(account::me))
        .route("/hello", get(account::hello))
        .route("/admin", get(admin::welcome))
        .route("/live", get(live::events))
        // A WebSocket begins with a GET, which the guard above accepts from any site.
        .route("/ws", get(live::socket).layer(sessions.upgrade_guard()))
        // No cache may store the responses above, which are about one user. The page is the same for all users.
        .layer(map_response(never_stored))
        .nest("/auth", auth)
        .merge(page::router())
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // Verifies the access token of every request. It only covers the routes above it, so it comes last.
        .layer(sessions.layer())
        .with_state(App { sessions, users, stopping })
}

async fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
