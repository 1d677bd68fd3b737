//! The application's claims, which stand at the top level of an access token after the registered ones.

use std::{any::Any, collections::HashSet, fmt};

use serde::{
    Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};

use super::{
    members::{Refused, read_members},
    variants::unit_variants,
};
use crate::error::{ConfigError, expectation};

/// The name as an application cannot use it: one of RFC 7519, section 4.1, or one that the crate writes.
#[inline]
pub(super) fn reserved(name: &str) -> Option<&'static str> {
    // Not a list: a match compares lengths first.
    Some(match name {
        "iss" => "iss",
        "sub" => "sub",
        "aud" => "aud",
        "exp" => "exp",
        "nbf" => "nbf",
        "iat" => "iat",
        "jti" => "jti",
        "sid" => "sid",
        "gen" => "gen",
        "epoch" => "epoch",
        "auth_time" => "auth_time",
        _ => return None,
    })
}

/// Claims of the application in JSON, checked and ready to be put into a token.
#[derive(Clone)]
pub(crate) struct AppClaims {
    /// Empty, or `,"name":value…`.
    members: String,
}

/// Why a value cannot travel as claims. Names are the application's own and safe to show.
#[derive(Debug)]
pub(crate) enum InvalidClaims {
    Unserializable(serde_json::Error),
    NotAnObject(Written),
    Reserved(&'static str),
    Duplicate(String),
    Unreadable(Cause),
}

/// What claims are in JSON that are no object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Written {
    Null,
    Text,
    Other,
}

impl Written {
    fn of(json: &str) -> Self {
        match json.trim_ascii_start().as_bytes().first() {
            Some(b'n') => Self::Null,
            Some(b'"') => Self::Text,
            _ => Self::Other,
        }
    }
}

/// Why claims are not read back.
#[derive(Debug, PartialEq)]
pub(crate) enum Cause {
    /// What serde buffers for later has no place for so wide an integer.
    WideInteger,
    /// What was expected, where that is known.
    Other(Option<String>),
}

impl Cause {
    /// Finds it with serde_json, whose errors say more than those of our reader.
    fn of<C: DeserializeOwned>(json: &str) -> Self {
        let Some(error) = serde_json::from_str::<C>(json).err() else { return Self::Other(None) };
        let text = error.to_string();
        let is_wide = ["u128", "i128"].iter().any(|wide| {
            text.starts_with(&format!("{wide} is not supported"))
                || text.contains(&format!(", expected {wide} at line "))
        });
        // Where there is no line, serde had buffered it.
        if is_wide || text.ends_with(", expected u128") || text.ends_with(", expected i128") {
            return Self::WideInteger;
        }
        Self::Other(expectation(&error))
    }
}

/// How to write an enum, whose variants without fields are texts otherwise.
const TAG: &str = "give the enum #[serde(tag = \"type\")], which writes each variant as an object";

impl AppClaims {
    pub(crate) fn new<C: Serialize + DeserializeOwned>(claims: &C, shape: ClaimsShape) -> Result<Self, InvalidClaims> {
        let json = serde_json::to_string(claims).map_err(InvalidClaims::Unserializable)?;
        // Else they would be read back as claims that are there and have nothing in them.
        if json == "null" && shape.empty == "null" {
            return Ok(Self::none());
        }
        let inner = json
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or_else(|| InvalidClaims::NotAnObject(Written::of(&json)))?;
        // Raw claims may have blanks around their members.
        let inner = inner.trim_ascii();
        let names = member_names(&json)?;
        let mut seen = HashSet::with_capacity(names.len());
        for name in names {
            if let Some(reserved) = reserved(&name) {
                return Err(InvalidClaims::Reserved(reserved));
            }
            if let Some(twice) = seen.replace(name) {
                return Err(InvalidClaims::Duplicate(twice));
            }
        }
        let members = if inner.is_empty() { String::new() } else { format!(",{inner}") };
        // A login whose every request is then refused would be worse.
        shape.read::<C>(&format!("{members}}}")).map_err(|Refused| InvalidClaims::Unreadable(Cause::of::<C>(&json)))?;
        Ok(Self { members })
    }

