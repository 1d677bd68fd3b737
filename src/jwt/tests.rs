//! The wire format, compared with golden vectors, with jsonwebtoken, and on random input.

mod app_claims;
mod chance;
mod head;
mod names;
mod terms;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{claims::InvalidClaims, *};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId},
    keys::{KeyRing, SigningKey, VerificationKey},
};

const ISSUER: &str = "https://app.test";
const SECRET: &str = "golden access secret of 32 bytes!";
const REFRESH_SECRET: &str = "golden refresh secret of 32 bytes";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Claims {
    role: String,
    teams: Vec<u32>,
}

fn claims() -> Claims {
    Claims { role: "admin".into(), teams: vec![7, 11] }
}

/// The Ed25519 key of RFC 8037, appendix A.1.
fn rfc8037_pem() -> String {
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(SEED);
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

fn access_codec(ring: &KeyRing) -> Codec {
    Codec::new(TokenKind::Access, ISSUER, "https://api.test", 0).with_ring(ring)
}

fn refresh_codec(ring: &KeyRing) -> Codec {
    Codec::new(TokenKind::Refresh, ISSUER, "https://app.test#refresh", 0).with_ring(ring)
}

fn registered(user: &str) -> RegisteredClaims {
    let auth_time = Timestamp::from_secs(1_767_225_600);
    RegisteredClaims {
        user_id: UserId::new(user).unwrap(),
        session_id: SessionId::from_bytes(std::array::from_fn(|at| at as u8 * 17)),
        generation: 3,
        epoch: 2,
        auth_time,
        issued_at: auth_time.saturating_add(Duration::from_secs(600)),
        expires_at: auth_time.saturating_add(Duration::from_secs(4200)),
        terms: None,
    }
}

/// Writes claims as a manager does.
fn written<C: Serialize + serde::de::DeserializeOwned>(claims: &C) -> Result<AppClaims, InvalidClaims> {
    AppClaims::new(claims, ClaimsShape::of::<C>())
}

/// The keys of these tests do not retire.
fn now() -> Timestamp {
    Timestamp::from_secs(1_767_226_200)
}

fn open<C: serde::de::DeserializeOwned>(codec: &Codec, token: &str) -> Result<(RegisteredClaims, C), TokenError> {
    open_bytes(codec, token.as_bytes())
}

fn open_bytes<C: serde::de::DeserializeOwned>(
    codec: &Codec,
    token: &[u8],
) -> Result<(RegisteredClaims, C), TokenError> {
    let mut buffer = Buffer::new();
    let opened = codec.open(token, now(), &mut buffer)?;
    let claims = opened.app_claims(ClaimsShape::of::<C>())?;
    Ok((opened.registered, claims))
}

/// Only the signature is cached: after an invalid token is put into the cache, it is accepted, and no other is.
#[test]
fn cached_signature_is_not_verified_again() {
    let app = written(&claims()).unwrap();
    let keys = [KeyRing::eddsa_pem(rfc8037_pem()).unwrap(), KeyRing::hs256(SECRET).unwrap()];
    for (ring, has_cache) in keys.iter().zip([true, false]) {
        let codec = Codec::new(TokenKind::Access, ISSUER, "https://api.test", 10).with_ring(ring);
        let token = codec.seal(&registered("alice"), &app).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{signed}.{}", "A".repeat(signature.len()));
        assert_eq!(open::<Claims>(&codec, &unsigned), Err(TokenError::BadSignature));
        assert_eq!(open::<Claims>(&codec, &unsigned), Err(TokenError::BadSignature), "a refused token is not cached");
        codec.signature_cache.insert(unsigned.as_bytes());
        assert_eq!(open::<Claims>(&codec, &unsigned).is_ok(), has_cache);
        assert!(!codec.signature_cache.contains(token.as_bytes()));
        let mut buffer = Buffer::new();
        codec.open(token.as_bytes(), registered("alice").expires_at, &mut buffer).unwrap();
        assert!(!codec.signature_cache.contains(token.as_bytes()), "an expired token is not cached");
        open::<Claims>(&codec, &token).unwrap();
        assert_eq!(codec.signature_cache.contains(token.as_bytes()), has_cache, "an accepted token is cached");
    }
}

/// Wire format v1 must not change by accident: nodes of two releases serve side by side.
#[test]
fn golden_vectors_are_written_and_read() {
    let golden: Value = serde_json::from_str(include_str!("../../tests/golden/tokens-v1.json")).unwrap();
    let hmac = KeyRing::hs256(SECRET).unwrap();
    let eddsa = KeyRing::eddsa_pem(rfc8037_pem()).unwrap();
    let app = written(&claims()).unwrap();
    let user = "älice \"quoted\" \u{1}";

    for (name, ring) in [("access_hs256", &hmac), ("access_eddsa", &eddsa)] {
        let codec = access_codec(ring);
        let token = codec.seal(&registered(user), &app).unwrap();
        assert_eq!(token, golden[name].as_str().unwrap(), "{name}");
        assert_eq!(open(&codec, &token).unwrap(), (registered(user), claims()));
    }
    let codec = refresh_codec(&KeyRing::hs256(REFRESH_SECRET).unwrap());
    let refresh = RegisteredClaims { epoch: 0, ..registered(user) };
    let token = codec.seal(&refresh, &AppClaims::none()).unwrap();
    assert_eq!(token, golden["refresh_hs256"].as_str().unwrap());
    assert_eq!(open(&codec, &token).unwrap(), (refresh.clone(), ()));

    let refresh = RegisteredClaims { terms: terms::every_term().into_shared(), ..refresh };
    let token = codec.seal(&refresh, &AppClaims::none()).unwrap();
    assert_eq!(token, golden["refresh_hs256_terms"].as_str().unwrap());
    assert_eq!(open(&codec, &token).unwrap(), (refresh.clone(), ()));
    let access = RegisteredClaims { terms: refresh.terms, ..registered(user) };
    let token = access_codec(&hmac).seal(&access, &app).unwrap();
    assert_eq!(token, golden["access_hs256_terms"].as_str().unwrap());
    assert_eq!(open(&access_codec(&hmac), &token).unwrap(), (access, claims()));
}

#[test]
fn kid_of_ed25519_key_is_its_thumbprint() {
    // RFC 8037, appendix A.3.
    let key = SigningKey::eddsa_pem(rfc8037_pem()).unwrap();
    assert_eq!(key.verification_key().key_id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn claims_stand_in_the_documented_order() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    let token = codec.seal(&registered("alice"), &written(&claims()).unwrap()).unwrap();
    let segments: Vec<&str> = token.split('.').collect();
    let decoded = |segment: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(segment).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(
        decoded(segments[0]),
        r#"{"typ":"at+jwt","alg":"HS256","kid":"KID"}"#.replace("KID", kid(SECRET).as_str())
    );
    assert_eq!(
        decoded(segments[1]),
        r#"{"iss":"https://app.test","aud":"https://api.test","sub":"alice","sid":"ABEiM0RVZneImaq7zN3u_w","gen":3,"epoch":2,"auth_time":1767225600,"iat":1767226200,"exp":1767229800,"role":"admin","teams":[7,11]}"#
    );
}

fn kid(secret: &str) -> String {
    VerificationKey::hs256(secret).unwrap().key_id().to_owned()
}

#[test]
fn algorithms_round_trip_and_refuse_each_other() {
    use aws_lc_rs::{rand::SystemRandom, signature};
    let es256 =
        signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .unwrap();
    let es256 =
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(es256.as_ref()));
    let rings = [
        KeyRing::hs256([7; 32]).unwrap(),
        KeyRing::hs384([7; 48]).unwrap(),
        KeyRing::hs512([7; 64]).unwrap(),
        KeyRing::eddsa_pem(rfc8037_pem()).unwrap(),
        KeyRing::es256_pem(es256).unwrap(),
    ];
    let app = written(&claims()).unwrap();
    for (writer_at, writer) in rings.iter().enumerate() {
        let token = access_codec(writer).seal(&registered("alice"), &app).unwrap();
        assert!(token.len() <= access_codec(writer).longest(&UserId::new("alice").unwrap(), None, &app));
        for (reader_at, reader) in rings.iter().enumerate() {
            let read = open::<Claims>(&access_codec(reader), &token);
            assert_eq!(read.is_ok(), writer_at == reader_at, "{writer:?} read by {reader:?}");
        }
    }
}

#[test]
fn older_keys_verify_and_do_not_sign() {
    let app = AppClaims::none();
    let old = KeyRing::hs256([1; 32]).unwrap();
    let by_old = access_codec(&old).seal(&registered("alice"), &app).unwrap();
    let new = KeyRing::hs256([2; 32]).unwrap().with_verification_key(VerificationKey::hs256([1; 32]).unwrap()).unwrap();
    let by_new = access_codec(&new).seal(&registered("alice"), &app).unwrap();
    assert!(open::<()>(&access_codec(&new), &by_old).is_ok());
    assert!(open::<()>(&access_codec(&new), &by_new).is_ok());
    assert_eq!(open::<()>(&access_codec(&old), &by_new), Err(TokenError::ForeignHeader));
}

#[test]
fn kinds_issuers_and_audiences_are_not_confused() {
    let ring = KeyRing::hs256(SECRET).unwrap();
    let app = AppClaims::none();
    let access = access_codec(&ring).seal(&registered("alice"), &app).unwrap();
    // The same key for both kinds is refused by the builder; even so the kinds differ.
    assert_eq!(open::<()>(&refresh_codec(&ring), &access), Err(TokenError::ForeignHeader));
    let refresh = refresh_codec(&ring).seal(&registered("alice"), &app).unwrap();
    assert_eq!(open::<()>(&access_codec(&ring), &refresh), Err(TokenError::ForeignHeader));
    for (issuer, audience) in [("https://app.test/", "https://api.test"), (ISSUER, "https://other.test")] {
        let other = Codec::new(TokenKind::Access, issuer, audience, 0).with_ring(&ring);
        assert_eq!(open::<()>(&other, &access), Err(TokenError::BadClaims));
    }
}

/// Signs any header and payload with the key that the codec accepts.
fn forge(header: &str, payload: &str) -> String {
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = SigningKey::hs256(SECRET).unwrap().sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature.as_bytes()))
}

