//! A server that does not know a command repeats its arguments. The log has the server's error code, and no data of
//! users.

use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tower_jwt_sessions::redis::RedisStore;
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

const USER: &str = "private@name.example";

#[tokio::test]
async fn forbidden_command_is_logged_without_user_data() {
    // A user who has logged in before, at a node with the same keys.
    let world = World::new(Backend::Memory).await;
    let mut early = world.browser();
    early.login(USER).await;
    let sid = claims_of(&early.access())["sid"].as_str().expect("an id").to_owned();

    for (command, is_followed) in [("EVALSHA", true), ("EVAL", true), ("XREAD", false), ("XINFO", false)] {
        let server = RedisServer::start_with(&["--rename-command", command, ""]);
        let store = RedisStore::connect(&server.url()).await.expect("a connection").with_clock(world.clock.clone());
        Log::capture(LevelFilter::TRACE);
        let claims = async |(), _| Ok::<_, Infallible>(Some(Claims { role: "member".to_owned() }));
        let builder = builder::<Claims>(&world.store, &world.clock).claims_with((), claims).store(store);
        let sessions = builder.build().expect("a valid configuration");
        if is_followed {
            sessions.revocation_feed().caught_up().await;
        }
        let mut browser = Browser::new(&app(&sessions), &world.clock);
        for name in [ACCESS, REFRESH] {
            browser.plant(name, &early.cookie(name).expect("a cookie"));
        }
        let has_scripts = !command.starts_with("EVAL");
        for what in [format!("POST /login/{USER}"), "POST /auth/refresh".to_owned(), "POST /auth/logout".to_owned()] {
            let response = Browser::clone(&browser).send(&what, &[("user-agent", "a named browser")]).await;
            assert_eq!(response.status == 503, !has_scripts, "{command}: {what}: {response:?}");
        }
        // Redis 6.2 quotes the name in another way.
        let plain = |log: String| log.replace('`', "'");
        let what = format!("unknown command '{command}'");
        while !plain(Log::so_far()).contains(&what) {
            tokio::time::sleep(millis(5)).await;
        }
        let log = plain(Log::captured());
        let ours: Vec<&str> = log.lines().filter(|line| line.contains("tower_jwt_sessions")).collect();
        assert!(!log.contains("timed out"), "the step was refused, not timed out: {log}");
        let at_error = ours.iter().filter(|line| line.contains("ERROR") && line.contains(&what)).count();
        assert_eq!(at_error, 1, "{log}");
        for hidden in
            [USER, &URL_SAFE_NO_PAD.encode(USER), &sid, "with args", "a named browser", "sessions:{", "sessions:log"]
        {
            assert!(!ours.iter().any(|line| line.contains(hidden)), "{hidden}: {ours:#?}");
        }
    }
}
