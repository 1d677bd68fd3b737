//! Proofs that are not what the browser of the session would send.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::world;
use crate::support::{device::*, *};

on_every_store!(forged_registrations_are_refused, forged_proofs_are_refused, captured_proofs_are_good_for_minutes);

const REFRESH_HEADER: &str = r#"{"alg":"ES256","typ":"dbsc+jwt"}"#;

/// What follows from a proof: a status, and whether a challenge comes with it.
type Outcome = (u16, bool);

const REFUSED: Outcome = (400, false);
const CHALLENGED: Outcome = (403, true);
const REFRESHED: Outcome = (200, true);

/// Proofs that are malformed or make claims of their own, whatever the challenge: none is ever accepted.
fn malformed(key: &DeviceKeyPair, challenge: &str) -> Vec<(&'static str, String)> {
    let payload = json!({ "jti": challenge }).to_string();
    let signed = |header: &str| key.sign(header, &payload);
    let good = key.proof(challenge);
    let (header, rest) = good.split_once('.').expect("three segments");
    let (body, signature) = rest.split_once('.').expect("three segments");
    let unsigned = |header: &str| format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header));
    vec![
        ("alg none", unsigned(r#"{"alg":"none","typ":"dbsc+jwt"}"#)),
        ("alg none, signed", signed(r#"{"alg":"none","typ":"dbsc+jwt"}"#)),
        ("alg HS256", signed(r#"{"alg":"HS256","typ":"dbsc+jwt"}"#)),
        ("alg RS256", signed(r#"{"alg":"RS256","typ":"dbsc+jwt"}"#)),
        ("alg ES384", signed(r#"{"alg":"ES384","typ":"dbsc+jwt"}"#)),
        ("alg es256", signed(r#"{"alg":"es256","typ":"dbsc+jwt"}"#)),
        ("no alg", signed(r#"{"typ":"dbsc+jwt"}"#)),
        ("alg twice", signed(r#"{"alg":"none","alg":"ES256","typ":"dbsc+jwt"}"#)),
        ("typ JWT", signed(r#"{"alg":"ES256","typ":"JWT"}"#)),
        ("typ DBSC+JWT", signed(r#"{"alg":"ES256","typ":"DBSC+JWT"}"#)),
        ("typ dpop+jwt", signed(r#"{"alg":"ES256","typ":"dpop+jwt"}"#)),
        ("no typ", signed(r#"{"alg":"ES256"}"#)),
        ("crit", signed(r#"{"alg":"ES256","typ":"dbsc+jwt","crit":["x"],"x":1}"#)),
        ("header is no object", signed("[]")),
        ("header is an array", signed(r#"["dbsc+jwt","ES256",null,null]"#)),
        ("payload is an array", key.sign(REFRESH_HEADER, &json!([challenge]).to_string())),
        ("no jti", key.sign(REFRESH_HEADER, "{}")),
        ("jti is no text", key.sign(REFRESH_HEADER, r#"{"jti":1}"#)),
        ("jti twice", key.sign(REFRESH_HEADER, &format!(r#"{{"jti":"x","jti":"{challenge}"}}"#))),
        ("no signature", format!("{header}.{body}.")),
        ("short signature", format!("{header}.{body}.{}", &signature[..84])),
        ("padded", format!("{header}.{body}.{signature}==")),
        ("standard base64", format!("{header}.{body}.+{}", &signature[1..])),
        // 64 bytes leave four bits of the last character.
        ("second spelling", format!("{header}.{body}.{}B", &signature[..85])),
        ("two segments", format!("{header}.{body}")),
        ("four segments", format!("{good}.{signature}")),
        ("empty", String::new()),
        ("one quote", format!("\"{good}")),
        ("parameters", format!("\"{good}\";x=1")),
        ("list", format!("{good}, {good}")),
        ("huge", key.sign(REFRESH_HEADER, &json!({ "jti": challenge, "x": "y".repeat(2048) }).to_string())),
        ("huge header", "x".repeat(60_000)),
        ("deep", key.sign(REFRESH_HEADER, &format!(r#"{{"jti":"{challenge}","x":{}"#, "[".repeat(900)))),
    ]
}

async fn forged_registrations_are_refused(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    let login = browser.browser.login("alice").await;
    let (challenge, path) = offered(&login).expect("an offer");
    let other = world.browser().login("mallory").await;
    let (of_another, _) = offered(&other).expect("an offer");
    let key = DeviceKeyPair::generate();
    let payload = json!({ "jti": challenge }).to_string();
    let with_jwk = |jwk: serde_json::Value| {
        let header = json!({ "alg": "ES256", "jwk": jwk, "typ": "dbsc+jwt" });
        key.sign(&header.to_string(), &payload)
    };
    let changed = |name: &str, value: serde_json::Value| {
        let mut jwk = key.jwk();
        jwk[name] = value;
        with_jwk(jwk)
    };
    let zero = URL_SAFE_NO_PAD.encode([0; 32]);
    let mut forged = malformed(&key, &challenge);
    forged.extend([
        ("no jwk", key.proof(&challenge)),
        ("jwk of another", with_jwk(DeviceKeyPair::generate().jwk())),
        ("kty RSA", changed("kty", json!("RSA"))),
        ("kty OKP", changed("kty", json!("OKP"))),
        ("crv P-384", changed("crv", json!("P-384"))),
        ("crv Ed25519", changed("crv", json!("Ed25519"))),
        ("jwk is an array", with_jwk(json!(["EC", "P-256", key.jwk()["x"], key.jwk()["y"]]))),
        ("no point of the curve", changed("y", json!(zero))),
        ("the point 0, 0", with_jwk(json!({ "kty": "EC", "crv": "P-256", "x": zero, "y": zero }))),
        ("short coordinate", changed("x", json!(URL_SAFE_NO_PAD.encode([1; 31])))),
        ("long coordinate", changed("x", json!(URL_SAFE_NO_PAD.encode([0; 33])))),
        ("padded coordinate", changed("x", json!(format!("{}=", key.jwk()["x"].as_str().expect("a text"))))),
        ("no y", changed("y", json!(null))),
        ("challenge of another session", key.registration(&of_another)),
        ("no challenge of ours", key.registration("x")),
        ("empty challenge", key.registration("")),
        ("challenge of another spelling", key.registration(&format!("{challenge}="))),
    ]);
    for (what, proof) in &forged {
        let response = browser.browser.send(&format!("POST {path}"), &[(PROOF, proof)]).await;
        assert_eq!(response.status, 400, "{what}: {}", response.body);
        response.is_problem(400, "invalid_device_proof");
    }
    let good = key.registration(&challenge);
    let twice = [(PROOF, good.as_str()), (PROOF, good.as_str())];
    browser.browser.send(&format!("POST {path}"), &twice).await.is_problem(400, "invalid_device_proof");
    browser.browser.send(&format!("POST {path}"), &[]).await.is_problem(400, "invalid_device_proof");
    let evil = [(PROOF, good.as_str()), ("sec-fetch-site", "cross-site")];
    browser.browser.send(&format!("POST {path}"), &evil).await.is_problem(403, "cross_site_request");
    let mut thief = world.browser();
    thief.send(&format!("POST {path}"), &[(PROOF, &good)]).await.is_problem(401, "missing_credentials");
    thief.login("mallory").await;
    thief.send(&format!("POST {path}"), &[(PROOF, &good)]).await.is_problem(400, "invalid_device_proof");

    // Members that are not known, and the string that the draft demands.
    let header = json!({ "alg": "ES256", "jwk": key.jwk(), "typ": "dbsc+jwt", "kid": "x", "y": { "z": [] } });
    let payload = json!({ "jti": challenge, "aud": "https://app.test/auth/dbsc/register", "iat": 1 });
    let quoted = format!("\"{}\"", key.sign(&header.to_string(), &payload.to_string()));
    browser.browser.send(&format!("POST {path}"), &[(PROOF, &quoted)]).await.is(200);
}

async fn forged_proofs_are_refused(backend: Backend) {
    let world = world(backend).await;
    let (mut browser, mut mallory) = (world.bound_browser(), world.bound_browser());
    browser.bind("alice").await;
    mallory.bind("mallory").await;
    let Bound { id, key, challenge, .. } = browser.bound.as_ref().expect("a session");
    let challenge = challenge.clone().expect("a challenge");
    let of_another = mallory.bound.as_ref().and_then(|bound| bound.challenge.clone()).expect("a challenge");
    let of_login = offered(&world.browser().login("alice").await).expect("an offer").0;
    let foreign = DeviceKeyPair::generate();
    let mut forged: Vec<(&str, String, Outcome)> =
        malformed(key, &challenge).into_iter().map(|(what, proof)| (what, proof, REFUSED)).collect();
    forged.extend([
        ("another key", foreign.proof(&challenge), REFUSED),
        ("another key that comes with it", foreign.registration(&challenge), REFUSED),
        ("jwk of the right key", key.registration(&challenge), REFUSED),
        ("challenge of another session", key.proof(&of_another), CHALLENGED),
        ("challenge of a login", key.proof(&of_login), CHALLENGED),
        ("no challenge of ours", key.proof("x"), CHALLENGED),
        ("empty challenge", key.proof(""), CHALLENGED),
        ("challenge of another spelling", key.proof(&format!("{challenge}=")), CHALLENGED),
        ("challenge with another time", key.proof(&format!("B{}", &challenge[1..])), CHALLENGED),
    ]);
    for (what, proof, expected) in &forged {
        let headers = [(ID, id.as_str()), (PROOF, proof)];
        let response = browser.browser.send_only("POST /auth/dbsc/refresh", &headers).await;
        let outcome = (response.status, self::challenge(&response).is_some());
        assert_eq!(outcome, *expected, "{what}: {}", response.body);
        assert!(response.set_cookies().is_empty(), "{what}");
    }
    let good = key.proof(&challenge);
    let send = async |headers: &[(&str, &str)]| browser.browser.send_only("POST /auth/dbsc/refresh", headers).await;
    send(&[(PROOF, &good)]).await.is_problem(400, "invalid_request");
    send(&[(ID, id), (ID, id), (PROOF, &good)]).await.is_problem(400, "invalid_request");
    send(&[(ID, id), (PROOF, &good), (PROOF, &good)]).await.is_problem(400, "invalid_device_proof");
    send(&[(ID, id), (PROOF, &good), ("sec-fetch-site", "cross-site")]).await.is_problem(403, "cross_site_request");
    assert_eq!(send(&[(ID, "x"), (PROOF, &good)]).await.is(200).json(), json!({ "continue": false }));
    let none = world.browser();
    let response = none.send_only("POST /auth/dbsc/refresh", &[(ID, id), (PROOF, &good)]).await;
    assert_eq!(response.is(200).json(), json!({ "continue": false }), "without cookies there is no session");

    let extra = json!({ "jti": challenge, "aud": "https://app.test", "sub": "x" }).to_string();
    let quoted = format!("\"{}\"", key.sign(r#"{"typ":"dbsc+jwt","x":1,"alg":"ES256"}"#, &extra));
    let response = send(&[(ID, id), (PROOF, &quoted)]).await;
    assert_eq!((response.status, self::challenge(&response).is_some()), REFRESHED, "{}", response.body);
}

async fn captured_proofs_are_good_for_minutes(backend: Backend) {
    let world = world(backend).await;
    let mut browser = world.bound_browser();
    browser.bind("alice").await;
    let Bound { id, key, challenge, .. } = browser.bound.as_ref().expect("a session");
    let (id, proof) = (id.clone(), key.proof(challenge.as_ref().expect("a challenge")));
    let captured = browser.browser.clone();
    let replay = async || captured.send_only("POST /auth/dbsc/refresh", &[(ID, &id), (PROOF, &proof)]).await;
    world.clock.advance(seconds(10 * 60 + 59));
    replay().await.is(200);
    world.clock.advance(seconds(1));
    let response = replay().await;
    response.is_problem(403, "proof_required");
    assert!(self::challenge(&response).is_some());

    // Of another generation of the refresh token, for which it was not signed.
    browser.refresh().await.is(200);
    let Bound { key, challenge, .. } = browser.bound.as_ref().expect("a session");
    let next = key.proof(challenge.as_ref().expect("a challenge"));
    captured.send_only("POST /auth/dbsc/refresh", &[(ID, &id), (PROOF, &next)]).await.is_problem(403, "proof_required");
    browser.browser.send_only("POST /auth/dbsc/refresh", &[(ID, &id), (PROOF, &proof)]).await.is(403);
}
