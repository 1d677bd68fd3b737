//! A login is under way while its user's sessions are ended: the account is closed, or the password changes.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::{sync::oneshot, task::JoinHandle};
use tower_jwt_sessions::{Session, SessionManager, UserId, error::ErrorKind};

use crate::support::*;

on_every_store!(
    login_to_account_closed_after_claims_were_read_is_refused,
    login_to_account_closed_while_claims_are_read_again_is_refused,
    login_reads_claims_again_when_they_changed,
    login_with_old_password_during_change_is_refused,
    login_with_old_password_during_change_elsewhere_is_refused,
    end_of_all_at_password_change_leaves_no_old_login,
    proof_from_after_the_end_is_accepted,
    proof_of_a_login_without_an_end_is_accepted,
    proof_in_the_millisecond_of_the_end_is_refused,
    proof_expires_after_half_an_hour,
    proof_of_an_earlier_request_is_refused,
);

type Pause = (oneshot::Sender<()>, oneshot::Receiver<()>);

/// The account of Alice: her password, none if it is closed.
#[derive(Clone, Default)]
struct Account {
    password: Arc<Mutex<Option<String>>>,
    role: Arc<Mutex<String>>,
    /// Holds the next reading of the table.
    pause: Arc<Mutex<Option<Pause>>>,
}

impl Account {
    fn new() -> Self {
        let account = Self::default();
        account.change(Some("old"));
        account
    }

    fn change(&self, password: Option<&str>) {
        *self.password.lock().unwrap_or_else(PoisonError::into_inner) = password.map(str::to_owned);
    }

    /// Reads the table, and returns the value later.
    async fn read(&self) -> Option<(String, String)> {
        let password = self.password.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let role = self.role.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((has_read, go)) = pause {
            has_read.send(()).expect("the test waits for it");
            go.await.expect("the test releases it");
        }
        password.map(|password| (password, role))
    }

    async fn claims(self, _: UserId) -> Result<Option<Claims>, std::convert::Infallible> {
        Ok(self.read().await.map(|(_, role)| Claims { role }))
    }
}

#[derive(Clone)]
struct App {
    sessions: SessionManager<Claims>,
    account: Account,
}

/// Checks the password as an application does: reads the hash first, then takes time to compare it.
async fn sign_in(State(app): State<App>, Path(password): Path<String>) -> Response {
    let proof = app.sessions.start_proof();
    let Some((right, _)) = app.account.read().await else { return StatusCode::FORBIDDEN.into_response() };
    if right != password {
        return StatusCode::FORBIDDEN.into_response();
    }
    match app.sessions.login("alice").proven_since(proof).await {
        Ok(cookies) => cookies.into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Does what an account page does.
async fn change_password(State(app): State<App>, session: Session<Claims>, Path(password): Path<String>) -> Response {
    app.account.change(Some(&password));
    match app.sessions.end_others(&session).await {
        Ok(ended) => ended.to_string().into_response(),
        Err(failed) => failed.into_response(),
    }
}

struct Scene {
    world: World,
    account: Account,
    app: Router,
}

impl Scene {
    async fn new(backend: Backend) -> Self {
        let account = Account::new();
        let world = World::with(backend, |builder| builder.claims_with(account.clone(), Account::claims)).await;
        Self::around(world, account)
    }

    async fn other_node(&self) -> Self {
        let account = self.account.clone();
        let world = self.world.node(|builder| builder.claims_with(account.clone(), Account::claims)).await;
        Self::around(world, account)
    }

    fn around(world: World, account: Account) -> Self {
        let app = Router::new()
            .route("/sign-in/{password}", post(sign_in))
            .route("/password/{password}", post(change_password))
            .route("/me", get(async |session: Session<Claims>| session.claims().role.clone()))
            .layer(world.sessions.layer())
            .with_state(App { sessions: world.sessions.clone(), account: account.clone() });
        Self { world, account, app }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.app, &self.world.clock)
    }

    /// Begins a login whose next reading of the table is held after it has read, until it is released.
    async fn begin(&self, app: &Router, path: &str) -> (oneshot::Sender<()>, JoinHandle<(Browser, TestResponse)>) {
        let ((has_read, read), (go, wait)) = (oneshot::channel(), oneshot::channel());
        *self.account.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some((has_read, wait));
        let (mut browser, path) = (Browser::new(app, &self.world.clock), path.to_owned());
        let login = tokio::spawn(async move {
            let response = browser.post(&path).await;
            (browser, response)
        });
        read.await.expect("the login reads the table");
        self.world.clock.advance(millis(300));
        (go, login)
    }
}

async fn finish((go, login): (oneshot::Sender<()>, JoinHandle<(Browser, TestResponse)>)) -> (Browser, TestResponse) {
    go.send(()).expect("the login waits");
    login.await.expect("a response")
}

async fn login_to_account_closed_after_claims_were_read_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    let login = scene.begin(&scene.world.app, "/login/alice").await;
    scene.account.change(None);
    assert_eq!(scene.world.sessions.end_all("alice").await.expect("an end"), 0);
    let (browser, response) = finish(login).await;
    response.is_problem(403, "user_not_found");
    assert_eq!((browser.cookies(), scene.world.count("alice").await), (String::new(), 0));
    assert_eq!(scene.world.events(), Vec::new());
}

