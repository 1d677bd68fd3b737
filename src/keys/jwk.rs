//! Reading JSON Web Keys and sets of them (RFC 7517), and our policy about them.
//!
//! jsonwebtoken reads the public members. It neither knows the private ones nor minds a member that stands there twice,
//! and it does not compare what a key is called with what it is; all of that is done here. Private members are never
//! copied out of the caller's text except into a buffer that is wiped.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, KeyOperations, PublicKeyUse},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Algorithm, SigningKey, VerificationKey, decode_private, rsa};
use crate::error::ConfigError;

/// A JWK that our policy accepts, with its private member still encoded.
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

/// Reads a JWK set: at least one key, all of them secrets or none, and each `kid` once.
pub(super) fn read_set(json: &[u8]) -> Result<Vec<Jwk<'_>>, ConfigError> {
    let set = serde_json::from_slice::<Set<'_>>(json).map_err(|error| not_json("a JWK set", &error))?;
    let keys = set.keys.into_iter().map(Jwk::new).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        let (problem, cure) = ("set has no keys".into(), "give at least one");
        return Err(ConfigError::InvalidJwk { kid: None, problem, cure });
    }
    if keys.iter().any(Jwk::is_secret) && !keys.iter().all(Jwk::is_secret) {
        return Err(ConfigError::MixedKeySet);
    }
    Ok(keys)
}

impl<'j> Jwk<'j> {
    fn new(members: Members<'j>) -> Result<Self, ConfigError> {
        let Members { mut public, secrets, has_rsa_members, twice } = members;
        let kid = public.get("kid").and_then(Value::as_str).map(str::to_owned);
        let misfit = |problem: String, cure| ConfigError::InvalidJwk { kid: kid.clone(), problem, cure };
        if let Some(name) = twice {
            return Err(misfit(format!("has the member {name:?} twice"), "leave one of them"));
        }
        if has_rsa_members || public.get("kty").is_some_and(|kty| kty == "RSA") {
            return Err(rsa());
        }
        let algorithm = match public.get("alg") {
            None => {
                let cure = "add \"alg\", for example \"alg\":\"EdDSA\" to an Ed25519 key";
                return Err(misfit("has no alg".into(), cure));
            }
            Some(alg) => algorithm_named(alg).ok_or_else(|| {
                misfit(format!("has the alg {alg}, which is not supported"), "use EdDSA, ES256, HS256, HS384 or HS512")
            })?,
        };
        let is_octets = public.get("kty").is_some_and(|kty| kty == "oct");
        if is_octets {
            // Stands for the secret, which the typed reader must not see.
            public.insert("k".into(), Value::from(""));
        }
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(Value::Object(public))
            .map_err(|_| misfit("has a member of the wrong type".into(), "write it as RFC 7517 does"))?;

        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return Err(misfit("is not meant for signatures".into(), "give a key with \"use\":\"sig\""));
        }
        let fits = match &jwk.algorithm {
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
        if !fits {
            let problem = format!("is no key for {}, as its alg says", algorithm.name());
            return Err(misfit(problem, "make kty, crv and the coordinates agree with alg"));
        }
        let public = DecodingKey::from_jwk(&jwk)
            .and_then(|key| key.try_get_as_bytes().map(<[u8]>::to_vec))
            .map_err(|_| misfit("is not encoded in base64url".into(), "encode it without padding"))?;
        let private = secrets.iter().find(|(name, _)| *name == if is_octets { "k" } else { "d" });
        if secrets.len() > usize::from(private.is_some()) || (is_octets && private.is_none()) {
            let cure = "give \"k\" to a secret and \"d\" to a private key";
            return Err(misfit("has not the private members of its kty".into(), cure));
        }
        Ok(Self {
            algorithm,
            operations: jwk.common.key_operations,
            public,
            private: private.map(|(_, encoded)| *encoded),
            kid,
        })
    }

    fn misfit(&self, problem: impl Into<String>, cure: &'static str) -> ConfigError {
        ConfigError::InvalidJwk { kid: self.kid.clone(), problem: problem.into(), cure }
    }

    fn is_secret(&self) -> bool {
        self.algorithm.public_len().is_none()
    }

    pub(super) const fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// `key_ops`, where there are any, must be exactly for this (RFC 7517, section 4.3).
    fn check_operations(&self, needed: &[KeyOperations]) -> Result<(), ConfigError> {
        let Some(operations) = &self.operations else { return Ok(()) };
        let known = |operation: &KeyOperations| matches!(operation, KeyOperations::Sign | KeyOperations::Verify);
        if needed.iter().all(|operation| operations.contains(operation)) && operations.iter().all(known) {
            return Ok(());
        }
        Err(self.misfit(
            "has other key_ops than its task needs",
            "write [\"sign\"] for a private key, [\"verify\"] for a public one and both for a secret, or leave it out",
        ))
    }