const PAYLOAD: &str = r#"{"iss":"https://app.test","aud":"https://api.test","sub":"alice","sid":"ABEiM0RVZneImaq7zN3u_w","gen":3,"epoch":2,"auth_time":1767225600,"iat":1767226200,"exp":1767229800}"#;

#[test]
fn signed_token_with_other_header_is_refused() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    let kid = kid(SECRET);
    let good = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#);
    assert!(open::<()>(&codec, &forge(&good, PAYLOAD)).is_ok());
    for header in [
        format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"AT+JWT","alg":"HS256","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}","crit":["exp"]}}"#),
        format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}","jku":"https://evil.test"}}"#),
        format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"rt+jwt","alg":"HS256","kid":"{kid}"}}"#),
        format!(r#" {{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#),
        r#"{"typ":"at+jwt","alg":"HS256","kid":"../../dev/null"}"#.to_owned(),
        r#"{"alg":"none"}"#.to_owned(),
        String::new(),
    ] {
        assert_eq!(open::<()>(&codec, &forge(&header, PAYLOAD)), Err(TokenError::ForeignHeader), "{header}");
    }
}

#[test]
fn signed_token_with_other_claims_is_refused() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, kid(SECRET));
    let long = "x".repeat(256);
    for (from, to) in [
        ("\"exp\":1767229800", "\"exp\":\"1767229800\""),
        ("\"exp\":1767229800", "\"exp\":1767229800.0"),
        ("\"exp\":1767229800", "\"exp\":-1"),
        ("\"exp\":1767229800", "\"exp\":1e99"),
        ("\"exp\":1767229800", "\"exp\":01767229800"),
        ("\"exp\":1767229800", "\"exp\":99999999999999999999"),
        ("\"exp\":1767229800", "\"exp\":null"),
        (",\"exp\":1767229800", ""),
        (",\"exp\":1767229800", ", \"exp\":1767229800"),
        ("\"gen\":3", "\"gen\":0"),
        ("\"gen\":3", "\"gen\":4294967296"),
        ("\"sub\":\"alice\"", "\"sub\":\"\""),
        ("\"sub\":\"alice\"", "\"sub\":7"),
        ("\"sub\":\"alice\"", "\"sub\": \"alice\""),
        ("\"sub\":\"alice\"", "\"sub\": \"al\\u0001ce\""),
        ("\"sub\":\"alice\"", "\"sub\":\"al\\u0069ce\""),
        ("\"sub\":\"alice\"", "\"sub\":\"\\/alice\""),
        ("\"sub\":\"alice\"", "\"sub\":\"alice\\u000a\""),
        ("\"sub\":\"alice\"", "\"sub\":\"a\u{0}b\\\""),
        ("\"sub\":\"alice\"", "\"sub\":\"a\u{0}b\""),
        ("\"sub\":\"alice\"", "\"sub\":\"a\nb\""),
        ("\"sub\":\"alice\"", &format!("\"sub\":\"{long}\"")),
        ("\"aud\":\"https://api.test\"", "\"aud\":[\"https://api.test\"]"),
        ("\"iss\":\"https://app.test\"", "\"iss\":\"https://app.test/\""),
        ("ABEiM0RVZneImaq7zN3u_w", "ABEiM0RVZneImaq7zN3u_x"),
        (",\"exp\":1767229800", ",\"exp\":1767229800,\"exp\":9999999999"),
        (",\"exp\":1767229800", ",\"exp\":1767229800,\"sub\":\"mallory\""),
        (",\"exp\":1767229800", ",\"exp\":1767229800,\"nbf\":1"),
        (",\"exp\":1767229800", ",\"exp\":1767229800,\"\\u0065xp\":1"),
        (",\"exp\":1767229800", ",\"exp\":1767229800,\"role\":1,\"role\":1"),
        ("1767229800}", "1767229800}}"),
        ("1767229800}", "1767229800} "),
        ("1767229800}", "1767229800"),
        ("1767229800}", "1767229800,}"),
    ] {
        let payload = PAYLOAD.replacen(from, to, 1);
        assert_ne!(payload, PAYLOAD, "{from}");
        assert_eq!(open::<Value>(&codec, &forge(&header, &payload)), Err(TokenError::BadClaims), "{payload}");
    }
}

