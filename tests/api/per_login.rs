//! What a login says about its own session: how long it lasts, whether its cookies outlast the browser, and facts.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    Error, PresentedTokens, Session, SessionCookies, SessionManager, StoreChecked, UserId,
    clock::Clock as _,
    error::ErrorKind,
    event::{EndReason, RefreshKind, SessionEventKind},
    manager::{ClaimsSource, Login, SessionTerms},
    policy::ReplayWindow,
};

use crate::support::*;

on_every_store!(
    cookies_of_a_login_that_is_not_persistent_end_with_the_browser_after_every_refresh,
    shorter_limits_of_a_login_hold_and_longer_ones_do_not,
    session_claims_travel_through_every_refresh,
    claims_source_sees_the_terms,
    actor_is_shown_in_session_list_and_events,
    acting_ends_at_its_own_limit,
    acting_does_not_outlive_the_own_session,
    acting_ends_alone_or_with_the_own_session,
    outage_does_not_end_acting,
    actor_cannot_end_other_sessions_of_the_user,
);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Facts {
    method: String,
    tenant: u32,
}

fn facts() -> Facts {
    Facts { method: "passkey".to_owned(), tenant: 7 }
}

type Configure = fn(Login<'_, Claims>) -> Login<'_, Claims>;

/// An application with a login that says more, and a page that shows it.
fn site(sessions: &SessionManager<Claims>, configure: Configure) -> Router {
    let login = async move |State(sessions): State<SessionManager<Claims>>,
                            presented: PresentedTokens<Claims>,
                            Path(user): Path<String>|
                -> Result<SessionCookies, Error> {
        configure(sessions.login(user).replacing(presented)).await
    };
    let routes = Router::new().route("/say/{user}", post(login)).route("/facts", get(show_facts));
    routes.layer(sessions.layer()).with_state(sessions.clone()).merge(app(sessions))
}

async fn show_facts(session: Session<Claims>) -> Result<String, Error> {
    Ok(json!(session.session_claims::<Facts>()?).to_string())
}

/// A browser that logs in to such an application.
async fn visitor(world: &World, configure: Configure) -> Browser {
    let mut browser = Browser::new(&site(&world.sessions, configure), &world.clock);
    browser.post("/say/alice").await.is(200);
    browser
}

/// The names of the cookies that a response sets, and whether each outlasts the browser.
fn outlasting(response: &TestResponse) -> Vec<(&str, bool)> {
    let name = |line: &'_ str| line.split('=').next().unwrap_or_default().len();
    response.set_cookies().into_iter().map(|line| (&line[..name(line)], line.contains("Max-Age="))).collect()
}

async fn cookies_of_a_login_that_is_not_persistent_end_with_the_browser_after_every_refresh(backend: Backend) {
    let world = World::with(backend, |builder| builder.replay_window(ReplayWindow::Fixed(seconds(10)))).await;
    for persistent in [true, false] {
        let say: Configure = match persistent {
            true => |login| login.persistent(false).persistent(true),
            false => |login| login.persistent(false),
        };
        let mut browser = Browser::new(&site(&world.sessions, say), &world.clock);
        let both = [(ACCESS, persistent), (REFRESH, persistent)];
        assert_eq!(outlasting(browser.post("/say/alice").await.is(200)), both);

        world.clock.advance(hours(2));
        let before = browser.clone();
        assert_eq!(outlasting(browser.refresh().await.is(200)), both);
        // Repeated, from another tab: the same tokens.
        world.clock.advance(seconds(1));
        let repeated = before.send_only("POST /auth/refresh", &[]).await;
        assert_eq!(outlasting(repeated.is(200)), both);
        assert_eq!(repeated.cookie(REFRESH), browser.cookie(REFRESH));
        // An access token only.
        assert_eq!(outlasting(browser.refresh().await.is(200)), [(ACCESS, persistent)]);

        // New claims, on another node.
        world.sessions.expire_access("alice").await.unwrap();
        let node = world.node(|builder| builder).await;
        browser.visit(&node.app);
        browser.get("/me").await.is_problem(401, "invalid_token");
        world.clock.advance(hours(1));
        assert_eq!(outlasting(browser.refresh().await.is(200)), both);
        browser.get("/me").await.is(200);
    }
}

async fn shorter_limits_of_a_login_hold_and_longer_ones_do_not(backend: Backend) {
    let world = World::new(backend).await;
    let mut kiosk = visitor(&world, |login| login.refresh_lifetime(hours(2)).absolute_lifetime(hours(5))).await;
    let mut greedy =
        visitor(&world, |login| login.refresh_lifetime(hours(24 * 365)).absolute_lifetime(hours(24 * 365))).await;
    let mut plain = world.browser();
    plain.login("alice").await;
    let refresh_cookie = |browser: &Browser| browser.cookies().contains(REFRESH);

    let expires_at = async |browser: &mut Browser| {
        let list = browser.get("/auth/sessions").await.is(200).json();
        let own = list["sessions"].as_array().unwrap().iter().find(|listed| listed["current"] == true).cloned();
        own.unwrap()["expires_at"].as_u64().unwrap()
    };
    let login = world.clock.now().as_secs();
    assert_eq!(expires_at(&mut kiosk).await, login + 2 * 3600);
    for at_most in [4, 5] {
        world.clock.advance(hours(2) - seconds(1));
        kiosk.refresh().await.is(200);
        // Times of a refresh are rounded down to the minute.
        let shown = expires_at(&mut kiosk).await;
        assert!((login + at_most * 3600 - 60..=login + at_most * 3600).contains(&shown), "{shown}");
    }
    // The absolute limit comes before the idle one.
    world.clock.advance(hours(1));
    assert_eq!(kiosk.get("/me").await.json()["expires_in"], json!(null));
    kiosk.refresh().await.is(200);
    assert_eq!(kiosk.get("/me").await.is(200).json()["expires_in"], 2);
    world.clock.advance(seconds(2));
    assert!(!refresh_cookie(&kiosk), "the cookie ends with the session");
    assert_eq!(world.count("alice").await, 2);

    // As long as the configuration allows, and no longer.
    for browser in [&mut greedy, &mut plain] {
        browser.refresh().await.is(200);
    }
    world.clock.advance(hours(7 * 24) - seconds(1));
    assert!(refresh_cookie(&greedy) && refresh_cookie(&plain));
    assert_eq!(world.count("alice").await, 2);
    world.clock.advance(seconds(1));
    assert!(!refresh_cookie(&greedy) && !refresh_cookie(&plain));
    assert_eq!(world.count("alice").await, 0);

    // The idle limit alone, also by the clock of the store.
    let mut idle = visitor(&world, |login| login.refresh_lifetime(hours(2))).await;
    world.clock.advance(hours(1));
    idle.refresh().await.is(200);
    let token = idle.refresh_token();
    world.clock.advance(hours(2));
    let cookie = format!("{REFRESH}={token}");
    send(&world.app, "POST /auth/refresh", &[("cookie", cookie)]).await.is_problem(401, "invalid_refresh_token");
}

async fn session_claims_travel_through_every_refresh(backend: Backend) {
    let world = World::for_natives(backend).await;
    let mut browser = visitor(&world, |login| login.session_claims(&facts())).await;
    let shown = json!(facts());
    assert_eq!(browser.get("/facts").await.is(200).json(), shown);
    assert_eq!(browser.get("/me").await.json()["claims"], json!({ "role": "member" }));

    for round in 0..3 {
        world.users.set_role("alice", &format!("role {round}"));
        world.clock.advance(hours(2));
        let lost = browser.clone();
        lost.send_only("POST /auth/refresh", &[]).await.is(200);
        browser.refresh().await.is(200);
        assert_eq!(browser.get("/facts").await.is(200).json(), shown);
        assert_eq!(browser.get("/me").await.json()["claims"], json!({ "role": format!("role {round}") }));
    }
    // A client without cookies refreshes the same session.
    world.clock.advance(hours(2));
    let tokens = world.sessions.refresh_with_token(&browser.refresh_token()).await.unwrap();
    let bearer = format!("Bearer {}", tokens.access_token());
    let site = site(&world.sessions, |login| login);
    assert_eq!(send(&site, "GET /facts", &[("authorization", bearer)]).await.is(200).json(), shown);

    // Of this session only.
    let mut other = Browser::new(&site, &world.clock);
    other.login("alice").await;
    assert_eq!(other.get("/facts").await.is(200).json(), Value::Null);
}

/// An application in which everybody may act as everybody.
fn support(sessions: &SessionManager<Claims>) -> Router {
    let act = async |State(sessions): State<SessionManager<Claims>>,
                     session: Session<Claims>,
                     presented: PresentedTokens<Claims>,
                     Path(user): Path<String>|
           -> Result<SessionCookies, Error> {
        sessions.login(user).acting(&session).replacing(presented).await
    };
    let who = async |session: Session<Claims>| json!([session.user_id(), session.actor()]).to_string();
    let everywhere = async |State(sessions): State<SessionManager<Claims>>, presented: PresentedTokens<Claims>| {
        sessions.logout_all(&presented).await
    };
    let recent = async |session: Session<Claims>| session.require_recent_login(hours(1)).map(|()| "recent");
    let checked = async |session: StoreChecked<Session<Claims>>| session.user_id().to_string();
    let routes = Router::new()
        .route("/act/{user}", post(act))
        .route("/who", get(who))
        .route("/recent", get(recent))
        .route("/everywhere", post(everywhere));
    let routes = routes.route("/checked", get(checked));
    routes.layer(sessions.layer()).with_state(sessions.clone()).merge(app(sessions))
}

async fn actor_is_shown_in_session_list_and_events(backend: Backend) {
    let world = World::new(backend).await;
    let mut user = world.browser();
    user.login("alice").await;
    let mut staff = Browser::new(&support(&world.sessions), &world.clock);
    staff.login("support").await;
    assert_eq!(staff.get("/who").await.is(200).json(), json!(["support", null]));
    staff.get("/recent").await.is(200);
    world.whole_events();

    staff.post("/act/alice").await.is(200);
    // The user has not logged in here, however recent the session is.
    staff.get("/recent").await.is_problem(403, "insufficient_scope");
    assert_eq!(staff.get("/who").await.is(200).json(), json!(["alice", "support"]));
    assert_eq!(world.count("support").await, 1, "their own session goes on");
    // No third user, and nothing changed.
    staff.post("/act/bob").await.is_problem(403, "already_acting");
    assert_eq!((world.count("bob").await, world.count("alice").await), (0, 2));

    world.clock.advance(seconds(1800));
    staff.refresh().await.is(200);
    assert_eq!(staff.get("/who").await.is(200).json(), json!(["alice", "support"]));
    let list = user.get("/auth/sessions").await.is(200).json();
    let actors: Vec<_> =
        list["sessions"].as_array().unwrap().iter().map(|row| (&row["current"], &row["actor"])).collect();
    assert_eq!(actors.len(), 2);
    assert!(actors.contains(&(&json!(true), &json!(null))), "{list}");
    assert!(actors.contains(&(&json!(false), &json!("support"))), "{list}");
    let listed = world.sessions.list("alice").await.unwrap();
    assert_eq!(
        listed.iter().filter_map(|info| info.actor.as_ref()).map(UserId::as_str).collect::<Vec<_>>(),
        ["support"]
    );

    let stale = staff.clone();
    staff.post("/auth/logout").await.is(200);
    stale.send_only("POST /auth/refresh", &[]).await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.count("support").await, 0, "and ends with the logout");
    let mut events = world.whole_events();
    let own = events.remove(events.len() - 2);
    assert_eq!((own.user_id.as_str(), own.kind), ("support", SessionEventKind::Ended(EndReason::LoggedOut)));
    let kinds: Vec<SessionEventKind> = events.iter().map(|event| event.kind).collect();
    let expected = [
        SessionEventKind::Created,
        SessionEventKind::Refreshed(RefreshKind::Rotated),
        SessionEventKind::Ended(EndReason::LoggedOut),
        SessionEventKind::UsedAfterEnd,
    ];
    assert_eq!(kinds, expected);
    for event in events {
        assert_eq!((event.user_id.as_str(), event.actor.as_ref().map(UserId::as_str)), ("alice", Some("support")));
    }
    user.get("/me").await.is(200);
}

