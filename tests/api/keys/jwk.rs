//! JSON Web Keys and sets of them: which are accepted, and which are rejected.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_jwt_sessions::{
    ConfigError, KeyRing,
    error::ConfigErrorKind,
    keys::{SigningKey, VerificationKey, VerificationKeys},
};

use crate::keys::support::{ED25519_D, ED25519_THUMBPRINT, ED25519_X, P256_D, P256_X, P256_Y, eddsa};

const SECRET: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

fn ed25519_public() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": ED25519_X })
}

fn p256_public() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "x": P256_X, "y": P256_Y })
}

fn secret() -> Value {
    json!({ "kty": "oct", "alg": "HS256", "k": SECRET })
}

/// The key with these members added or, where they are null, removed.
fn with(mut jwk: Value, members: Value) -> Value {
    let object = jwk.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap().clone() {
        object.remove(&name);
        if !value.is_null() {
            object.insert(name, value);
        }
    }
    jwk
}

fn ed25519_private() -> Value {
    with(ed25519_public(), json!({ "d": ED25519_D }))
}

fn p256_private() -> Value {
    with(p256_public(), json!({ "d": P256_D }))
}

fn sign(jwk: &Value) -> Result<SigningKey, ConfigError> {
    SigningKey::from_jwk(jwk.to_string())
}

fn verify(jwk: &Value) -> Result<VerificationKey, ConfigError> {
    VerificationKey::from_jwk(jwk.to_string())
}

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Asserts that the message holds no private member.
fn checked(error: ConfigError) -> ConfigError {
    let text = format!("{error} {error:?}");
    for private in [SECRET, ED25519_D, P256_D] {
        assert!(!text.contains(private), "{text}");
    }
    error
}

#[test]
fn valid_jwks_become_keys_with_their_kid() {
    assert_eq!(verify(&ed25519_public()).unwrap().key_id(), ED25519_THUMBPRINT);
    assert_eq!(sign(&ed25519_private()).unwrap().verification_key().key_id(), ED25519_THUMBPRINT);
    let p256 = verify(&p256_public()).unwrap();
    assert_eq!(sign(&p256_private()).unwrap().verification_key().key_id(), p256.key_id());
    let by_hand = VerificationKey::hs256([1; 32]).unwrap();
    assert_eq!(verify(&secret()).unwrap().key_id(), by_hand.key_id());
    assert_eq!(sign(&secret()).unwrap().verification_key().key_id(), by_hand.key_id());

    for (jwk, named) in [(ed25519_private(), "a"), (p256_private(), "b.c"), (secret(), "2026-11")] {
        assert_eq!(sign(&with(jwk, json!({ "kid": named }))).unwrap().verification_key().key_id(), named);
    }
    for kid in ["", "a b", "a\"", "../../etc/passwd", &"x".repeat(65)] {
        let refused = verify(&with(ed25519_public(), json!({ "kid": kid })));
        assert!(
            refused.is_err_and(
                |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("invalid key id")
            ),
            "{kid:?}"
        );
    }
    // The name that RFC 9864 gives to the same algorithm; unknown members (RFC 7517, section 4).
    verify(&with(ed25519_public(), json!({ "alg": "Ed25519", "use": "sig", "key_ops": ["verify"], "more": [1] })))
        .unwrap();
    sign(&with(ed25519_private(), json!({ "key_ops": ["sign"] }))).unwrap();
    sign(&with(secret(), json!({ "key_ops": ["sign", "verify"] }))).unwrap();
}

