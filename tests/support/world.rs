//! A small application with sessions, and the surroundings that a test controls.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::HeaderMap,
    routing::{get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    Error, KeyRing, PresentedTokens, Session, SessionCookies, SessionManager, UserId,
    auth::{SessionRejection, SessionRejectionKind},
    event::{SessionEvent, SessionEventKind},
    manager::SessionManagerBuilder,
    policy::ReplayWindow,
    testing::TestClock,
};

use super::{Backend, Browser, TestStore, seconds};

pub(crate) const ISSUER: &str = "https://app.test";
pub(crate) const ACCESS_SECRET: &str = "the access secret, known to nodes only";
pub(crate) const REFRESH_SECRET: &str = "the refresh secret, known to nodes only";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) role: String,
}

/// The application's table of users. Every user that was not removed is a member.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    roles: HashMap<String, String>,
    gone: HashSet<String>,
    down: bool,
    asked: usize,
}

impl Users {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_role(&self, user: &str, role: &str) {
        self.table().roles.insert(user.to_owned(), role.to_owned());
    }

    pub(crate) fn delete(&self, user: &str) {
        self.table().gone.insert(user.to_owned());
    }

    pub(crate) fn restore(&self, user: &str) {
        self.table().gone.remove(user);
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.table().down = down;
    }

    pub(crate) fn asked(&self) -> usize {
        self.table().asked
    }

    async fn claims(self, user: UserId) -> Result<Option<Claims>, String> {
        let mut table = self.table();
        table.asked += 1;
        if table.down {
            return Err("the table of users is locked".to_owned());
        }
        if table.gone.contains(user.as_str()) {
            return Ok(None);
        }
        let role = table.roles.get(user.as_str()).map_or("member", String::as_str).to_owned();
        Ok(Some(Claims { role }))
    }
}

/// One node, its store and its surroundings.
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) store: TestStore,
    pub(crate) users: Users,
    pub(crate) sessions: SessionManager<Claims>,
    pub(crate) app: Router,
    events: Arc<Mutex<Vec<SessionEvent>>>,
}

type Builder = SessionManagerBuilder<Claims>;

impl World {
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::with(backend, |builder| builder).await
    }

    pub(crate) async fn with(backend: Backend, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let clock = TestClock::new();
        let store = TestStore::open(backend, &clock).await;
        Self::around(clock, store, Users::default(), configure).await
    }

    /// Another node on the same store.
    pub(crate) async fn node(&self, configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::around(self.clock.clone(), self.store.clone(), self.users.clone(), configure).await
    }

    async fn around(
        clock: TestClock,
        store: TestStore,
        users: Users,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let events: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        let reported = Arc::clone(&events);
        let builder = builder(&store, &clock)
            .claims_with(users.clone(), Users::claims)
            .on_event(move |event| reported.lock().unwrap_or_else(PoisonError::into_inner).push(event.clone()));
        let sessions = build(configure(builder)).await;
        let app = app(&sessions);
        Self { clock, store, users, sessions, app, events }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.app, &self.clock)
    }

    /// Returns the events since the last call.
    pub(crate) fn events(&self) -> Vec<SessionEventKind> {
        self.whole_events().into_iter().map(|event| event.kind).collect()
    }

    pub(crate) fn whole_events(&self) -> Vec<SessionEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the number of a user's sessions.
    pub(crate) async fn count(&self, user: &str) -> usize {
        self.sessions.list(user).await.expect("a list").len()
    }
}

/// A configuration with keys, an issuer, this store and this clock.
pub(crate) fn builder<C>(store: &TestStore, clock: &TestClock) -> SessionManagerBuilder<C>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    SessionManager::<C>::builder()
        // Ten seconds after the rotation, unless a test sets another.
        .replay_window(ReplayWindow::Fixed(seconds(10)))
        .access_keys(KeyRing::hs256(ACCESS_SECRET).expect("long enough"))
        .refresh_keys(KeyRing::hs256(REFRESH_SECRET).expect("long enough"))
        .issuer(ISSUER)
        .store(store.clone())
        .clock(clock.clone())
}

/// Returns a manager that has read every earlier revocation.
pub(crate) async fn build<C>(builder: SessionManagerBuilder<C>) -> SessionManager<C>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let sessions = builder.build().expect("a valid configuration");
    sessions.revocation_feed().caught_up().await;
    sessions
}

/// Returns the application: a login, pages with required or optional sessions, and the companion router.
pub(crate) fn app<C>(sessions: &SessionManager<C>) -> Router
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Router::new()
        .route("/login/{user}", post(login::<C>).layer(sessions.cross_site_guard()))
        .route("/me", get(me::<C>).post(me::<C>))
        .route("/greet", get(greet::<C>))
        .route("/why", get(why::<C>))
        .nest("/auth", sessions.router())
        .layer(sessions.layer())
        .with_state(sessions.clone())
}

async fn login<C>(
    State(sessions): State<SessionManager<C>>,
    presented: PresentedTokens<C>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<(SessionCookies, &'static str), Error>
where
    C: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut login = sessions.login(user).replacing(presented);
    if let Some(user_agent) = header("user-agent") {
        login = login.user_agent(user_agent);
    }
    if let Some(ip) = header("x-client").and_then(|ip| ip.parse::<IpAddr>().ok()) {
        login = login.ip(ip);
    }
    Ok((login.await?, "welcome"))
}

async fn me<C: Serialize + Send + Sync + 'static>(session: Session<C>) -> Json<Value> {
    Json(json!({
        "user": session.user_id(),
        "id": session.id(),
        "claims": session.claims(),
        "expires_in": session.expires_in().as_secs(),
    }))
}

async fn greet<C: Send + Sync + 'static>(session: Option<Session<C>>) -> String {
    session.map_or_else(|| "hello, anonymous".to_owned(), |session| format!("hello, {}", session.user_id()))
}

async fn why<C: Send + Sync + 'static>(session: Result<Session<C>, SessionRejection>) -> String {
    match session.as_ref().map_err(SessionRejection::kind) {
        Ok(session) => format!("{}", session.user_id()),
        Err(SessionRejectionKind::Unauthenticated(reason)) => format!("{reason:?}"),
        Err(other) => format!("{other:?}"),
    }
}