#[test]
fn only_one_spelling_of_a_token_is_accepted() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    let token = codec.seal(&registered("alice"), &AppClaims::none()).unwrap();
    let (rest, last) = token.split_at(token.len() - 1);
    // 32 bytes leave two unused bits in the last character.
    let flipped = char::from(last.as_bytes()[0] + 1);
    for spelling in [
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}.x"),
        format!("x.{token}"),
        format!("{token}.{token}"),
        format!("{rest}{flipped}"),
        rest.to_owned(),
        token.replace('.', ".."),
        token.replacen('.', "", 1),
    ] {
        assert!(open::<()>(&codec, &spelling).is_err(), "{spelling}");
    }
}

#[test]
fn oversized_token_is_refused() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    let long = json!({ "text": "x".repeat(4096) });
    assert_eq!(codec.seal(&registered("alice"), &written(&long).unwrap()), Err(IssueError::TooLong));
    let token = codec.seal(&registered("alice"), &AppClaims::none()).unwrap();
    let padded = format!("{token}{}", "A".repeat(MAX_TOKEN_LEN));
    assert_eq!(open::<()>(&codec, &padded), Err(TokenError::Malformed));
}

/// Returns the claims that jsonwebtoken reads with strict validation.
#[expect(clippy::disallowed_methods, reason = "the oracle; the tests choose one backend")]
fn oracle(token: &str) -> Option<Value> {
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&["https://api.test"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(|token| token.claims)
}
