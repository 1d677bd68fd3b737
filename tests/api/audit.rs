//! Events in the form for audit logs.

use std::net::IpAddr;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use serde_json::{Value, json};
use tower_jwt_sessions::{
    Error, Session, SessionManager,
    event::{
        EndReason::{Evicted, LoggedOut, RefreshTokenReused, Replaced, Requested},
        Operation, RefreshKind,
        SessionEventKind::{AccessExpired, Created, Ended, RefreshTokenReused as Reused, Refreshed, UsedAfterEnd},
    },
    manager::SessionManagerBuilder,
    policy::SessionLimit,
};

use crate::support::*;

on_every_store!(
    events_have_a_stable_form,
    events_tell_operation_and_request,
    events_of_the_application_tell_their_request,
    end_after_an_outage_tells_the_request_of_the_logout,
);

async fn events_have_a_stable_form(backend: Backend) {
    let world = World::new(backend).await;
    let lines = |world: &World| -> Vec<Value> {
        let events = world.whole_events();
        events.iter().map(|event| serde_json::from_str(&event.to_json()).expect("JSON")).collect()
    };
    let ip: IpAddr = "2001:db8::1".parse().expect("an address");
    let login = world.sessions.login("al\n\"ice").user_agent("Browser/1 \"x\"").ip(ip);
    let headers = cookies::browser(login.await.expect("a login"));
    let session = world.sessions.verifier().verify(&headers).expect("a session");
    let of = |event: &str, operation: &str| json!({ "event": event, "user_id": "al\n\"ice", "session_id": session.id(), "operation": operation });
    let with = |event: &str, operation: &str, name: &str, value: &str| {
        let mut line = of(event, operation);
        line[name] = value.into();
        line
    };
    let mut created = with("session_created", "login", "user_agent", "Browser/1 \"x\"");
    created["ip"] = "2001:db8::1".into();
    assert_eq!(lines(&world), [created]);

    world.clock.advance(hours(2));
    let presented = world.sessions.verifier().present(&headers);
    let _lost = world.sessions.refresh(&presented).await.expect("a refresh");
    let _lost = world.sessions.refresh(&presented).await.expect("a repeated one");
    world.sessions.expire_access("al\n\"ice").await.expect("expired");
    world.sessions.end("al\n\"ice", session.id()).await.expect("an end");
    world.sessions.refresh(&presented).await.expect_err("it has ended");
    let rest = [
        with("session_renewed", "refresh", "tokens", "rotated"),
        with("session_renewed", "refresh", "tokens", "repeated"),
        of("session_access_expired", "expire_access"),
        with("authn_token_revoked", "end", "reason", "requested"),
        of("session_use_after_expire", "refresh"),
    ];
    assert_eq!(lines(&world), rest);
    // One line each, whatever the user is called; nothing personal in `Debug`.
    let cookies = world.sessions.login("bob").user_agent("Browser/2").ip(ip).await.expect("a login");
    let _removed =
        world.sessions.logout(&world.sessions.verifier().present(&cookies::browser(cookies))).await.expect("a logout");
    for event in world.whole_events() {
        assert!(!event.to_json().contains('\n'));
        let printed = format!("{event:?}");
        assert!(!printed.contains("Browser/2") && !printed.contains("2001"), "{printed}");
    }
}

type Headers = &'static [(&'static str, &'static str)];