/// By the companion routes: an application that wants that calls the manager.
async fn actor_cannot_end_other_sessions_of_the_user(backend: Backend) {
    let world = World::new(backend).await;
    let mut user = world.browser();
    user.login("alice").await;
    let laptop = user.get("/me").await.json()["id"].as_str().expect("an id").to_owned();
    let mut staff = Browser::new(&support(&world.sessions), &world.clock);
    staff.login("support").await;
    staff.post("/act/alice").await.is(200);
    world.events();
    let others = [
        format!("DELETE /auth/sessions/{laptop}"),
        format!("POST /auth/sessions/{laptop}/end"),
        "POST /auth/logout-all".to_owned(),
    ];
    for what in &others {
        staff.send_only(what, &[]).await.is_problem(403, "insufficient_scope");
    }
    // Nor with two access tokens, of which none counts.
    let twice = format!("{}; {ACCESS}={}", staff.cookies(), staff.access());
    send(&world.app, "POST /auth/logout-all", &[("cookie", twice)]).await.is_problem(403, "insufficient_scope");
    // Nor with a refresh token alone.
    world.clock.advance(seconds(3000));
    staff.forget(ACCESS);
    staff.send_only("POST /auth/logout-all", &[]).await.is_problem(403, "insufficient_scope");
    assert_eq!((world.events(), world.count("alice").await), (vec![], 2));
    staff.refresh().await.is(200);
    // But the own one, by its id too.
    let own = staff.get("/me").await.json()["id"].as_str().expect("an id").to_owned();
    staff.send(&format!("DELETE /auth/sessions/{own}"), &[]).await.is(200);
    user.get("/me").await.is(200);
    assert_eq!(world.count("alice").await, 1);
}