    pub(crate) fn none() -> Self {
        Self { members: String::new() }
    }

    pub(super) fn members(&self) -> &str {
        &self.members
    }
}

/// Refuses a type of claims with a variant that cannot be put into a token: otherwise logins would fail for the users
/// who have that variant, and for nobody else.
pub(crate) fn check_claims_type<C: Serialize + DeserializeOwned>(shape: ClaimsShape) -> Result<(), ConfigError> {
    for (name, variant) in unit_variants::<C>() {
        // The application may have its own `Serialize`, which writes it in another way.
        if let Err(InvalidClaims::NotAnObject(_)) = AppClaims::new(&variant, shape) {
            return Err(ConfigError::InvalidClaimsType {
                claims: std::any::type_name::<C>(),
                problem: format!("since the variant {name} has no fields and is written as a text"),
                cure: TAG,
            });
        }
    }
    Ok(())
}

impl fmt::Display for InvalidClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unserializable(error) => write!(f, "the claims cannot be written as JSON: {error}"),
            Self::NotAnObject(Written::Text) => {
                write!(f, "claims must be a struct or map, not a text, as an enum variant without fields is: {TAG}")
            }
            Self::NotAnObject(Written::Null) => {
                f.write_str("claims must be a struct or map, or () for none, not null, as None is: use an empty struct")
            }
            Self::NotAnObject(Written::Other) => f.write_str("claims must be a struct or map, or () for none"),
            Self::Reserved(name) => write!(f, "the claim {name:?} is the crate's own: rename it"),
            Self::Unreadable(Cause::WideInteger) => f.write_str(
                "the claims cannot be read back as what was written: serde reads no u128 or i128 within \
                 #[serde(flatten)], #[serde(tag = \"…\")] or #[serde(untagged)]: take the field out of there, make it a \
                 u64 or i64, or write it as a string with #[serde(with = \"…\")]",
            ),
            Self::Unreadable(Cause::Other(expected)) => {
                f.write_str("the claims cannot be read back as what was written")?;
                if let Some(expected) = expected {
                    write!(f, " ({expected})")?;
                }
                f.write_str(
                    ": a field that is skipped when it is empty needs #[serde(default)], a float must not be NaN or \
                     infinite, and nothing may be nested deeper than 126 levels",
                )
            }
            Self::Duplicate(name) => write!(f, "the claim {name:?} is there twice"),
        }
    }
}

impl std::error::Error for InvalidClaims {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unserializable(source) => Some(source),
            _ => None,
        }
    }
}

fn member_names(json: &str) -> Result<Vec<String>, InvalidClaims> {
    struct Names;
    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = Vec::new();
            while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                names.push(name);
            }
            Ok(names)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(Names).map_err(InvalidClaims::Unserializable)
}

/// How a type of claims is read from a token without any: `()`, and what else knows `null` alone, as `null`, everything
/// else as `{}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimsShape {
    empty: &'static str,
}

impl ClaimsShape {
    pub(crate) fn of<C: DeserializeOwned>() -> Self {
        let reads = |json: &str| serde_json::from_str::<C>(json).is_ok();
        Self { empty: if reads("null") && !reads("{}") { "null" } else { "{}" } }
    }

    /// Reads claims from the rest of an object: its members with the comma before the first, or none, and the brace at
    /// the end. Names that [`AppClaims::new`] would have refused are refused.
    pub(super) fn read<C: DeserializeOwned>(self, rest: &str) -> Result<C, Refused> {
        match rest {
            "}" => serde_json::from_str(self.empty).map_err(|_| Refused),
            _ => read_members(rest),
        }
    }
}

/// The value of `C` if it is `()`: applications without claims need no source for them.
pub(crate) fn unit_claims<C: 'static>() -> Option<C> {
    (Box::new(()) as Box<dyn Any>).downcast::<C>().ok().map(|unit| *unit)
}
