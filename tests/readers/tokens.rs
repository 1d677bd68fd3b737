//! Tokens that a verifier has to accept or to refuse.

use aws_lc_rs::{hmac, signature::Ed25519KeyPair};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::service::{ISSUER, SEED, Service};

pub(crate) struct Presented {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) is_valid: bool,
}

/// Header and payload of a valid token, to be changed and signed.
struct Forgery {
    header: Value,
    payload: Value,
}

impl Forgery {
    fn of(token: &str) -> Self {
        let mut parts = token
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).unwrap_or_default());
        Self { header: parts.next().expect("a header"), payload: parts.next().expect("a payload") }
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header[name] = value.into();
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload[name] = value.into();
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.payload.as_object_mut().expect("an object").remove(name).expect("such a claim");
        self
    }

    fn signed_part(&self) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        format!("{}.{}", encode(&self.header), encode(&self.payload))
    }

    fn signed_with(&self, seed: [u8; 32]) -> String {
        let signed = self.signed_part();
        let key = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a key");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
    }

    /// With the right key.
    fn signed(&self) -> String {
        self.signed_with(SEED)
    }

    fn signed_with_secret(&self, secret: &[u8]) -> String {
        let signed = self.signed_part();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    }
}

/// Every token, valid ones also between and after the others.
pub(crate) fn presented(service: &Service) -> Vec<Presented> {
    let tokens = &service.tokens;
    let valid = |what, text: &str| Presented { what, text: text.to_owned(), is_valid: true };
    let invalid = |what, text: String| Presented { what, text, is_valid: false };
    let good = || Forgery::of(&tokens.eddsa);
    let seconds = |name: &str| good().payload[name].as_u64().expect("a number");
    let public = {
        use aws_lc_rs::signature::KeyPair as _;
        Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key").public_key().as_ref().to_vec()
    };
    let (head, signature) = tokens.eddsa.rsplit_once('.').expect("a signature");
    vec![
        valid("EdDSA", &tokens.eddsa),
        valid("ES256", &tokens.es256),
        valid("with client_id and jti", &tokens.with_client),
        valid("of a session that was logged out", &tokens.logged_out),
        valid("forged with the right key", &good().claim("role", "admin").signed()),
        invalid("a refresh token", tokens.refresh.clone()),
        invalid("typ of a refresh token", good().header("typ", "rt+jwt").signed()),
        invalid("typ of other JWTs", good().header("typ", "JWT").signed()),
        invalid("another issuer", good().claim("iss", "https://evil.example").signed()),
        invalid("another audience", good().claim("aud", format!("{ISSUER}#refresh")).signed()),
        invalid("expired", good().claim("iat", seconds("iat") - 700).claim("exp", seconds("iat") - 100).signed()),
        valid("EdDSA, again", &tokens.eddsa),
        invalid("no exp", good().without("exp").signed()),
        invalid("no sub", good().without("sub").signed()),
        invalid("no iss", good().without("iss").signed()),
        invalid("no aud", good().without("aud").signed()),
        invalid("another key", good().signed_with([8; 32])),
        invalid("an unknown key", good().header("kid", "unknown").signed_with([8; 32])),
        invalid("a key in the header", good().header("jwk", json!({ "kty": "OKP" })).signed_with([8; 32])),
        invalid("the public key as a secret", good().header("alg", "HS256").signed_with_secret(&public)),
        invalid("no signature", good().header("alg", "none").signed_part() + "."),
        invalid("another payload", format!("{}.{signature}", good().claim("sub", "bob").signed_part())),
        invalid(
            "the signature of another",
            format!("{head}.{}", tokens.logged_out.rsplit('.').next().unwrap_or_default()),
        ),
        invalid("no token", "x".to_owned()),
        valid("ES256, again", &tokens.es256),
    ]
}