async fn acting_ends_at_its_own_limit(backend: Backend) {
    for (limit, longest) in [(None, 3600), (Some(seconds(600)), 600), (Some(hours(24 * 399)), 5 * 3600)] {
        let world = World::with(backend, |builder| {
            let builder = builder.refresh_lifetime(hours(5)).absolute_lifetime(hours(5));
            match limit {
                Some(limit) => builder.acting_lifetime(limit),
                None => builder,
            }
        });
        let world = world.await;
        let mut staff = Browser::new(&support(&world.sessions), &world.clock);
        staff.login("support").await;
        staff.post("/act/alice").await.is(200);
        let token = staff.refresh_token();
        for _ in 0..2 {
            world.clock.advance(seconds(longest / 2 - 1));
            staff.refresh().await.is(200);
        }
        assert_eq!(world.count("alice").await, 1);
        world.clock.advance(seconds(2));
        assert_eq!((world.count("alice").await, staff.cookies().contains(REFRESH)), (0, false));
        let cookie = format!("{REFRESH}={token}");
        send(&world.app, "POST /auth/refresh", &[("cookie", cookie)]).await.is_problem(401, "invalid_refresh_token");
    }
}

/// A member of the support staff who acts as alice, and the cookies of their own session.
async fn acting(world: &World, app: &Router) -> (Browser, Browser) {
    let mut staff = Browser::new(app, &world.clock);
    staff.login("support").await;
    let own = staff.clone();
    staff.post("/act/alice").await.is(200);
    assert_eq!((world.count("support").await, world.count("alice").await), (1, 1));
    world.events();
    (staff, own)
}

