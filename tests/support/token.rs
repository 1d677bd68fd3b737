//! Tokens made and taken apart by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use tower_jwt_sessions::SessionId;

/// The claims of a token, unverified.
pub(crate) fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

/// A token with another header, payload or signature than the one it is made from.
#[derive(Clone, Debug)]
pub(crate) struct Forgery {
    pub(crate) header: String,
    pub(crate) payload: String,
    secret: Vec<u8>,
}

impl Forgery {
    /// Starts with a valid token; `secret` signs the result.
    pub(crate) fn of(token: &str, secret: impl AsRef<[u8]>) -> Self {
        let mut parts = token.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (header, payload) = (parts.next().expect("a header"), parts.next().expect("a payload"));
        Self { header, payload, secret: secret.as_ref().to_vec() }
    }

    pub(crate) fn header(mut self, header: impl Into<String>) -> Self {
        self.header = header.into();
        self
    }

    pub(crate) fn payload(mut self, payload: impl Into<String>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Replaces text of the payload, which must be there.
    pub(crate) fn claim(mut self, from: &str, to: &str) -> Self {
        assert!(self.payload.contains(from), "{from} is not in {}", self.payload);
        self.payload = self.payload.replacen(from, to, 1);
        self
    }

    fn signed_part(&self) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(&self.header), URL_SAFE_NO_PAD.encode(&self.payload))
    }

    pub(crate) fn signed(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let signed = self.signed_part();
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    pub(crate) fn unsigned(&self) -> String {
        self.signed_part() + "."
    }
}

/// Returns the same token for a different session that no store has.
pub(crate) fn of_lost_session(token: &str, secret: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = claims_of(token)["sid"].as_str().expect("an id").to_owned();
    let other = SessionId::from_bytes(u128::from(COUNT.fetch_add(1, Ordering::Relaxed)).to_be_bytes());
    Forgery::of(token, secret).claim(&id, &other.to_string()).signed()
}

/// Other spellings of the same bytes.
pub(crate) fn respelled(token: &str) -> Vec<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let parts: Vec<&str> = token.split('.').collect();
    let mut spellings: Vec<String> = vec![
        format!("{token}="),
        format!("{token}%3D"),
        format!("\"{token}\""),
        token.replace('.', "=."),
        token.replace('-', "+").replace('_', "/") + "=",
    ];
    // Unused low bits of the last character of each part that has any.
    for n in 0..3 {
        if parts[n].len().is_multiple_of(4) {
            continue;
        }
        let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
        let last = changed[n].pop().expect("a character");
        let value = ALPHABET.iter().position(|letter| *letter == last as u8).expect("base64url");
        changed[n].push(char::from(ALPHABET[value ^ 1]));
        spellings.push(changed.join("."));
    }
    spellings
}
