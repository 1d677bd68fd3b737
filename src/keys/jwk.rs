//! JSON Web Keys, sets of them and thumbprints (RFC 7517, RFC 7638), and which of them are accepted.
//!
//! jsonwebtoken reads the public members. It does not know the private ones, accepts duplicate members, and does not
//! compare the members that describe a key with the key; all of that is done here. Private members are never copied out
//! of the caller's text except into a buffer that is wiped.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, KeyOperations, PublicKeyUse},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    algorithm::Algorithm,
    encoding::{decode_private, rsa_unsupported},
};
use crate::error::{ConfigError, ConfigErrorKind};

/// A JWK that is accepted, with its private member still encoded.
pub(super) struct Jwk<'j> {
    algorithm: Algorithm,
    kid: Option<String>,
    operations: Option<Vec<KeyOperations>>,
    /// Empty for a secret.
    public: Vec<u8>,
    /// `k` of a secret, `d` of a private key.
    private: Option<&'j str>,
}

/// Reads one JWK.
pub(super) fn read(json: &[u8]) -> Result<Jwk<'_>, ConfigError> {
    let members = serde_json::from_slice::<Members<'_>>(json).map_err(|error| not_json("a JWK", &error))?;
    Jwk::new(members)
}

/// Reads a JWK set: at least one key, and either only secrets or none.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<Jwk<'_>>, ConfigError> {
    let set = serde_json::from_slice::<Set<'_>>(json).map_err(|error| not_json("a JWK set", &error))?;
    let keys = set.keys.into_iter().map(Jwk::new).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        return Err(invalid(None, "set has no keys", "add at least one"));
    }
    if keys.iter().any(Jwk::is_secret) && !keys.iter().all(Jwk::is_secret) {
        return Err(invalid(None, "set mixes secrets and public keys", "make it a set of one kind"));
    }
    Ok(keys)
}

impl<'j> Jwk<'j> {
    fn new(members: Members<'j>) -> Result<Self, ConfigError> {
        let Members { mut public, secrets, has_rsa_members, duplicate } = members;
        let kid = public.get("kid").and_then(Value::as_str).map(str::to_owned);
        let invalid = |problem: &str, help| invalid(kid.as_deref(), problem, help);
        if let Some(name) = duplicate {
            return Err(invalid(&format!("has the member {name:?} twice"), "remove one of them"));
        }
        if has_rsa_members || public.get("kty").is_some_and(|kty| kty == "RSA") {
            return Err(rsa_unsupported());
        }
        let algorithm = match public.get("alg") {
            None => {
                return Err(invalid("has no alg", "add \"alg\", for example \"alg\":\"EdDSA\" to an Ed25519 key"));
            }
            Some(alg) => alg.as_str().and_then(Algorithm::from_name).ok_or_else(|| {
                invalid(&format!("has the unsupported alg {alg}"), "use EdDSA, ES256, HS256, HS384 or HS512")
            })?,
        };
        let is_octets = public.get("kty").is_some_and(|kty| kty == "oct");
        if is_octets {
            // In the place of the secret, which the typed reader must not see.
            public.insert("k".into(), Value::from(""));
        }
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(Value::Object(public))
            .map_err(|_| invalid("has a member of the wrong type", "write it as RFC 7517 does"))?;

        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return Err(invalid("is not meant for signatures", "pass a key with \"use\":\"sig\""));
        }
        let is_consistent = match &jwk.algorithm {
            AlgorithmParameters::OctetKey(_) => algorithm.public_len().is_none(),
            AlgorithmParameters::OctetKeyPair(key) => {
                algorithm == Algorithm::EdDsa && key.curve == EllipticCurve::Ed25519 && is_32_bytes(&key.x)
            }
            AlgorithmParameters::EllipticCurve(key) => {
                let lengths = is_32_bytes(&key.x) && is_32_bytes(&key.y);
                algorithm == Algorithm::Es256 && key.curve == EllipticCurve::P256 && lengths
            }
            _ => false,
        };
        if !is_consistent {
            let problem = format!("is not a key for {}, the algorithm in its alg", algorithm.name());
            return Err(invalid(&problem, "make kty, crv and the coordinates agree with alg"));
        }
        let public = DecodingKey::from_jwk(&jwk)
            .and_then(|key| key.try_get_as_bytes().map(<[u8]>::to_vec))
            .map_err(|_| invalid("is not encoded in base64url", "encode it without padding"))?;
        let private = secrets.iter().find(|(name, _)| *name == if is_octets { "k" } else { "d" });
        if secrets.len() > usize::from(private.is_some()) || (is_octets && private.is_none()) {
            let help = "a secret has \"k\", and a private key has \"d\"";
            return Err(invalid("does not have the private members of its kty", help));
        }
        Ok(Self {
            algorithm,
            operations: jwk.common.key_operations,
            public,
            private: private.map(|(_, encoded)| *encoded),
            kid,
        })
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn into_kid(self) -> Option<String> {
        self.kid
    }

    /// Whether this has a private member, as secrets and private keys have.
    pub(super) const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// Decodes what signs: a secret, or a private key of 32 bytes.
    pub(super) fn signing_material(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let Some(encoded) = self.private else {
            return Err(self.invalid("is a public key, which cannot sign", "pass the private key, with its \"d\""));
        };
        let private = self.decoded(encoded)?;
        if self.is_secret() {
            self.check_operations(&[KeyOperations::Sign, KeyOperations::Verify])?;
        } else {
            self.check_operations(&[KeyOperations::Sign])?;
            if private.len() != 32 {
                return Err(self.mismatch());
            }
        }
        Ok(private)
    }