async fn acting_does_not_outlive_the_own_session(backend: Backend) {
    let world =
        World::with(backend, |builder| builder.access_lifetime(seconds(600)).refresh_lifetime(seconds(1200))).await;
    let there = world.node(|builder| builder).await;
    let (here, there_site) = (support(&world.sessions), support(&there.sessions));
    // Logged out, also everywhere, on this node or on another one; and before a refresh or a request.
    for on_other_node in [false, true] {
        for everywhere in [false, true] {
            let (mut staff, mut own) = acting(&world, &here).await;
            // New claims of the actor end nothing.
            world.sessions.expire_access("support").await.unwrap();
            staff.get("/who").await.is(200);
            staff.refresh().await.is(200);
            own.refresh().await.is(200);
            if on_other_node {
                own.visit(&there_site);
            }
            own.post(if everywhere { "/auth/logout-all" } else { "/auth/logout" }).await.is(200);
            // On the other node when it has read the log.
            let site = if on_other_node { &here } else { &there_site };
            for node in [site, if on_other_node { &there_site } else { &here }] {
                staff.visit(node);
                nodes::soon_works(async || staff.clone().get("/who").await.status == 401).await;
                staff.clone().get("/who").await.is_problem(401, "invalid_token");
            }
            world.events();
            staff.visit(&here);
            let token = staff.refresh_token();
            staff.refresh().await.is_problem(401, "invalid_refresh_token");
            assert_eq!(world.count("alice").await, 0);
            let event = world.whole_events().pop().expect("an event");
            assert_eq!(event.kind, SessionEventKind::Ended(EndReason::ActorEnded));
            assert_eq!(event.actor.as_ref().map(UserId::as_str), Some("support"));
            let cookie = format!("{REFRESH}={token}");
            send(&world.app, "POST /auth/refresh", &[("cookie", cookie)])
                .await
                .is_problem(401, "invalid_refresh_token");
            assert_eq!(world.events(), [SessionEventKind::UsedAfterEnd]);
        }
    }
    // At the idle limit of the own session, which nothing refreshes.
    let (mut staff, _) = acting(&world, &here).await;
    world.clock.advance(seconds(1000));
    staff.refresh().await.is(200);
    assert_eq!(staff.get("/checked").await.is(200).body, "alice");
    world.clock.advance(seconds(300));
    staff.get("/who").await.is(200);
    staff.get("/checked").await.is_problem(401, "invalid_token");
    staff.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!(world.count("alice").await, 0);
}

