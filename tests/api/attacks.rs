//! Known attacks on tokens and cookies that `forgery` does not contain: confused keys, keys in the header of the
//! token, key ids that are paths or commands, and text that would forge a line of a log.

use std::{io::ErrorKind, net::TcpListener};

use aws_lc_rs::{rand::SystemRandom, signature};
use axum::body::Body;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Request;
use proptest::prelude::*;
use tower::ServiceExt as _;
use tower_jwt_sessions::{
    ConfigError, KeyRing, SessionManager, UserId,
    cookie::CookieConfig,
    error::ConfigErrorKind,
    event::SessionEventKind as Event,
    keys::{SigningKey, VerificationKey},
};
use tracing::level_filters::LevelFilter;

use crate::support::{log::Log, *};

on_every_store!(control_characters_are_escaped_in_log,);

async fn refuses(world: &World, token: impl AsRef<[u8]>) {
    let cookie = [ACCESS.as_bytes(), b"=", token.as_ref()].concat();
    send(&world.app, "GET /me", &[("cookie", &cookie)]).await.is_problem(401, "invalid_token");
    assert_eq!(send(&world.app, "GET /greet", &[("cookie", &cookie)]).await.body, "hello, anonymous");
}

/// Asserts that the session is unchanged and that no event was reported.
async fn assert_unchanged(world: &World, browser: &mut Browser) {
    assert_eq!(world.events(), []);
    browser.get("/me").await.is(200);
}

fn pkcs8(algorithm: &str) -> Vec<u8> {
    let random = SystemRandom::new();
    match algorithm {
        "EdDSA" => signature::Ed25519KeyPair::generate_pkcs8(&random),
        _ => signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random),
    }
    .expect("a key")
    .as_ref()
    .to_vec()
}

fn signing(algorithm: &str) -> SigningKey {
    match algorithm {
        "EdDSA" => SigningKey::eddsa_der(pkcs8(algorithm)),
        _ => SigningKey::es256_der(pkcs8(algorithm)),
    }
    .expect("a key")
}