    /// Decodes what verifies: a secret, or a raw public key.
    pub(super) fn verification_material(&self) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        self.check_operations(&[KeyOperations::Verify])?;
        match self.private {
            Some(encoded) if self.is_secret() => self.decoded(encoded),
            Some(_) => Err(self.private_key_given_to_verify()),
            None => Ok(Zeroizing::new(self.public.clone())),
        }
    }

    /// The raw public key; empty for a secret.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The public and the private member are not of one pair.
    pub(super) fn mismatch(&self) -> ConfigError {
        self.invalid("has a private member that does not match its public key", "export the key again")
    }

    pub(super) fn private_key_given_to_verify(&self) -> ConfigError {
        let kid = self.kid.as_deref().unwrap_or_default();
        ConfigError::new(
            ConfigErrorKind::PrivateKey,
            format!("the JWK {kid:?} is private where public keys belong: remove it, and replace it if it leaked"),
        )
    }

    fn invalid(&self, problem: &str, help: &str) -> ConfigError {
        invalid(self.kid.as_deref(), problem, help)
    }

    fn is_secret(&self) -> bool {
        self.algorithm.public_len().is_none()
    }

    /// `key_ops`, if there are any, must be exactly these (RFC 7517, section 4.3).
    fn check_operations(&self, needed: &[KeyOperations]) -> Result<(), ConfigError> {
        let Some(operations) = &self.operations else { return Ok(()) };
        let known = |operation: &KeyOperations| matches!(operation, KeyOperations::Sign | KeyOperations::Verify);
        if needed.iter().all(|operation| operations.contains(operation)) && operations.iter().all(known) {
            return Ok(());
        }
        Err(self.invalid(
            "has unsuitable key_ops",
            "write [\"sign\"] for a private key, [\"verify\"] for a public one and both for a secret, or leave it out",
        ))
    }

    fn decoded(&self, private: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        decode_private(&URL_SAFE_NO_PAD, private.as_bytes())
            .ok_or_else(|| self.invalid("has a private member that is not base64url", "encode it without padding"))
    }
}

/// Returns the JWK thumbprint (RFC 7638) of a raw public key, its default `kid`.
pub(super) fn thumbprint(algorithm: Algorithm, public: &[u8]) -> String {
    // Members in lexicographic order and no white space, as RFC 7638, section 3.3, requires.
    let jwk = match algorithm {
        Algorithm::EdDsa => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(public)),
        _ => {
            let (x, y) = coordinates(public);
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
        }
    };
    encode(&Sha256::digest(jwk))
}

/// Returns the JWK of a raw public key (RFC 7517, RFC 8037).
pub(super) fn write(algorithm: Algorithm, public: &[u8], kid: &str) -> Value {
    let alg = algorithm.name();
    match algorithm {
        Algorithm::EdDsa => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public), "alg": alg, "use": "sig", "kid": kid })
        }
        _ => {
            let (x, y) = coordinates(public);
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": alg, "use": "sig", "kid": kid })
        }
    }
}

/// Both coordinates of an uncompressed point: 0x04, then as many bytes for each.
fn coordinates(point: &[u8]) -> (String, String) {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    (encode(x), encode(y))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether this has the length of 32 bytes in base64url.
fn is_32_bytes(encoded: &str) -> bool {
    encoded.len() == 43
}

/// Shows where the text is wrong, but not the text, which could be a secret.
fn not_json(expected: &'static str, error: &serde_json::Error) -> ConfigError {
    let problem = format!("cannot be read as {expected} (line {}, column {})", error.line(), error.column());
    invalid(None, &problem, "pass its JSON text")
}

fn invalid(kid: Option<&str>, problem: &str, help: &str) -> ConfigError {
    let jwk = kid.map_or_else(|| "the JWK".to_owned(), |kid| format!("the JWK {kid:?}"));
    ConfigError::new(ConfigErrorKind::InvalidKey, format!("{jwk} {problem}: {help}"))
}

#[derive(Deserialize)]
struct Set<'j> {
    #[serde(borrow)]
    keys: Vec<Members<'j>>,
}

/// The members of a JWK. Private ones are borrowed from the caller's text.
struct Members<'j> {
    public: Map<String, Value>,
    secrets: Vec<(&'static str, &'j str)>,
    has_rsa_members: bool,
    /// The name of a member that occurs more than once.
    duplicate: Option<String>,
}

impl<'de: 'j, 'j> Deserialize<'de> for Members<'j> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let (mut public, mut secrets, mut has_rsa_members) = (Map::new(), Vec::new(), false);
                let mut duplicate = None;
                while let Some(name) = map.next_key::<String>()? {
                    let is_duplicate = match name.as_str() {
                        // Borrowed, so that serde_json makes no copy. base64url needs no escapes.
                        "d" => push(&mut secrets, "d", map.next_value()?),
                        "k" => push(&mut secrets, "k", map.next_value()?),
                        "p" | "q" | "dp" | "dq" | "qi" | "oth" => {
                            map.next_value::<IgnoredAny>()?;
                            has_rsa_members = true;
                            false
                        }
                        _ => public.insert(name.clone(), map.next_value()?).is_some(),
                    };
                    if is_duplicate {
                        duplicate = Some(name);
                    }
                }
                Ok(Members { public, secrets, has_rsa_members, duplicate })
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Adds a private member, and returns whether there was one of that name.
fn push<'j>(secrets: &mut Vec<(&'static str, &'j str)>, name: &'static str, encoded: &'j str) -> bool {
    let is_duplicate = secrets.iter().any(|(present, _)| *present == name);
    secrets.push((name, encoded));
    is_duplicate
}