async fn acting_ends_alone_or_with_the_own_session(backend: Backend) {
    let world = World::new(backend).await;
    let site = support(&world.sessions);
    let (mut staff, mut own) = acting(&world, &site).await;
    let id = world.sessions.list("alice").await.unwrap()[0].id;
    world.sessions.end("alice", id).await.unwrap();
    staff.get("/who").await.is_problem(401, "invalid_token");
    own.get("/who").await.is(200);
    own.post("/auth/logout").await.is(200);

    // All of the user's and their own, but no other of the actor's.
    let mut elsewhere = world.browser();
    elsewhere.login("support").await;
    let (mut staff, mut own) = {
        let mut staff = Browser::new(&site, &world.clock);
        staff.login("support").await;
        let own = staff.clone();
        staff.post("/act/alice").await.is(200);
        (staff, own)
    };
    staff.post("/everywhere").await.is(200);
    assert_eq!((world.count("support").await, world.count("alice").await), (1, 0));
    own.get("/who").await.is_problem(401, "invalid_token");
    elsewhere.get("/me").await.is(200);
    elsewhere.post("/auth/logout").await.is(200);

    // The actor logs in again in the same browser.
    let (mut staff, mut own) = acting(&world, &site).await;
    staff.login("support").await;
    assert_eq!((world.count("support").await, world.count("alice").await), (1, 0));
    own.get("/who").await.is_problem(401, "invalid_token");
    // With a token in place of cookies.
    staff.post("/auth/logout").await.is(200);
    let (staff, _) = acting(&world, &site).await;
    assert!(world.sessions.end_with_token(&staff.refresh_token()).await.unwrap());
    assert_eq!((world.count("support").await, world.count("alice").await), (0, 0));
}

async fn outage_does_not_end_acting(backend: Backend) {
    let world = World::new(backend).await;
    let (mut staff, mut own) = acting(&world, &support(&world.sessions)).await;
    world.store.set_down(true);
    staff.get("/who").await.is(200);
    staff.refresh().await.is_problem(503, "store_unavailable");
    // The end of the own session is unfinished, so neither is known to have ended.
    own.post("/auth/logout").await.is_problem(503, "store_unavailable");
    staff.get("/who").await.is_problem(503, "store_unavailable");
    staff.refresh().await.is_problem(503, "store_unavailable");
    world.store.set_down(false);
    staff.refresh().await.is_problem(401, "invalid_refresh_token");
    assert_eq!((world.count("support").await, world.count("alice").await), (0, 0));
}