async fn login_to_account_closed_while_claims_are_read_again_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    let there = scene.other_node().await;
    let login = scene.begin(&scene.world.app, "/login/alice").await;
    assert_eq!(there.world.sessions.expire_access("alice").await.expect("an expiry"), 0);
    // The login loads the claims again, and is held again.
    let ((has_read, read), (go_on, wait)) = (oneshot::channel(), oneshot::channel());
    *scene.account.pause.lock().unwrap_or_else(PoisonError::into_inner) = Some((has_read, wait));
    login.0.send(()).expect("the login waits");
    read.await.expect("the login reads the table again");
    scene.account.change(None);
    assert_eq!(there.world.sessions.end_all("alice").await.expect("an end"), 0);
    let (_, response) = finish((go_on, login.1)).await;
    response.is_problem(403, "user_not_found");
}

async fn login_reads_claims_again_when_they_changed(backend: Backend) {
    let scene = Scene::new(backend).await;
    let login = scene.begin(&scene.world.app, "/login/alice").await;
    *scene.account.role.lock().unwrap_or_else(PoisonError::into_inner) = "guest".to_owned();
    scene.world.sessions.end_all("alice").await.expect("an end");
    let (browser, response) = finish(login).await;
    response.is(200);
    let mut here = scene.browser();
    here.plant(ACCESS, &browser.cookie(ACCESS).expect("a cookie"));
    assert_eq!(here.get("/me").await.is(200).body, "guest");
}

/// Changes the password in a browser of this node while another checks the old one.
async fn password_changed(scene: &Scene, node: &Scene) {
    let mut owner = node.browser();
    owner.post("/sign-in/old").await.is(200);
    scene.world.events();
    let login = scene.begin(&scene.app, "/sign-in/old").await;
    assert_eq!(owner.post("/password/new").await.is(200).body, "0");
    let (browser, response) = finish(login).await;
    response.is_problem(401, "proof_outdated");
    assert_eq!(browser.cookies(), String::new());
    assert_eq!((scene.world.count("alice").await, scene.world.events()), (1, Vec::new()));
    scene.browser().post("/sign-in/old").await.is(403);
    owner.get("/me").await.is(200);
}

async fn login_with_old_password_during_change_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    password_changed(&scene, &scene).await;
}

async fn login_with_old_password_during_change_elsewhere_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    password_changed(&scene, &scene.other_node().await).await;
}

/// At any time one attempt is in flight.
async fn end_of_all_at_password_change_leaves_no_old_login(backend: Backend) {
    let scene = Scene::new(backend).await;
    for slow in [0, 1, 10, 300, 5_000, 60_000] {
        scene.account.change(Some("old"));
        let login = scene.begin(&scene.app, "/sign-in/old").await;
        scene.world.clock.advance(millis(slow));
        scene.account.change(Some("new"));
        scene.world.sessions.end_all("alice").await.expect("an end");
        scene.world.clock.advance(millis(slow));
        finish(login).await.1.is_problem(401, "proof_outdated");
        assert_eq!(scene.world.count("alice").await, 0);
    }
}

async fn proof_from_after_the_end_is_accepted(backend: Backend) {
    let scene = Scene::new(backend).await;
    let there = scene.other_node().await;
    for passed in [2, 60_000, 29 * 60_000] {
        scene.world.sessions.end_all("alice").await.expect("an end");
        scene.world.clock.advance(millis(passed));
        there.browser().post("/sign-in/old").await.is(200);
        // Also a slow login.
        let login = there.begin(&there.app, "/sign-in/old").await;
        let (_, response) = finish(login).await;
        response.is(200);
        assert_eq!(scene.world.count("alice").await, 2);
    }
}

async fn proof_of_a_login_without_an_end_is_accepted(backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut first = scene.browser();
    first.post("/sign-in/old").await.is(200);
    let login = scene.begin(&scene.app, "/sign-in/old").await;
    scene.world.sessions.expire_access("alice").await.expect("an expiry");
    let id = scene.world.sessions.list("alice").await.expect("a list")[0].id;
    assert!(scene.world.sessions.end("alice", id).await.expect("an end"));
    scene.world.sessions.end_all("bob").await.expect("an end");
    finish(login).await.1.is(200);
}

/// With a clock that stands still the order of two steps is unknown.
async fn proof_in_the_millisecond_of_the_end_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    scene.world.sessions.end_all("alice").await.expect("an end");
    scene.browser().post("/sign-in/old").await.is_problem(401, "proof_outdated");
}

async fn proof_expires_after_half_an_hour(backend: Backend) {
    let scene = Scene::new(backend).await;
    for (minutes, status) in [(29, 200), (30, 401), (24 * 60, 401)] {
        let login = scene.begin(&scene.app, "/sign-in/old").await;
        scene.world.clock.advance(seconds(minutes * 60) - millis(300));
        finish(login).await.1.is(status);
    }
}

async fn proof_of_an_earlier_request_is_refused(backend: Backend) {
    let scene = Scene::new(backend).await;
    let sessions = &scene.world.sessions;
    scene.world.clock.advance(seconds(60));
    sessions.end_all("alice").await.expect("an end");
    scene.world.clock.advance(seconds(60));
    for (ago, is_refused) in [(59, false), (60, true), (61, true), (3_600, true)] {
        let proof = sessions.start_proof().earlier_by(seconds(ago));
        let refused = sessions.login("alice").proven_since(proof).await.err().map(|error| error.kind());
        assert_eq!(refused, is_refused.then_some(ErrorKind::ProofOutdated), "{ago} s");
    }
}