/// The requests of one client, whose address a proxy states.
const CLIENT: Headers = &[("user-agent", "Browser/1"), ("x-real-ip", "2001:db8::1")];
const NAVIGATION: Headers = &[
    ("user-agent", "Browser/1"),
    ("x-real-ip", "2001:db8::1"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-site", "same-origin"),
];

fn behind_a_proxy(builder: SessionManagerBuilder<Claims>) -> SessionManagerBuilder<Claims> {
    builder.client_ip(|headers, _| headers.get("x-real-ip")?.to_str().ok()?.parse().ok())
}

/// Takes the events and checks that all of them are of that client.
fn of_client(world: &World) -> Vec<(tower_jwt_sessions::event::SessionEventKind, Operation)> {
    let events = world.whole_events();
    for event in &events {
        assert_eq!(event.user_agent.as_deref(), Some("Browser/1"), "{event:?}");
        assert_eq!(event.ip, "2001:db8::1".parse().ok(), "{event:?}");
    }
    events.into_iter().map(|event| (event.kind, event.operation)).collect()
}

async fn events_tell_operation_and_request(backend: Backend) {
    let world = World::with(backend, |builder| {
        behind_a_proxy(builder).session_limit(SessionLimit::evict(const { std::num::NonZeroU32::new(2).unwrap() }))
    })
    .await;
    let pages = Router::new().route("/page", get(async |_: Session<Claims>| "page"));
    let app = pages.layer(world.sessions.renewal_layer()).with_state(()).merge(world.app.clone());
    let mut browser = Browser::new(&app, &world.clock);
    // Neither cookies nor a statement of the login: the request alone.
    browser.send("POST /login/alice", CLIENT).await.is(200);
    assert_eq!(of_client(&world), [(Created, Operation::Login)]);
    // The same user, another one, and back.
    for user in ["alice", "bob", "alice"] {
        browser.send(&format!("POST /login/{user}"), CLIENT).await.is(200);
        assert_eq!(of_client(&world), [(Ended(Replaced), Operation::Login), (Created, Operation::Login)]);
    }

    world.clock.advance(hours(2));
    let stolen = browser.clone();
    browser.send("POST /auth/refresh", CLIENT).await.is(200);
    world.clock.advance(hours(2));
    browser.send("GET /page", NAVIGATION).await.is(200);
    let rotated = Refreshed(RefreshKind::Rotated);
    assert_eq!(of_client(&world), [(rotated, Operation::Refresh), (rotated, Operation::Renewal)]);
    stolen.send_only("POST /auth/refresh", CLIENT).await.is_problem(401, "invalid_refresh_token");
    browser.send_only("POST /auth/refresh", CLIENT).await.is_problem(401, "invalid_refresh_token");
    let (reuse, end) = ((Reused, Operation::Refresh), (Ended(RefreshTokenReused), Operation::Refresh));
    assert_eq!(of_client(&world), [reuse, end, (UsedAfterEnd, Operation::Refresh)]);

    let mut others = [world.browser(), world.browser()];
    for other in &mut others {
        other.send("POST /login/alice", CLIENT).await.is(200);
    }
    world.clock.advance(seconds(1));
    browser.send("POST /login/alice", CLIENT).await.is(200);
    let created = (Created, Operation::Login);
    assert_eq!(of_client(&world), [created, created, (Ended(Evicted), Operation::Login), created]);
    let list = browser.send("GET /auth/sessions", CLIENT).await.is(200).json();
    let other = list["sessions"].as_array().unwrap().iter().find(|row| row["current"] == false).cloned().unwrap();
    browser.send(&format!("DELETE /auth/sessions/{}", other["id"].as_str().unwrap()), CLIENT).await.is(200);
    assert_eq!(of_client(&world), [(Ended(Requested), Operation::End)]);
    let mut other = world.browser();
    other.send("POST /login/alice", CLIENT).await.is(200);
    other.send("POST /auth/logout", CLIENT).await.is(200);
    browser.send("POST /auth/logout-all", CLIENT).await.is(200);
    let (one, all) = ((Ended(LoggedOut), Operation::Logout), (Ended(LoggedOut), Operation::LogoutAll));
    assert_eq!(of_client(&world), [created, one, all]);
}

async fn events_of_the_application_tell_their_request(backend: Backend) {
    let world = World::with(backend, behind_a_proxy).await;
    let all = async |sessions: SessionManager<Claims>, session: Session<Claims>| -> Result<&'static str, Error> {
        sessions.end_others(&session).await?;
        sessions.expire_access(session.user_id()).await?;
        sessions.end_all(session.user_id()).await?;
        Ok("done")
    };
    let unknown = async |State(sessions): State<SessionManager<Claims>>,
                         session: Session<Claims>|
           -> Result<&'static str, Error> {
        sessions.expire_access(session.user_id()).await?;
        Ok("done")
    };
    let routes = Router::new().route("/all", post(all)).route("/unknown", post(unknown));
    let app = routes.layer(world.sessions.layer()).with_state(world.sessions.clone());
    let mut browser = world.browser();
    browser.login("alice").await;
    world.browser().login("alice").await;
    world.whole_events();
    browser.visit(&app);
    browser.send("POST /all", CLIENT).await.is(200);
    let expected = [
        (Ended(Requested), Operation::EndOthers),
        (AccessExpired, Operation::ExpireAccess),
        (Ended(Requested), Operation::EndAll),
    ];
    assert_eq!(of_client(&world), expected);

    browser.visit(&world.app);
    browser.login("alice").await;
    browser.visit(&app);
    world.whole_events();
    browser.send("POST /unknown", CLIENT).await.is(200);
    let events = world.whole_events();
    let event = events.first().expect("an event");
    assert_eq!((event.kind, event.user_agent.as_deref(), event.ip), (AccessExpired, None, None));
}

