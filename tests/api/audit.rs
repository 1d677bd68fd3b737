//! Events in the form for audit logs.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::support::*;

on_every_store!(events_have_a_stable_form);

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
    let of = |event: &str| json!({ "event": event, "user_id": "al\n\"ice", "session_id": session.id() });
    let with = |event: &str, name: &str, value: &str| {
        let mut line = of(event);
        line[name] = value.into();
        line
    };
    let mut created = with("session_created", "user_agent", "Browser/1 \"x\"");
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
        with("session_renewed", "tokens", "rotated"),
        with("session_renewed", "tokens", "repeated"),
        of("session_access_expired"),
        with("authn_token_revoked", "reason", "requested"),
        of("session_use_after_expire"),
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