/// Returns every text and byte encoding of a public key.
fn spellings_of(jwks: &str) -> Vec<Vec<u8>> {
    let set: serde_json::Value = serde_json::from_str(jwks).expect("JSON");
    let jwk = &set["keys"][0];
    let coordinate = |name: &str| jwk[name].as_str().map(|text| URL_SAFE_NO_PAD.decode(text).expect("base64url"));
    let (x, y) = (coordinate("x").expect("a coordinate"), coordinate("y"));
    let (raw, head): (Vec<u8>, &[u8]) = match &y {
        None => (x.clone(), b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"),
        Some(y) => (
            [&b"\x04"[..], &x, y].concat(),
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
        ),
    };
    let spki = [head, &raw].concat();
    let encoded = STANDARD.encode(&spki);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let is_key = match y {
        None => VerificationKey::eddsa_pem(&pem),
        Some(_) => VerificationKey::es256_pem(&pem),
    };
    assert_eq!(is_key.expect("a key").key_id(), jwk["kid"].as_str().expect("a name"), "the PEM contains the same key");
    let mut all = vec![raw.clone(), x, raw[1..].to_vec(), spki, encoded.into_bytes(), jwks.as_bytes().to_vec()];
    all.extend([jwk.to_string(), jwk["x"].as_str().expect("text").to_owned()].map(String::into_bytes));
    all.extend([pem.trim_end().to_owned(), pem.replace('\n', "\r\n"), pem].map(String::into_bytes));
    all.push(jwk["kid"].as_str().expect("a name").as_bytes().to_vec());
    all
}

/// CVE-2015-9235 and its successors: a public key is used as the secret of a MAC.
#[tokio::test]
async fn public_key_as_hmac_secret_is_refused() {
    for algorithm in ["EdDSA", "ES256"] {
        let ring = KeyRing::new(signing(algorithm));
        let world = World::with(Backend::Memory, |builder| builder.access_keys(ring)).await;
        let mut browser = world.browser();
        browser.login("alice").await;
        world.events();
        let jwks = world.sessions.access_keys().public_jwks().expect("a public key");
        for secret in spellings_of(&jwks) {
            let forged = Forgery::of(&browser.access(), &secret);
            assert!(forged.header.contains(algorithm));
            refuses(&world, forged.signed()).await;
            for mac in ["HS256", "HS384", "HS512", "none"] {
                refuses(&world, forged.clone().header(forged.header.replace(algorithm, mac)).signed()).await;
            }
        }
        assert_unchanged(&world, &mut browser).await;
    }
}

/// Independent of the key that signed the token.
#[tokio::test]
async fn keys_in_token_header_are_neither_used_nor_fetched() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port");
    trap.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/key", trap.local_addr().expect("an address"));
    let own = "the secret that the attacker chose";
    let encoded = URL_SAFE_NO_PAD.encode(own);
    for secret in [own, ACCESS_SECRET] {
        let good = Forgery::of(&browser.access(), secret);
        for member in [
            format!(r#""jwk":{{"kty":"oct","alg":"HS256","k":"{encoded}"}}"#),
            format!(r#""jku":"{url}""#),
            format!(r#""x5u":"{url}""#),
            r#""x5c":["MIIBszCCAVmgAwIBAgIUfake"]"#.to_owned(),
            r#""x5t":"AAAAAAAAAAAAAAAAAAAAAAAAAAA""#.to_owned(),
            r#""x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA""#.to_owned(),
            r#""x":1"#.to_owned(),
        ] {
            for header in [
                good.header.replacen('{', &format!("{{{member},"), 1),
                good.header.replacen('}', &format!(",{member}}}"), 1),
            ] {
                refuses(&world, good.clone().header(header).signed()).await;
            }
        }
    }
    assert_eq!(trap.accept().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock), "a key was fetched");
    assert_unchanged(&world, &mut browser).await;
}

#[tokio::test]
async fn kid_is_only_compared() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    // Signed with an empty key, as read from /dev/null, and with the right key.
    for secret in ["", ACCESS_SECRET] {
        let good = Forgery::of(&browser.access(), secret);
        let kid = good.header.split(r#""kid":"#).nth(1).and_then(|rest| rest.strip_suffix('}')).expect("a name");
        let long = format!("\"{}\"", "k".repeat(2000));
        for other in [
            r#""""#,
            r#""/dev/null""#,
            r#""../../../../../../dev/null""#,
            r#""x' UNION SELECT '1';--""#,
            r#""|sleep 10""#,
            r#""$(sleep 10)""#,
            r#""a\r\nb""#,
            r#""\u0000""#,
            "\"a\r\n\x1b[31mERROR forged\"",
            "0",
            "null",
            "true",
            "[]",
            "{}",
            &format!("[{kid}]"),
            &kid.to_lowercase(),
            &long,
        ] {
            if other != kid {
                refuses(&world, good.clone().header(good.header.replace(kid, other)).signed()).await;
            }
        }
    }
    assert_unchanged(&world, &mut browser).await;
}

#[tokio::test]
async fn critical_header_extensions_are_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let good = Forgery::of(&browser.access(), ACCESS_SECRET);
    for members in [
        r#""crit":["x"],"x":1"#,
        r#""crit":["exp"],"exp":1"#,
        r#""crit":["alg"]"#,
        r#""crit":[]"#,
        r#""crit":"x""#,
        r#""crit":null"#,
        r#""crit":["b64"],"b64":false"#,
        r#""b64":false"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A256GCM""#,
    ] {
        let header = good.header.replacen('}', &format!(",{members}}}"), 1);
        refuses(&world, good.clone().header(header).signed()).await;
    }
    assert_unchanged(&world, &mut browser).await;
}

#[tokio::test]
async fn claims_of_other_json_types_are_refused() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    world.events();
    let good = Forgery::of(&browser.access(), ACCESS_SECRET);
    for (name, value) in
        [("aud", "[]"), ("aud", r#"{"a":1}"#), ("aud", "true"), ("iss", "7"), ("iss", "null"), ("sub", "[]")]
    {
        let was = format!(r#""{name}":"{}""#, if name == "sub" { "alice" } else { ISSUER });
        refuses(&world, good.clone().claim(&was, &format!(r#""{name}":{value}"#)).signed()).await;
    }
    // The signature of another user's token, and no signature.
    let mut mallory = world.browser();
    mallory.login("mallory").await;
    world.events();
    let theirs = mallory.access().rsplit('.').next().expect("a signature").to_owned();
    for token in [good.unsigned() + &theirs, good.clone().claim("alice", "mallory").unsigned()] {
        refuses(&world, token).await;
    }
    assert_unchanged(&world, &mut browser).await;
}

/// Subtracts the second half of a signature from the order of P-256: an equally valid signature of the same bytes.
fn negated(token: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let mut borrow = 0;
    for (of_order, byte) in ORDER.iter().zip(&mut signature[32..]).rev() {
        let difference = i16::from(*of_order) - i16::from(*byte) - borrow;
        borrow = i16::from(difference < 0);
        *byte = difference.rem_euclid(256) as u8;
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn revoked_token_in_other_spelling_is_refused() {
    for algorithm in ["HS256", "ES256"] {
        let world = World::with(Backend::Memory, |builder| match algorithm {
            "HS256" => builder,
            _ => builder.access_keys(KeyRing::new(signing(algorithm))),
        })
        .await;
        let mut browser = world.browser();
        browser.login("alice").await;
        let access = browser.access();
        let mut spellings = respelled(&access);
        spellings.extend([format!("{access} ="), format!(" ={access}"), access.clone()]);
        if algorithm == "ES256" {
            let other = negated(&access);
            // A denylist of tokens would miss this spelling. It is refused before the session ends, too.
            assert_ne!(other, access);
            let cookie = format!("{ACCESS}={other}");
            send(&world.app, "GET /me", &[("cookie", &cookie)]).await.is_problem(401, "invalid_token");
            spellings.push(other);
        }
        browser.post("/auth/logout").await.is(200);
        for token in spellings {
            refuses(&world, token).await;
        }
    }
}

/// Tokens in the body of a request, which RFC 6750 allows and this crate does not read.
#[tokio::test]
async fn tokens_in_request_body_are_ignored() {
    let world = World::new(Backend::Memory).await;
    let mut browser = world.browser();
    browser.login("alice").await;
    let (access, refresh) = (browser.access(), browser.refresh_token());
    for (path, kind, body) in [
        ("/me", "application/x-www-form-urlencoded", format!("access_token={access}")),
        ("/auth/refresh", "application/x-www-form-urlencoded", format!("refresh_token={refresh}&{REFRESH}={refresh}")),
        ("/auth/refresh", "application/json", format!(r#"{{"refresh_token":"{refresh}"}}"#)),
    ] {
        let request = Request::post(path).header("host", "app.test").header("content-type", kind);
        let response = world.app.clone().oneshot(request.body(Body::from(body)).expect("a request")).await;
        let response = response.unwrap_or_else(|never| match never {});
        assert_eq!(response.status(), 401, "{path}");
        assert_eq!(response.headers()["www-authenticate"], r#"Bearer realm="session""#);
    }
}

const FORGED: &str =
    "mallory\r\n2026-01-01T00:00:00Z ERROR tower_jwt_sessions: forged \u{1b}[31m\u{9b}31m\u{7f}\0\"<script>";

/// Names that a request supplies are omitted or escaped.
async fn control_characters_are_escaped_in_log(backend: Backend) {
    Log::capture(LevelFilter::TRACE);
    let world = World::new(backend).await;
    let (mut browser, user) = (world.browser(), UserId::new(FORGED).expect("a user id"));
    let cookies = world.sessions.login(&user).user_agent(FORGED).await.expect("a session");
    let response = axum::response::IntoResponse::into_response(cookies);
    for line in response.headers().get_all("set-cookie") {
        let (name, rest) = line.to_str().expect("text").split_once('=').expect("a name");
        browser.plant(name, rest.split(';').next().unwrap_or_default());
    }
    browser.get("/me").await.is(200);
    let list = browser.get("/auth/sessions").await.is(200).clone();
    assert_eq!(list.json()["sessions"][0]["user_agent"], FORGED, "the list contains the user agent unchanged");
    assert_eq!(list.header("content-type"), "application/json");
    let mut seen = Vec::new();
    let good = Forgery::of(&browser.access(), ACCESS_SECRET);
    for token in [
        good.clone().header(good.header.replacen(r#""kid":""#, &format!(r#""kid":"{FORGED}"#), 1)).signed(),
        good.clone().claim(r#""gen":1"#, r#""gen":0"#).signed(),
        good.clone().payload(FORGED).signed(),
        format!("\u{9b}31m{}", good.signed()),
    ] {
        refuses(&world, token).await;
    }
    for what in ["GET /me", "POST /auth/refresh", "DELETE /auth/sessions/%0d%0aERROR%1b%5b31m", "POST /auth/logout"] {
        let headers = [("user-agent", "\u{9b}31m<script>"), ("sec-fetch-site", "\u{9b}31m"), ("cookie", "\u{9b}31m=x")];
        let response = send(&world.app, what, &headers).await;
        seen.extend([response.body.clone(), format!("{:?}", response.headers)]);
    }
    browser.refresh().await.is(200);
    world.users.set_down(true);
    world.clock.advance(seconds(60));
    seen.push(browser.refresh().await.is(503).body.clone());
    world.users.set_down(false);
    world.store.set_down(true);
    seen.push(browser.refresh().await.is(503).body.clone());
    world.store.set_down(false);
    seen.push(browser.post("/auth/logout").await.is(200).body.clone());
    assert!(world.events().contains(&Event::Created));

    let log = Log::captured();
    assert!(log.contains("foreign header") && log.contains("session_created"), "{log}");
    seen.push(log.replace('\n', ""));
    for line in log.lines() {
        assert!(line.starts_with("20"), "forged line: {line:?}");
    }
    for text in seen {
        let raw = |c: char| c.is_control() || matches!(c, '\u{80}'..='\u{9f}');
        assert!(!text.contains(raw), "{text:?}");
    }
}

/// The same for errors, which applications log.
#[tokio::test]
async fn control_characters_are_escaped_in_errors() {
    let named = |kid: &str| {
        let jwk = serde_json::json!({ "kty": "oct", "alg": "HS256", "k": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", "kid": kid });
        VerificationKey::from_jwk(jwk.to_string()).err()
    };
    let builder = SessionManager::<()>::builder;
    let cookies = |cookies| builder().cookies(cookies).build().err();
    let errors: Vec<Option<ConfigError>> = vec![
        named(FORGED),
        VerificationKey::from_jwk(format!("{{\"{FORGED}\":1}}")).err(),
        VerificationKey::from_jwk(FORGED).err(),
        VerificationKey::eddsa_pem(FORGED).err(),
        signing("EdDSA").with_key_id(FORGED).err(),
        KeyRing::hs256("short").err(),
        builder().issuer(FORGED.repeat(9)).build().err(),
        builder().trusted_origin(FORGED).build().err(),
        cookies(CookieConfig::new().names(FORGED, "refresh")),
        cookies(CookieConfig::new().path(FORGED)),
        cookies(CookieConfig::new().domain(FORGED)),
    ];
    for error in errors {
        let error = error.expect("an error");
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    for text in [format!("{:?}", UserId::new(FORGED)), format!("{:?}", UserId::new(FORGED.repeat(9)))] {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

/// Secrets from the lists that tools try first. None is long enough, in any case and with the usual affixes.
#[test]
fn well_known_secrets_are_refused_as_too_short() {
    const WORDS: [&str; 24] = [
        "",
        "secret",
        "password",
        "123456",
        "changeme",
        "admin",
        "key",
        "jwt",
        "jwt_secret",
        "your-256-bit-secret",
        "your_jwt_secret",
        "secretkey",
        "supersecret",
        "mysecretkey",
        "my$ecretK3y",
        "default",
        "test",
        "none",
        "null",
        "undefined",
        "shhhhh",
        "AC8d83&21Almnis710sds",
        "Hello World",
        "token",
    ];
    for word in WORDS {
        for secret in [word.to_owned(), word.to_uppercase(), format!("{word}\n"), STANDARD.encode(word)] {
            for ring in [KeyRing::hs256, KeyRing::hs384, KeyRing::hs512] {
                assert!(
                    ring(&secret).is_err_and(|error| error.kind() == ConfigErrorKind::WeakKey
                        && error.to_string().contains("secret too short")),
                    "{secret:?}"
                );
            }
        }
    }
}

proptest! {
    /// Only the exact bytes of a header that the ring writes are accepted.
    #[test]
    fn only_exact_token_header_is_accepted(
        names in prop::collection::vec(
            prop::sample::select(vec!["alg", "typ", "kid", "crit", "cty", "jku", "jwk", "x"]), 1..6),
        values in prop::collection::vec(
            prop::sample::select(vec![
                "\"HS256\"", "\"none\"", "\"at+jwt\"", "\"AT+JWT\"", "\"JWT\"", "null", "[]", "1", "\"\"",
            ]), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new(Backend::Memory).await;
            let mut browser = world.browser();
            browser.login("alice").await;
            let members: Vec<String> = names.iter().zip(&values).map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let good = Forgery::of(&browser.access(), ACCESS_SECRET);
            let kid = good.header.split(r#","kid""#).nth(1).expect("a name").to_owned();
            for header in [format!("{{{}}}", members.join(",")), format!("{{{},\"kid\"{kid}", members.join(","))] {
                if header != good.header {
                    refuses(&world, good.clone().header(header).signed()).await;
                }
            }
        });
    }
}
