//! Reads what a device has signed: a JWS (RFC 7515) whose payload names the challenge.
//!
//! Read with the care of a token: each part has one spelling, and nothing in it chooses how it is verified. Members that
//! are not known are accepted, since the draft still grows.

use std::{fmt, marker::PhantomData};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::headers::unquoted;
use crate::keys::DeviceKey;

/// The longest proof, several times as long as any that a browser sends.
const MAX_LEN: usize = 2048;

/// What a device has signed. The signature is not checked yet.
pub(crate) struct Proof<'h> {
    signed: &'h [u8],
    signature: [u8; 64],
    /// The challenge, as the proof has it.
    pub(crate) challenge: String,
    /// The key that signs, which only a registration tells.
    pub(crate) key: Option<DeviceKey>,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Option<Object<Jwk>>,
    /// Names members that must be understood (RFC 7515, section 4.1.11).
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

#[derive(Deserialize)]
struct Payload {
    jti: String,
}

impl<'h> Proof<'h> {
    /// Reads a value of the header `Secure-Session-Response`, bare or as a string. `None` if it is no proof.
    pub(crate) fn read(value: &'h [u8]) -> Option<Self> {
        let text = unquoted(value);
        if text.len() > MAX_LEN {
            return None;
        }
        let mut segments = text.split(|byte| *byte == b'.');
        let (header, payload, signature) = (segments.next()?, segments.next()?, segments.next()?);
        if segments.next().is_some() {
            return None;
        }
        let signed = text.get(..header.len() + 1 + payload.len())?;
        let Header { typ, alg, jwk, crit } = read(header)?;
        if typ != "dbsc+jwt" || alg != "ES256" || crit.is_some() {
            return None;
        }
        let key = match jwk {
            Some(Object(jwk)) => Some(jwk.key()?),
            None => None,
        };
        let Payload { jti } = read(payload)?;
        let signature = decode(signature)?.try_into().ok()?;
        Some(Self { signed, signature, challenge: jti, key })
    }

    /// Whether this key has signed it.
    pub(crate) fn is_by(&self, key: &DeviceKey) -> bool {
        key.verifies(self.signed, &self.signature)
    }
}

impl Jwk {
    fn key(&self) -> Option<DeviceKey> {
        if self.kty != "EC" || self.crv != "P-256" {
            return None;
        }
        let coordinate = |text: &str| -> Option<[u8; 32]> { decode(text.as_bytes())?.try_into().ok() };
        DeviceKey::from_coordinates(&coordinate(&self.x)?, &coordinate(&self.y)?)
    }
}

/// Canonical base64url without padding, the only spelling.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// An object. What serde derives would also read an array of the members.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

fn read<T: for<'de> Deserialize<'de>>(segment: &[u8]) -> Option<T> {
    let json = decode(segment)?;
    // serde_json does not look into members that are not read.
    std::str::from_utf8(&json).ok()?;
    serde_json::from_slice(&json).ok().map(|Object(read)| read)
}