#[tokio::test]
async fn session_of_another_manager_cannot_act() {
    let world = World::new(Backend::Memory).await;
    let other = world.node(|builder| builder).await;
    let mut staff = world.browser();
    staff.login("support").await;
    let cookies = staff.cookies();
    let mut headers = http::HeaderMap::new();
    headers.insert("cookie", cookies.parse().unwrap());
    let session = world.sessions.verifier().verify(&headers).unwrap();
    let error = other.sessions.login("alice").acting(&session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongManager);
    assert_eq!(world.count("alice").await, 0);
}

/// The role of a user in the tenant that the login named.
struct Tenants;

impl ClaimsSource<Claims> for Tenants {
    async fn load(&self, user: &UserId) -> Result<Option<Claims>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Some(Claims { role: format!("{user}, no tenant") }))
    }

    async fn load_for_session(
        &self,
        user: &UserId,
        terms: &SessionTerms,
    ) -> Result<Option<Claims>, Box<dyn std::error::Error + Send + Sync>> {
        match terms.session_claims::<Facts>()? {
            Some(facts) => Ok(Some(Claims { role: format!("{user} in {}", facts.tenant) })),
            None => self.load(user).await,
        }
    }
}

async fn claims_source_sees_the_terms(backend: Backend) {
    let world = World::with(backend, |builder| builder.claims_source(Tenants)).await;
    for (say, role) in [
        ((|login| login.session_claims(&facts())) as Configure, "alice in 7"),
        (|login| login.persistent(false), "alice, no tenant"),
        (|login| login, "alice, no tenant"),
    ] {
        let mut browser = visitor(&world, say).await;
        assert_eq!(browser.get("/me").await.is(200).json()["claims"]["role"], role);
        world.clock.advance(hours(2));
        browser.refresh().await.is(200);
        assert_eq!(browser.get("/me").await.is(200).json()["claims"]["role"], role);
    }
}

#[tokio::test]
async fn unusable_session_claims_fail_the_login_and_change_nothing() {
    let world = World::new(Backend::Memory).await;
    let large = "x".repeat(3000);
    for (claims, kind) in
        [(json!([1]), "Claims"), (json!("passkey"), "Claims"), (json!({ "photo": large }), "TokenTooLong")]
    {
        let error = world.sessions.login("alice").session_claims(&claims).await.unwrap_err();
        assert_eq!(format!("{:?}", error.kind()), kind, "{error}");
    }
    assert_eq!(world.count("alice").await, 0);
    // They fit as long as the rest of the token leaves room for them, in every later token.
    let error = world.sessions.login("alice").session_claims(&json!({ "photo": &large[..2900] })).await.unwrap_err();
    assert_eq!(error.problem().status(), StatusCode::INTERNAL_SERVER_ERROR);
    drop(world.sessions.login("alice").session_claims(&json!({ "photo": &large[..2000] })).await.unwrap());
}

#[tokio::test]
async fn session_claims_of_another_type_are_an_error_without_their_content() {
    let world = World::new(Backend::Memory).await;
    let mut browser =
        visitor(&world, |login| login.session_claims(&json!({ "method": ["confidential"], "tenant": 7 }))).await;
    browser.get("/facts").await.is_problem(500, "internal_error");
    browser.get("/me").await.is(200);
}

/// Tokens write it as a number, which has a longest form.
#[tokio::test]
async fn limits_beyond_all_measure_are_those_of_the_manager() {
    let world = World::new(Backend::Memory).await;
    for say in [
        (|login| login.refresh_lifetime(Duration::MAX).absolute_lifetime(Duration::MAX)) as Configure,
        |login| login.refresh_lifetime(Duration::from_secs(u64::MAX)),
        |login| login.refresh_lifetime(Duration::ZERO).absolute_lifetime(Duration::ZERO),
    ] {
        let mut browser = visitor(&world, say).await;
        browser.get("/me").await.is(200);
        browser.refresh().await.is(200);
        browser.get("/me").await.is(200);
    }
}