    /// The key that signs.
    pub(super) fn signing_key(self) -> Result<SigningKey, ConfigError> {
        let Some(encoded) = self.private else {
            return Err(self.misfit("is a public key, which cannot sign", "give the private key, with its \"d\""));
        };
        let private = self.decoded(encoded)?;
        let key = if self.is_secret() {
            self.check_operations(&[KeyOperations::Sign, KeyOperations::Verify])?;
            SigningKey::mac(VerificationKey::secret(self.algorithm, &private)?)
        } else {
            self.check_operations(&[KeyOperations::Sign])?;
            let unfit = |_| self.misfit("has a private member that is not of its public key", "export the key again");
            if private.len() != 32 {
                return Err(unfit(()));
            }
            match self.algorithm {
                Algorithm::EdDsa => SigningKey::ed25519(
                    Ed25519KeyPair::from_seed_and_public_key(&private, &self.public).map_err(|_| unfit(()))?,
                )?,
                _ => SigningKey::p256(
                    EcdsaKeyPair::from_private_key_and_public_key(
                        &ECDSA_P256_SHA256_FIXED_SIGNING,
                        &private,
                        &self.public,
                    )
                    .map_err(|_| unfit(()))?,
                )?,
            }
        };
        match self.kid {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    /// The key that verifies: a secret, or a public key without its private half.
    pub(super) fn verification_key(self) -> Result<VerificationKey, ConfigError> {
        self.check_operations(&[KeyOperations::Verify])?;
        let key = match self.private {
            Some(encoded) if self.is_secret() => VerificationKey::secret(self.algorithm, &self.decoded(encoded)?)?,
            Some(_) => return Err(self.private_in_public()),
            None => VerificationKey::public(self.algorithm, &self.public)?,
        };
        match self.kid {
            Some(kid) => key.with_key_id(kid),
            None => Ok(key),
        }
    }

    pub(super) fn private_in_public(&self) -> ConfigError {
        ConfigError::PrivateKeyGivenToVerify { kid: self.kid.clone() }
    }

    fn decoded(&self, private: &str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        decode_private(&URL_SAFE_NO_PAD, private.as_bytes())
            .ok_or_else(|| self.misfit("has a private member that is not base64url", "encode it without padding"))
    }
}

/// The names that RFC 7518, RFC 8037 and RFC 9864 give to the algorithms that we have.
fn algorithm_named(alg: &Value) -> Option<Algorithm> {
    match alg.as_str()? {
        "HS256" => Some(Algorithm::Hs256),
        "HS384" => Some(Algorithm::Hs384),
        "HS512" => Some(Algorithm::Hs512),
        "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
        "ES256" => Some(Algorithm::Es256),
        _ => None,
    }
}

/// Whether this is as long as 32 bytes are in base64url.
fn is_32_bytes(encoded: &str) -> bool {
    encoded.len() == 43
}

/// Where the text is wrong, but not what stands there: it could be a secret.
fn not_json(expected: &'static str, error: &serde_json::Error) -> ConfigError {
    ConfigError::InvalidJwk {
        kid: None,
        problem: format!("cannot be read as {expected} (line {}, column {})", error.line(), error.column()),
        cure: "give its JSON text",
    }
}

#[derive(Deserialize)]
struct Set<'j> {
    #[serde(borrow)]
    keys: Vec<Members<'j>>,
}

/// The members of a JWK, private ones apart and where the caller has them.
struct Members<'j> {
    public: Map<String, Value>,
    secrets: Vec<(&'static str, &'j str)>,
    has_rsa_members: bool,
    /// A member that stands there more than once.
    twice: Option<String>,
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
                let mut twice = None;
                while let Some(name) = map.next_key::<String>()? {
                    let is_second = match name.as_str() {
                        // Borrowed, so that serde_json makes no copy: base64url needs no escapes.
                        "d" => push(&mut secrets, "d", map.next_value()?),
                        "k" => push(&mut secrets, "k", map.next_value()?),
                        "p" | "q" | "dp" | "dq" | "qi" | "oth" => {
                            map.next_value::<IgnoredAny>()?;
                            has_rsa_members = true;
                            false
                        }
                        _ => public.insert(name.clone(), map.next_value()?).is_some(),
                    };
                    if is_second {
                        twice = Some(name);
                    }
                }
                Ok(Members { public, secrets, has_rsa_members, twice })
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Says whether the name was there before.
fn push<'j>(secrets: &mut Vec<(&'static str, &'j str)>, name: &'static str, encoded: &'j str) -> bool {
    let is_second = secrets.iter().any(|(present, _)| *present == name);
    secrets.push((name, encoded));
    is_second
}