async fn end_after_an_outage_tells_the_request_of_the_logout(backend: Backend) {
    let world = World::with(backend, behind_a_proxy).await;
    let mut browser = world.browser();
    browser.send("POST /login/alice", CLIENT).await.is(200);
    world.store.set_down(true);
    browser.send("POST /auth/logout", CLIENT).await.is_problem(503, "store_unavailable");
    world.whole_events();
    world.store.set_down(false);
    // Whatever comes first completes the end: the retry in the background, or this request of another client.
    let other = [("user-agent", "Browser/2")];
    browser.send_only("POST /auth/refresh", &other).await.is_problem(401, "invalid_refresh_token");
    let events = world.whole_events();
    let event = events.iter().find(|event| event.kind == Ended(LoggedOut)).expect("the end");
    assert_eq!((event.operation, event.user_agent.as_deref()), (Operation::Logout, Some("Browser/1")));
    assert!(event.ip.is_some());
}

/// A client chooses its user agent, and an application may let users choose their ids.
#[tokio::test]
async fn lines_of_the_audit_log_cannot_be_forged() {
    let forging = [
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\u{9b}2J",
        "\u{7f}",
        "\u{202e}",
        "\u{2066}",
        "\u{61c}",
        "\r\n",
        "\0",
        "\u{1b}[2J",
    ];
    let world = World::new(Backend::Memory).await;
    for text in forging {
        let (user, agent) = (format!("al{text}ice"), format!("Browser/1{text}{{\"event\":\"session_logout\"}}"));
        drop(world.sessions.login(&user).user_agent(&agent).await.expect("a login"));
        // As a browser sends it, where it may. Bytes that are no UTF-8 are replaced.
        let sent = [("user-agent", [agent.as_bytes(), b"\xff\xfe"].concat())];
        if http::HeaderValue::from_bytes(&sent[0].1).is_ok() {
            send(&world.app, "POST /login/bob", &sent).await.is(200);
        }
        for event in world.whole_events() {
            let line = event.to_json();
            let is_plain = |c: char| !c.is_control() && !"\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}".contains(c);
            assert!(line.chars().all(is_plain), "{line:?}");
            let read: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(read["user_agent"].as_str(), event.user_agent.as_deref());
            assert_eq!(read["user_id"].as_str(), Some(event.user_id.as_str()));
        }
    }
    let long = "\u{e9}".repeat(5_000);
    drop(world.sessions.login("alice").user_agent(long).await.expect("a login"));
    assert_eq!(world.whole_events()[0].user_agent.as_deref(), Some(&*"\u{e9}".repeat(127)));
}
