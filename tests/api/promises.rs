//! Properties of the whole crate: random identifiers, stored data, requests and responses.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{ClusterHash, CustomCommand, Value, config::Config},
};
use http::header;
use tower_jwt_sessions::{SessionId, policy::AssuranceLevel};

use crate::support::{redis_server, *};

/// Each of the 128 bits is random: a UUID has six that are not.
#[tokio::test]
async fn session_ids_have_128_random_bits() {
    let world = World::new(Backend::Memory).await;
    let (mut ones, mut zeros, mut seen) = ([0_u8; 16], [0_u8; 16], std::collections::HashSet::new());
    for n in 0..128 {
        let mut browser = world.browser();
        browser.login(&format!("user{n}")).await;
        let text = claims_of(&browser.access())["sid"].as_str().expect("an id").to_owned();
        assert_eq!(text.len(), 22);
        let id: SessionId = text.parse().expect("an id");
        for (n, byte) in id.as_bytes().iter().enumerate() {
            ones[n] |= byte;
            zeros[n] |= !byte;
        }
        assert!(seen.insert(text));
    }
    // Fails by chance once in 2^120 runs.
    assert_eq!((ones, zeros), ([0xff; 16], [0xff; 16]));
}

/// Claims come from their source, not from the request (RFC 9700, section 4.14.2).
#[tokio::test]
async fn refresh_ignores_query_and_headers() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let query = "role=admin&scope=admin&sub=mallory&aud=https%3A%2F%2Fother.test&audience=x&grant_type=password";
    let headers = [("x-role", "admin"), ("x-user", "mallory"), ("authorization", "Basic YWRtaW46YWRtaW4=")];
    let before = claims_of(&browser.access());
    browser.send(&format!("POST /auth/refresh?{query}"), &headers).await.is(200);
    let mut after = claims_of(&browser.access());
    assert_eq!(after["gen"], 2);
    after["gen"] = before["gen"].clone();
    assert_eq!(after, before);
}

/// A redirect could pass credentials on (RFC 9700, section 4.12).
#[tokio::test]
async fn responses_to_scripts_never_redirect() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    for path in ["refresh", "logout", "logout-all", "sessions", "sessions/x", "jwks.json", ""] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            for tail in ["", "/", "//", "/..", "?next=https://evil.test", "/%2f%2fevil.test"] {
                let response = browser.clone().send(&format!("{method} /auth/{path}{tail}"), &[]).await;
                assert!(!(300..400).contains(&response.status), "{method} {path}{tail}: {}", response.status);
                assert!(!response.headers.contains_key(header::LOCATION));
            }
        }
    }
}

/// The limits of NIST SP 800-63B-4 for each assurance level: idle, and overall.
#[tokio::test]
async fn lifetimes_satisfy_nist_levels() {
    for (level, idle, overall) in [
        (AssuranceLevel::Aal1, 7 * 86_400, 30 * 86_400),
        (AssuranceLevel::Aal2, 3600, 86_400),
        (AssuranceLevel::Aal3, 900, 12 * 3600),
    ] {
        let world = World::with(Backend::Memory, |builder| builder.assurance_level(level)).await;
        let (mut active, mut idler) = (world.browser(), world.browser());
        active.login("alice").await;
        idler.login("alice").await;
        let step = idle / 2 + 1;
        let mut passed = 0;
        while passed + step < overall {
            world.clock.advance(seconds(step));
            passed += step;
            active.refresh().await.is(200);
        }
        world.clock.advance(seconds(overall - passed));
        active.refresh().await.is(401);
        idler.refresh().await.is(401);
    }
}

/// Returns all data of Redis, in bytes.
async fn dump() -> Vec<u8> {
    let (server, _) = redis_server::shared();
    let client = Client::new(Config::from_url(&server.url()).expect("a URL"), None, None, None);
    client.init().await.expect("the server runs");
    let ask = async |command: &'static str, args: Vec<String>| -> Value {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        client.custom(command, args).await.expect("the command succeeds")
    };
    fn write(value: Value, to: &mut Vec<u8>) {
        match value {
            Value::Array(values) => values.into_iter().for_each(|value| write(value, to)),
            value => to.extend(value.into_owned_bytes().unwrap_or_default()),
        }
        to.push(b'\n');
    }
    let mut all = Vec::new();
    for key in ask("KEYS", vec!["*".to_owned()]).await.into_array() {
        let key = key.as_string().expect("a name");
        all.extend_from_slice(key.as_bytes());
        let kind = ask("TYPE", vec![key.clone()]).await.as_string();
        let content = match kind.as_deref() {
            Some("hash") => ask("HGETALL", vec![key]).await,
            Some("stream") => ask("XRANGE", [key.as_str(), "-", "+"].map(str::to_owned).to_vec()).await,
            Some("none") => continue,
            other => panic!("{key} is a {other:?}"),
        };
        write(content, &mut all);
    }
    all
}

/// A copy of the database gives access to no session: it contains no token and no hash of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dump_contains_no_token() {
    let world = World::new(Backend::Redis).await;
    let mut browser = world.browser();
    let headers = [("user-agent", "a browser that is found in the dump")];
    browser.send("POST /login/alice", &headers).await.is(200);
    let mut tokens = vec![browser.access(), browser.refresh_token()];
    world.clock.advance(seconds(30));
    browser.refresh().await.is(200);
    tokens.extend([browser.access(), browser.refresh_token()]);
    let dump = dump().await;
    let holds = |what: &[u8]| dump.windows(what.len()).any(|part| part == what);
    assert!(holds(headers[0].1.as_bytes()), "the dump has the session");
    let sha256 = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec();
    for token in tokens {
        for part in token.split('.') {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            for what in [&part.as_bytes()[..16], &bytes[..16]] {
                assert!(!holds(what), "{part}");
            }
        }
        let signature = token.rsplit('.').next().expect("a signature");
        for hash in [sha256(token.as_bytes()), sha256(signature.as_bytes())] {
            assert!(!holds(&hash[..16]) && !holds(URL_SAFE_NO_PAD.encode(&hash).as_bytes()));
        }
    }
}
