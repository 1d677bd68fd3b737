//! The proofs of devices: what is read from them agrees with a plain reading.
//!
//! An input is a header and a payload with a line break between them, which a device signs, or, after a first byte of its
//! own, the whole value as a client sends it. Some bytes stand for what random mutations hardly produce.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, value::RawValue};
use tower_jwt_sessions::{keys::DeviceKey, testing::DeviceProof};

use crate::fuzzing::{
    members::Members,
    target::{Target, encode},
};

pub(crate) const TARGET: Target = Target { check, seeds, words };

/// The first byte of inputs that are a whole value.
const WHOLE: u8 = 0;

/// A pair of keys that is public here.
const PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPtym_bEfpfrRAQoH4fg2AL20Pcs8uYEyYXR8lXpz31ChRANCAATDq1s8egT8GfoSu0SkXwJ-7vF2rKRfKc6byKOK_1dGQzWmvbWfxBDLK7oHX0HyLD7egbRiyuMoEyfks6qWF0fW";

static PAIR: LazyLock<EcdsaKeyPair> = LazyLock::new(|| {
    let der = URL_SAFE_NO_PAD.decode(PRIVATE).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap()
});

/// The public key, as it is read from a registration.
static OWN: LazyLock<DeviceKey> = LazyLock::new(|| {
    let header = format!(r#"{{"jwk":{},"alg":"ES256","typ":"dbsc+jwt"}}"#, jwk());
    let proof = sign(header.as_bytes(), br#"{"jti":""}"#);
    DeviceProof::read(proof.as_bytes()).and_then(|proof| proof.key()).unwrap()
});

const CHALLENGE: &str = "AAAAAGlVuTzl-Z7c1E2ARtoOmjGjobIjufRb7Id-8F6FbvrKOrRFLw";

fn jwk() -> String {
    let (x, y) = PAIR.public_key().as_ref()[1..].split_at(32);
    format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
}

fn sign(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = PAIR.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", encode(signature.as_ref()))
}

/// The bytes of an input that stand for longer texts.
fn short_forms() -> &'static [(u8, String); 5] {
    static FORMS: LazyLock<[(u8, String); 5]> = LazyLock::new(|| {
        [
            (1, CHALLENGE.to_owned()),
            (2, jwk()),
            (3, r#""alg":"ES256""#.to_owned()),
            (4, r#""typ":"dbsc+jwt""#.to_owned()),
            (5, sign(br#"{"alg":"ES256","typ":"dbsc+jwt"}"#, format!(r#"{{"jti":"{CHALLENGE}"}}"#).as_bytes())),
        ]
    });
    &FORMS
}

fn long(input: &[u8]) -> Vec<u8> {
    let mut long = Vec::new();
    for byte in input {
        match short_forms().iter().find(|(short, _)| short == byte) {
            Some((_, form)) => long.extend_from_slice(form.as_bytes()),
            None => long.push(*byte),
        }
    }
    long
}

/// The members of an object, as they are written.
type Raw = Members<Box<RawValue>>;

impl Raw {
    /// Reads an object from canonical base64url.
    fn read(segment: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(segment).ok()?;
        // What is not read may be anything that is JSON, also numbers that no `Value` holds.
        std::str::from_utf8(&json).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// The only member of this name; null counts as absent.
    fn one(&self, name: &str) -> Result<Option<&RawValue>, ()> {
        let mut named = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        match (named.next(), named.next()) {
            (only, None) => Ok(only.map(|value| &**value).filter(|value| value.get() != "null")),
            _ => Err(()),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        serde_json::from_slice(self.one(name).ok()??.get().as_bytes()).ok()
    }
}

/// The challenge of a proof that this device has signed, and whether it tells its key; `None` if it is not accepted.
fn plain(value: &[u8]) -> Option<(String, bool)> {
    let text = std::str::from_utf8(value).ok()?;
    let is_quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    let text = if is_quoted { &text[1..text.len() - 1] } else { text };
    let [header, payload, signature] = text.split('.').collect::<Vec<_>>()[..] else { return None };
    if text.len() > 2048 {
        return None;
    }
    let (head, body) = (Raw::read(header)?, Raw::read(payload)?);
    if head.text("typ").as_deref() != Some("dbsc+jwt")
        || head.text("alg").as_deref() != Some("ES256")
        || !matches!(head.one("crit"), Ok(None))
    {
        return None;
    }
    let own: Value = serde_json::from_str(&jwk()).unwrap();
    let has_key = match head.one("jwk").ok()? {
        None => false,
        Some(jwk) => {
            let jwk: Raw = serde_json::from_slice(jwk.get().as_bytes()).ok()?;
            if !["crv", "kty", "x", "y"].iter().all(|name| jwk.text(name).as_deref() == own[name].as_str()) {
                // The key of another device: this one has not signed it.
                return None;
            }
            true
        }
    };
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, PAIR.public_key().as_ref());
    key.verify(format!("{header}.{payload}").as_bytes(), &signature).ok()?;
    Some((body.text("jti")?, has_key))
}

fn check(input: &[u8]) -> &'static str {
    let value = match input.split_first() {
        Some((&WHOLE, whole)) => long(whole),
        _ => {
            let mut parts = input.splitn(2, |byte| *byte == b'\n');
            let (header, payload) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            sign(&long(header), &long(payload)).into_bytes()
        }
    };
    let own = *OWN;
    let read = DeviceProof::read(&value).filter(|proof| proof.key().is_none_or(|key| key == own) && proof.is_by(&own));
    let actual = read.as_ref().map(|proof| (proof.challenge().to_owned(), proof.key().is_some()));
    assert_eq!(actual, plain(&value));
    match actual {
        Some((challenge, false)) if challenge == CHALLENGE => "proof",
        Some((_, true)) => "registration",
        Some(_) => "other challenge",
        None => "refused",
    }
}

fn words() -> Vec<Vec<u8>> {
    [
        "\u{1}",
        "\u{2}",
        "\u{3}",
        "\u{4}",
        "\u{5}",
        "\0\u{5}",
        "\n",
        "\"",
        "{",
        "}",
        ",",
        ":",
        ".",
        "..",
        "=",
        "null",
        "[]",
        "\"jti\":\"\u{1}\"",
        "\"jwk\":\u{2}",
        "\"crit\":[\"b64\"]",
        "\"alg\":\"none\"",
        "\"alg\":\"HS256\"",
        "\"typ\":\"JWT\"",
        "\"jwk\":null",
        "\"kid\":\"x\"",
        "\\u0061",
        "\"\u{5}\"",
        "\"x\":",
        "\"y\":",
        "1e999",
        " ",
    ]
    .map(|word| word.as_bytes().to_vec())
    .into()
}

fn seeds() -> Vec<Vec<u8>> {
    [
        "{\u{3},\u{4}}\n{\"jti\":\"\u{1}\"}",
        "{\u{4},\u{3},\"kid\":[{}]}\n{\"aud\":\"x\",\"jti\":\"\u{1}\"}",
        "{\u{3},\"jwk\":\u{2},\u{4}}\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4},\"jwk\":null}\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4}}\n{\"jti\":\"other\"}",
        "{\u{3},\u{3},\u{4}}\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4},\"crit\":[\"b64\"]}\n{\"jti\":\"\u{1}\"}",
        "{\"alg\":\"none\",\u{4}}\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\"typ\":\"JWT\"}\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4}}\n{\"jti\":\"\u{1}\",\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4}}\n[]",
        "\n",
        "[\"dbsc+jwt\",\"ES256\",null,null]\n{\"jti\":\"\u{1}\"}",
        "{\u{3},\u{4},\"jwk\":[]}\n[\"\u{1}\"]",
        "\0\u{5}",
        "\0\"\u{5}\"",
        "\0\"\u{5}",
        "\0\u{5}=",
        "\0\u{5}.",
        "\0\u{5}, \u{5}",
        "\0..",
        "\0",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .into()
}
