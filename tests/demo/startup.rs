//! How the demo starts, refuses to start, and stops.

use crate::process::{ACCESS_SECRET, Demo, run_to_its_end};

/// Asserts that the demo exits with an error whose last line contains this message.
#[track_caller]
fn refuses(variables: &[(&str, &str)], message: &str) {
    let output = run_to_its_end(variables);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{variables:?}: {said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: ") && last.contains(message), "{variables:?}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(output.stdout.is_empty(), "the demo listens");
}

#[test]
fn invalid_secrets_are_refused() {
    refuses(&[("JWT_SECRET", "")], "JWT_SECRET: secret too short: 0 bytes, need at least 32 for HS256");
    refuses(&[("REFRESH_SECRET", "")], "REFRESH_SECRET: secret too short: ");
    refuses(&[("JWT_SECRET", "too short")], "secret too short: 9 bytes");
    refuses(&[("REFRESH_SECRET", "too short")], "REFRESH_SECRET: secret too short: ");
    refuses(&[("JWT_SECRET", ACCESS_SECRET), ("REFRESH_SECRET", ACCESS_SECRET)], "share a key");
}

#[test]
fn invalid_numbers_are_refused() {
    for name in ["PORT", "ACCESS_TTL", "REFRESH_TTL", "ABSOLUTE_TTL", "REPLAY_WINDOW", "MAX_SESSIONS", "BOUND_TTL"] {
        for value in ["", "soon", "-1", "1.5"] {
            refuses(&[(name, value)], &format!("{name}={value:?} is not a valid number"));
        }
    }
    refuses(&[("PORT", "65536")], "PORT");
    refuses(&[("MAX_SESSIONS", "0")], "MAX_SESSIONS");
}

#[test]
fn conflicting_lifetimes_are_refused() {
    refuses(&[("ACCESS_TTL", "0")], "access_lifetime");
    refuses(&[("ACCESS_TTL", "10")], "access");
    refuses(&[("ACCESS_TTL", "604800")], "refresh");
    refuses(&[("REFRESH_TTL", "2592001")], "refresh_lifetime (2592001s) exceeds absolute_lifetime (2592000s)");
    refuses(&[("ABSOLUTE_TTL", "604799")], "exceeds absolute_lifetime (604799s)");
    refuses(&[("REPLAY_WINDOW", "61")], "replay window");
}

#[test]
fn tls_is_switched_on_and_off() {
    for value in ["", "yes", "2"] {
        refuses(&[("DEMO_TLS", value)], &format!("DEMO_TLS={value:?} is neither 0 nor 1"));
    }
    assert!(Demo::start_with(&[("DEMO_TLS", "0")]).url().starts_with("http://localhost:"));
}

#[cfg(feature = "dbsc")]
#[test]
fn over_https_sessions_are_offered_to_be_bound() {
    let demo = Demo::start_with(&[("DEMO_TLS", "1")]);
    let port = demo.url().strip_prefix("https://localhost:").expect("https");
    assert_eq!(demo.spki().len(), 44, "{}", demo.spki());
    // A client that does not go on with its handshake delays no other.
    let _idle = std::net::TcpStream::connect(format!("localhost:{port}")).expect("a connection");
    let mut alice = demo.browser();
    let login = alice.log_in("alice", "wonderland");
    let offer = login.expect_status(200).header("secure-session-registration");
    assert!(offer.starts_with("(ES256);path=\"/auth/dbsc/register\";challenge=\""), "{offer}");
    // Nothing is required of clients that do not know how.
    assert_eq!(alice.get("/me").json()["bound"], false);
    alice.post("/auth/refresh").expect_status(200);
    alice.get("/me").expect_status(200);
    #[cfg(unix)]
    assert_eq!(demo.stop("-TERM").code(), Some(0));
}

#[cfg(feature = "dbsc")]
#[test]
fn lifetime_of_bound_sessions_is_checked() {
    refuses(&[("DEMO_TLS", "1"), ("BOUND_TTL", "0")], "the lifetime of bound access tokens (0ns)");
    refuses(&[("DEMO_TLS", "1"), ("ACCESS_TTL", "120")], "the shorter one of bound_lifetime and access_lifetime");
}

#[cfg(not(feature = "dbsc"))]
#[test]
fn tls_without_the_feature_names_what_to_add() {
    let output = run_to_its_end(&[("DEMO_TLS", "1")]);
    assert_eq!(output.status.code(), Some(1));
    let line = "error: DEMO_TLS is set, but this program was built without device binding: add `--features dbsc`\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), line);
    assert!(output.stdout.is_empty(), "the demo listens");
}

#[cfg(not(feature = "redis"))]
#[test]
fn redis_url_without_the_feature_names_what_to_add() {
    for url in ["redis://127.0.0.1:6379", ""] {
        let output = run_to_its_end(&[("REDIS_URL", url)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let line = "error: REDIS_URL is set, but this program was built without Redis: add `--features redis`\n";
        assert_eq!(said, line);
        assert!(output.stdout.is_empty(), "the demo listens");
    }
}

#[cfg(feature = "redis")]
#[test]
fn unusable_redis_is_refused() {
    refuses(&[("REDIS_URL", "")], "REDIS_URL");
    refuses(&[("REDIS_URL", "mysql://localhost")], "REDIS_URL: unsupported Redis URL scheme \"mysql\"");
    // Port 1 is reserved and not in use.
    refuses(&[("REDIS_URL", "redis://:hidden@127.0.0.1:1")], "REDIS_URL: Redis unreachable");
    let output = run_to_its_end(&[("REDIS_URL", "redis://:hidden@127.0.0.1:1")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("hidden"), "{said}");
}

#[test]
fn occupied_port_is_refused() {
    let demo = Demo::start();
    let port = demo.url().rsplit(':').next().expect("a port");
    refuses(&[("PORT", port)], "cannot listen on port");
}

#[test]
fn one_lifetime_alone_may_be_set() {
    let demo = Demo::start_with(&[("ACCESS_TTL", "120")]);
    let response = demo.browser().log_in("alice", "wonderland");
    response.expect_status(200);
    assert_eq!(response.json()["expires_in"], 120);
    assert!(response.set_cookies()[1].contains("Max-Age=604800"), "{response:?}");

    let demo = Demo::start_with(&[("ACCESS_TTL", "7200")]);
    demo.alice().get("/me").expect_status(200);
}

#[test]
fn missing_secrets_are_generated() {
    Demo::start_without_secrets().alice().get("/me").expect_status(200);
}

#[cfg(feature = "redis")]
#[test]
fn generated_secrets_are_logged() {
    let output = run_to_its_end(&[("REDIS_URL", "")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("JWT_SECRET is not set") && said.contains("REFRESH_SECRET is not set"), "{said}");
    assert!(said.contains("nodes that share a Redis need the same secret"), "{said}");
}

#[cfg(unix)]
#[test]
fn signal_stops_demo_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let demo = Demo::start();
        // The connection stays open, and must not delay the exit.
        let mut alice = demo.alice();
        alice.get("/me").expect_status(200);
        assert_eq!(demo.stop(signal).code(), Some(0), "{signal}");
    }
}