#[test]
fn inconsistent_jwk_is_rejected_with_help() {
    let p384 = "A".repeat(64);
    for (jwk, help) in [
        (with(ed25519_public(), json!({ "alg": null })), "add \"alg\""),
        (with(ed25519_public(), json!({ "alg": "none" })), "use EdDSA"),
        (with(ed25519_public(), json!({ "alg": "eddsa" })), "use EdDSA"),
        (with(ed25519_public(), json!({ "alg": 7 })), "use EdDSA"),
        (with(p256_public(), json!({ "alg": "ES384" })), "use EdDSA"),
        (with(ed25519_public(), json!({ "use": "enc" })), "\"use\":\"sig\""),
        (with(ed25519_public(), json!({ "use": "" })), "\"use\":\"sig\""),
        (with(ed25519_public(), json!({ "key_ops": [] })), "key_ops"),
        (with(ed25519_public(), json!({ "key_ops": ["sign"] })), "key_ops"),
        (with(ed25519_public(), json!({ "key_ops": ["encrypt"] })), "key_ops"),
        (with(ed25519_public(), json!({ "key_ops": ["verify", "deriveKey"] })), "key_ops"),
        (with(ed25519_public(), json!({ "key_ops": "verify" })), "RFC 7517"),
        (with(ed25519_public(), json!({ "kid": 7 })), "RFC 7517"),
        // kty, crv, alg and the key disagree.
        (with(p256_public(), json!({ "crv": "P-384" })), "agree with alg"),
        (with(p256_public(), json!({ "crv": "P-521" })), "agree with alg"),
        (with(p256_public(), json!({ "crv": "Ed25519" })), "agree with alg"),
        (with(p256_public(), json!({ "crv": "secp256k1" })), "agree with alg"),
        (with(p256_public(), json!({ "alg": "EdDSA" })), "agree with alg"),
        (with(p256_public(), json!({ "alg": "HS256" })), "agree with alg"),
        (with(p256_public(), json!({ "x": &p384, "y": &p384 })), "agree with alg"),
        (with(p256_public(), json!({ "y": null })), "agree with alg"),
        (with(ed25519_public(), json!({ "kty": "EC" })), "agree with alg"),
        (with(ed25519_public(), json!({ "kty": null })), "agree with alg"),
        (with(ed25519_public(), json!({ "kty": "AKP" })), "agree with alg"),
        (with(ed25519_public(), json!({ "crv": "X25519" })), "agree with alg"),
        (with(ed25519_public(), json!({ "crv": "P-256" })), "agree with alg"),
        (with(ed25519_public(), json!({ "alg": "HS256" })), "agree with alg"),
        (with(ed25519_public(), json!({ "x": "AAAA" })), "agree with alg"),
        (with(ed25519_public(), json!({ "x": "" })), "agree with alg"),
        (with(ed25519_public(), json!({ "x": format!("{}=", &ED25519_X[..42]) })), "without padding"),
        (with(secret(), json!({ "alg": "EdDSA" })), "agree with alg"),
        (with(secret(), json!({ "k": null })), "a secret has \"k\""),
        (with(secret(), json!({ "d": ED25519_D })), "a secret has \"k\""),
        (with(ed25519_public(), json!({ "k": SECRET })), "a secret has \"k\""),
        (with(secret(), json!({ "k": format!("{SECRET}=") })), "without padding"),
        (json!([]), "JSON text"),
        (json!("text"), "JSON text"),
        (json!(null), "JSON text"),
        (with(secret(), json!({ "k": 7 })), "JSON text"),
        (with(ed25519_private(), json!({ "d": [ED25519_D] })), "JSON text"),
    ] {
        let error = checked(verify(&jwk).err().unwrap_or_else(|| panic!("{jwk} is accepted")));
        assert!(
            error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("the JWK"),
            "{jwk}: {error:?}"
        );
        assert!(error.to_string().contains(help), "{jwk}: {error}");
        assert!(sign(&jwk).is_err(), "{jwk}");
    }
    for text in ["", "{", "{}x", "\u{feff}{}", "-----BEGIN PUBLIC KEY-----"] {
        assert!(
            VerificationKey::from_jwk(text).is_err_and(
                |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("the JWK")
            ),
            "{text:?}"
        );
    }
}

#[test]
fn unsuitable_jwk_does_not_sign() {
    let padded = URL_SAFE_NO_PAD.encode([vec![0], URL_SAFE_NO_PAD.decode(P256_D).unwrap()].concat());
    for (jwk, help) in [
        (ed25519_public(), "pass the private key"),
        (p256_public(), "pass the private key"),
        (with(ed25519_private(), json!({ "key_ops": ["verify"] })), "key_ops"),
        (with(secret(), json!({ "key_ops": ["verify"] })), "key_ops"),
        (with(secret(), json!({ "key_ops": ["sign"] })), "key_ops"),
        // The private member of another key.
        (with(ed25519_private(), json!({ "d": P256_D })), "export the key again"),
        (with(p256_private(), json!({ "d": ED25519_D })), "export the key again"),
        (with(ed25519_private(), json!({ "d": "AAAA" })), "export the key again"),
        (with(p256_private(), json!({ "d": "" })), "export the key again"),
        // The same number with a zero in front (RFC 7518, section 6.2.2.1, has it in 32 bytes).
        (with(p256_private(), json!({ "d": padded })), "export the key again"),
        (with(ed25519_private(), json!({ "d": format!("{ED25519_D}AAAA") })), "export the key again"),
    ] {
        let error = checked(sign(&jwk).err().unwrap_or_else(|| panic!("{jwk} signs")));
        assert!(error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("the JWK"), "{error:?}");
        assert!(error.to_string().contains(help), "{jwk}: {error}");
    }
    let short = checked(sign(&with(secret(), json!({ "alg": "HS384" }))).unwrap_err());
    assert_eq!(short.kind(), ConfigErrorKind::WeakKey);
    assert!(short.to_string().starts_with("secret too short: 32 bytes, need at least 48 for HS384"), "{short}");
    let empty = sign(&with(secret(), json!({ "k": "" }))).unwrap_err();
    assert_eq!(empty.kind(), ConfigErrorKind::WeakKey);
    assert!(empty.to_string().starts_with("secret too short: 0 bytes"), "{empty}");
}

