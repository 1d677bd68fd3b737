//! A client that keeps no cookies: it has the tokens in plain text and sends them itself.

use axum::{
    Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tower_jwt_sessions::{
    Error, PresentedTokens, Session, SessionManager, StoreChecked,
    manager::{SessionManagerBuilder, SessionTokens},
};

use super::{Backend, Claims, TestResponse, World, response::send_body, send};

impl World {
    /// A world whose application also has routes for clients without cookies.
    pub(crate) async fn for_natives(backend: Backend) -> Self {
        Self::for_natives_with(backend, |builder| builder).await
    }

    pub(crate) async fn for_natives_with(
        backend: Backend,
        configure: impl FnOnce(SessionManagerBuilder<Claims>) -> SessionManagerBuilder<Claims>,
    ) -> Self {
        let mut world = Self::with(backend, |builder| configure(builder.accept_bearer_tokens())).await;
        world.app = world.app.merge(native_routes(&world.sessions));
        world
    }

    pub(crate) async fn native(&self, user: &str) -> Native {
        Native::login(&self.app, user).await
    }
}

pub(crate) fn native_routes<C>(sessions: &SessionManager<C>) -> Router
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Router::new()
        .route("/native/{user}", post(login::<C>))
        .route("/live", get(live::<C>))
        .route("/greet-live", get(greet_live::<C>))
        .nest("/oauth", sessions.token_router())
        .layer(sessions.layer())
        .with_state(sessions.clone())
}

async fn login<C>(
    State(sessions): State<SessionManager<C>>,
    presented: PresentedTokens<C>,
    Path(user): Path<String>,
) -> Result<SessionTokens, Error>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    sessions.login(user).replacing(presented).tokens().await
}

async fn live<C: Send + Sync + 'static>(session: StoreChecked<Session<C>>) -> String {
    session.user_id().to_string()
}

async fn greet_live<C: Send + Sync + 'static>(session: Option<StoreChecked<Session<C>>>) -> String {
    session.map_or_else(|| "hello, anonymous".to_owned(), |session| format!("hello, {}", session.user_id()))
}

#[derive(Clone)]
pub(crate) struct Native {
    app: Router,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Native {
    pub(crate) async fn login(app: &Router, user: &str) -> Self {
        let mut native = Self { app: app.clone(), access: String::new(), refresh: String::new() };
        let response = send_body::<&str>(app, &format!("POST /native/{user}"), &[], "").await;
        assert!(native.keep(&response).is_some(), "a login returns both tokens: {}", response.status);
        native
    }

    /// Checks a response of RFC 6749, section 5.1, stores its tokens and returns the new refresh token.
    #[track_caller]
    pub(crate) fn keep(&mut self, response: &TestResponse) -> Option<String> {
        let json = tokens(response);
        self.access = json["access_token"].as_str().expect("an access token").to_owned();
        let refresh = json.get("refresh_token").map(|token| token.as_str().expect("a refresh token").to_owned());
        if let Some(refresh) = &refresh {
            self.refresh.clone_from(refresh);
        }
        refresh
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.access)
    }

    /// Sends a request with the access token.
    pub(crate) async fn send(&self, what: &str) -> TestResponse {
        send(&self.app, what, &[("authorization", self.bearer())]).await
    }

    /// Requests tokens and drops the response.
    pub(crate) async fn ask(&self) -> TestResponse {
        let form = format!("grant_type=refresh_token&refresh_token={}", self.refresh);
        send_form(&self.app, "POST /oauth/token", &form).await
    }

    /// Requests and stores tokens, and returns whether there is a new refresh token.
    pub(crate) async fn refresh(&mut self) -> bool {
        let response = self.ask().await;
        self.keep(&response).is_some()
    }

    pub(crate) async fn revoke(&self, token: &str) -> TestResponse {
        send_form(&self.app, "POST /oauth/revoke", &format!("token={token}&token_type_hint=refresh_token")).await
    }
}

pub(crate) async fn send_form(app: &Router, what: &str, form: &str) -> TestResponse {
    send_body(app, what, &[("content-type", "application/x-www-form-urlencoded")], form).await
}

/// Checks a response with tokens, and returns its body.
#[track_caller]
pub(crate) fn tokens(response: &TestResponse) -> Value {
    let json = response.is(200).json();
    assert_eq!(response.header("content-type"), "application/json");
    assert_eq!((response.header("cache-control"), response.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(response.set_cookies(), Vec::<&str>::new(), "these clients keep no cookies");
    assert_eq!(json["token_type"], "Bearer");
    assert!(json["expires_in"].is_u64() && json["access_token"].is_string());
    let members = 3 + usize::from(json.get("refresh_token").is_some());
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(members));
    json
}

impl TestResponse {
    /// An error of RFC 6749, section 5.2.
    #[track_caller]
    pub(crate) fn is_oauth_error(&self, error: &str) -> &Self {
        let json = self.is(400).json();
        assert_eq!(json["error"], error);
        // section 5.2: %x20-21 / %x23-5B / %x5D-7E
        let description = json["error_description"].as_str().expect("a description");
        assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
        assert_eq!((self.header("content-type"), self.header("cache-control")), ("application/json", "no-store"));
        assert_eq!(self.set_cookies(), Vec::<&str>::new());
        self
    }
}