#[test]
fn duplicate_member_is_rejected() {
    for (jwk, name) in [
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"{ED25519_X}","alg":"EdDSA"}}"#), "alg"),
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"AAAA","x":"{ED25519_X}"}}"#), "x"),
        (format!(r#"{{"kty":"oct","alg":"HS256","k":"{SECRET}","k":"{SECRET}"}}"#), "k"),
        (format!(r#"{{"kty":"oct","alg":"HS256","k":"{SECRET}","\u006b":"{SECRET}"}}"#), "k"),
        (format!(r#"{{"kty":"oct","alg":"HS256","k":"{SECRET}","unknown":1,"unknown":1}}"#), "unknown"),
    ] {
        let error = checked(VerificationKey::from_jwk(&jwk).unwrap_err());
        assert!(error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("the JWK"));
        assert!(error.to_string().contains(&format!("{name:?} twice")), "{error}");
    }
}

#[test]
fn rsa_jwk_is_unsupported() {
    let public = json!({ "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB" });
    for jwk in [with(public.clone(), json!({ "alg": null })), with(public.clone(), json!({ "p": "AQAB" })), public] {
        let error = verify(&jwk).unwrap_err();
        assert!(
            error.kind() == ConfigErrorKind::UnsupportedAlgorithm
                && error.to_string().contains("unsupported algorithm RSA"),
            "{error:?}"
        );
        assert!(error.to_string().contains("openssl genpkey"), "{error}");
    }
}

#[test]
fn private_key_given_to_verify_is_rejected() {
    let named = with(ed25519_private(), json!({ "kid": "leaked" }));
    for error in [verify(&named).unwrap_err(), VerificationKeys::from_jwks(set(&[named])).unwrap_err()] {
        assert!(checked(error).to_string().contains("leaked"));
    }
    for private in [ed25519_private(), p256_private(), secret()] {
        let refused = VerificationKeys::from_jwks(set(&[private]));
        assert!(refused.is_err_and(|error| error.kind() == ConfigErrorKind::PrivateKey));
    }
}

#[test]
fn mixed_set_or_duplicate_kid_is_rejected() {
    let named = |jwk, kid: &str| with(jwk, json!({ "kid": kid }));
    let keys = VerificationKeys::from_jwks(set(&[ed25519_public(), named(p256_public(), "b")])).unwrap();
    assert_eq!(keys.key_ids().collect::<Vec<_>>(), [ED25519_THUMBPRINT, "b"]);

    let duplicate = set(&[named(ed25519_public(), "same"), named(p256_public(), "same")]);
    let duplicate = VerificationKeys::from_jwks(duplicate).unwrap_err();
    assert_eq!(duplicate.kind(), ConfigErrorKind::InvalidKey);
    assert!(duplicate.to_string().starts_with("duplicate key id \"same\""), "{duplicate}");
    assert!(
        VerificationKeys::from_jwks(set(&[])).is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
            && error.to_string().contains("the JWK set has no keys"))
    );
    let mixed = set(&[ed25519_public(), secret()]);
    assert!(VerificationKeys::from_jwks(&mixed).is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
        && error.to_string().contains("mixes secrets and public keys")));
    assert!(
        KeyRing::from_jwks(&mixed, ED25519_THUMBPRINT).is_err_and(|error| error.kind() == ConfigErrorKind::InvalidKey
            && error.to_string().contains("mixes secrets and public keys"))
    );
    // One invalid key makes the set invalid, so that no key is missing later.
    let rsa = json!({ "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB" });
    let refused = VerificationKeys::from_jwks(set(&[ed25519_public(), rsa]));
    assert!(refused.is_err_and(|error| error.kind() == ConfigErrorKind::UnsupportedAlgorithm));
    for text in
        ["{}", "[]", "{\"keys\":{}}", "{\"keys\":[7]}", "{\"keys\":[],\"keys\":[]}", &ed25519_public().to_string()]
    {
        assert!(
            VerificationKeys::from_jwks(text).is_err_and(
                |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("the JWK")
            ),
            "{text}"
        );
    }
}

#[test]
fn ring_from_set_signs_with_named_key() {
    let named = |jwk, kid: &str| with(jwk, json!({ "kid": kid }));
    let text = set(&[named(p256_public(), "old"), named(ed25519_private(), "now"), named(p256_private(), "next")]);
    // "old" and "next" are one key with two names, which is allowed.
    let ring = KeyRing::from_jwks(&text, "now").unwrap();
    let published: Value = serde_json::from_str(&ring.public_jwks().unwrap()).unwrap();
    let kids: Vec<_> = published["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(kids, ["now", "old", "next"]);
    for missing in ["old", "elsewhere", ""] {
        let error = KeyRing::from_jwks(&text, missing).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidKey);
        assert!(error.to_string().contains(&format!("has the key id {missing:?}")), "{error}");
    }
    let twice = set(&[named(ed25519_private(), "now"), named(p256_private(), "now")]);
    assert!(KeyRing::from_jwks(twice, "now").is_err_and(
        |error| error.kind() == ConfigErrorKind::InvalidKey && error.to_string().contains("duplicate key id")
    ));
    let secrets = set(&[named(secret(), "now")]);
    assert_eq!(KeyRing::from_jwks(secrets, "now").unwrap().public_jwks(), None);
}

/// Published keys are accepted by jsonwebtoken and by this crate.
#[test]
fn published_keys_are_public_and_round_trip() {
    let ring = KeyRing::new(eddsa(7))
        .with_verification_key(sign(&p256_private()).unwrap().verification_key().clone())
        .unwrap()
        .with_verification_key(VerificationKey::hs256([3; 32]).unwrap())
        .unwrap()
        .with_retiring_key(verify(&ed25519_public()).unwrap(), std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    let text = ring.public_jwks().unwrap();
    let published: Value = serde_json::from_str(&text).unwrap();
    let keys = published["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3, "{text}");
    for key in keys {
        let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let allowed = ["alg", "crv", "kid", "kty", "use", "x", "y"];
        assert!(members.iter().all(|member| allowed.contains(member)), "{members:?}");
        assert_eq!(key["use"], "sig");
    }
    assert_eq!(keys[1], with(p256_public(), json!({ "use": "sig", "kid": keys[1]["kid"] })));
    assert_eq!(keys[2], with(ed25519_public(), json!({ "use": "sig", "kid": ED25519_THUMBPRINT })));
    let again = VerificationKeys::from_jwks(&text).unwrap();
    assert_eq!(again.key_ids().count(), 3);

    let theirs: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&text).unwrap();
    for (ours, theirs) in keys.iter().zip(&theirs.keys) {
        assert_eq!(theirs.common.key_id.as_deref(), ours["kid"].as_str());
        assert!(theirs.is_supported());
        jsonwebtoken::DecodingKey::from_jwk(theirs).unwrap();
    }
}

/// The `kid` of a public key is a hash that others can compute, too. That of a secret must not be one, since an
/// observer of tokens could test guesses of the secret offline (RFC 7638, section 7).
#[test]
#[expect(clippy::disallowed_methods, reason = "the oracle; the tests choose one backend")]
fn default_kid_is_thumbprint_only_of_public_key() {
    use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
    let thumbprint = |jwk: &Value| {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        jwk.thumbprint(ThumbprintHash::SHA256).unwrap()
    };
    for jwk in [ed25519_public(), p256_public()] {
        assert_eq!(verify(&jwk).unwrap().key_id(), thumbprint(&jwk));
    }
    let kid = verify(&secret()).unwrap().key_id().to_owned();
    assert!(!thumbprint(&secret()).starts_with(&kid));
    // Another algorithm with the same secret has another name.
    let longer = URL_SAFE_NO_PAD.encode([1; 64]);
    let named = |alg| verify(&json!({ "kty": "oct", "alg": alg, "k": longer })).unwrap().key_id().to_owned();
    assert!(named("HS256") != named("HS384") && named("HS384") != named("HS512"));
}

proptest! {
    #[test]
    fn arbitrary_text_neither_panics_nor_leaks_secret(
        which in 0_usize..3,
        at in any::<prop::sample::Index>(),
        cut in 0_usize..4,
        insert in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\"\\,:{}[]0dk".to_vec())], 0..4),
    ) {
        let (jwk, private) =
            [(ed25519_private(), ED25519_D), (p256_private(), P256_D), (secret(), SECRET)][which].clone();
        let mut text = jwk.to_string().into_bytes();
        let at = at.index(text.len());
        text.splice(at..(at + cut).min(text.len()), insert);
        let set = [&b"{\"keys\":["[..], &text, b"]}"].concat();
        let errors = [
            SigningKey::from_jwk(&text).err(),
            VerificationKey::from_jwk(&text).err(),
            VerificationKeys::from_jwks(&set).err(),
            KeyRing::from_jwks(&set, "").err(),
        ];
        let text = format!("{errors:?} {}", errors.iter().flatten().map(ToString::to_string).collect::<String>());
        let parts = private.as_bytes().chunks(12).filter(|part| part.len() == 12);
        for part in parts.map(|part| std::str::from_utf8(part).unwrap()) {
            prop_assert!(!text.contains(part), "{text}");
        }
    }
}
