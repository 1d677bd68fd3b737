//! The claims of a token: those that the crate writes, and those of the application, which follow them.

use std::{any::Any, collections::HashSet, fmt, sync::Arc};

use serde::{
    Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};

use super::{
    terms::{Actor, SessionTerms},
    variants::unit_variants,
};
use crate::{
    clock::Timestamp,
    error::{ConfigError, ConfigErrorKind, expectation},
    id::{SessionId, UserId},
};

/// The claims that the crate itself writes and reads. Times have whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredClaims {
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
    pub(crate) generation: u32,
    /// Access tokens only; 0 in refresh tokens.
    pub(crate) epoch: u32,
    pub(crate) auth_time: Timestamp,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// What the login said about the session, if anything.
    pub(crate) terms: Option<Arc<SessionTerms>>,
}

impl RegisteredClaims {
    /// Returns who acts as the user, if it is another.
    pub(crate) fn actor(&self) -> Option<&UserId> {
        self.terms.as_deref().and_then(SessionTerms::actor)
    }

    /// Returns the same, with the session of their own from which they act.
    pub(crate) fn actor_session(&self) -> Option<&Actor> {
        self.terms.as_deref().and_then(SessionTerms::actor_session)
    }
}

/// Returns the name if applications cannot use it: one of RFC 7519, section 4.1, or one that the crate writes.
#[inline]
fn reserved(name: &[u8]) -> Option<&'static str> {
    // Not a list: a match compares lengths first.
    Some(match name {
        b"iss" => "iss",
        b"sub" => "sub",
        b"aud" => "aud",
        b"exp" => "exp",
        b"nbf" => "nbf",
        b"iat" => "iat",
        b"jti" => "jti",
        b"client_id" => "client_id",
        b"sid" => "sid",
        b"gen" => "gen",
        b"epoch" => "epoch",
        b"auth_time" => "auth_time",
        b"act" => "act",
        b"sess" => "sess",
        _ => return None,
    })
}

/// Claims of the application as JSON, checked and ready to be put into a token.
#[derive(Clone)]
pub(crate) struct AppClaims {
    /// Empty, or `,"name":value…`.
    members: String,
}

/// Why a value cannot be put into a token. Names are the application's own and safe to show.
#[derive(Debug)]
pub(crate) enum InvalidClaims {
    Unserializable(serde_json::Error),
    NotAnObject(Written),
    Reserved(&'static str),
    Duplicate(String),
    Unreadable(Cause),
}

/// What claims are in JSON if not an object.
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

/// Why claims cannot be read back.
#[derive(Debug, PartialEq)]
pub(crate) enum Cause {
    /// serde cannot buffer integers of 128 bits.
    WideInteger,
    /// With what was expected, if known.
    Other(Option<String>),
}

impl Cause {
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let is_wide = ["u128", "i128"].iter().any(|wide| {
            text.starts_with(&format!("{wide} is not supported"))
                || text.contains(&format!(", expected {wide} at line "))
        });
        // Errors about buffered values name no line.
        if is_wide || text.ends_with(", expected u128") || text.ends_with(", expected i128") {
            return Self::WideInteger;
        }
        Self::Other(expectation(error))
    }
}

/// How to write variants without fields as objects; serde writes them as strings.
const TAG: &str = "give the enum #[serde(tag = \"type\")], which writes each variant as an object";

impl AppClaims {
    /// Writes and checks claims.
    ///
    /// # Errors
    ///
    /// [`InvalidClaims`] says what to change.
    pub(crate) fn new<C: Serialize + DeserializeOwned>(claims: &C, shape: ClaimsShape) -> Result<Self, InvalidClaims> {
        let json = serde_json::to_string(claims).map_err(InvalidClaims::Unserializable)?;
        // `null` would be read back as claims with no members.
        if json == "null" && shape.empty == "null" {
            return Ok(Self::none());
        }
        let members = json
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .ok_or_else(|| InvalidClaims::NotAnObject(Written::of(&json)))?;
        // Raw claims may have blanks around their members.
        let members = members.trim_ascii();
        let app = (!members.is_empty()).then_some(&*json);
        check_names(&json)?;
        // Otherwise the user would be logged in, and every request refused.
        shape.parse::<C>(app).map_err(|error| InvalidClaims::Unreadable(Cause::of(&error)))?;
        Ok(Self { members: app.map(|_| format!(",{members}")).unwrap_or_default() })
    }

    /// Returns the claims of an application without any.
    pub(crate) fn none() -> Self {
        Self { members: String::new() }
    }

    pub(super) fn members(&self) -> &str {
        &self.members
    }
}

/// Refuses a type of claims with a variant that cannot be put into a token. Otherwise logins would fail, but only for
/// users who have that variant.
pub(crate) fn check_claims_type<C: Serialize + DeserializeOwned>(shape: ClaimsShape) -> Result<(), ConfigError> {
    for (name, variant) in unit_variants::<C>() {
        // The application may have its own `Serialize`, which writes it in another way.
        if let Err(InvalidClaims::NotAnObject(_)) = AppClaims::new(&variant, shape) {
            return Err(ConfigError::new(
                ConfigErrorKind::InvalidClaimsType,
                format!(
                    "invalid claims type {}: its variant {name} has no fields and is written as a text: {TAG}",
                    std::any::type_name::<C>()
                ),
            ));
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
            Self::Reserved(name) => write!(f, "reserved claim {name:?}: rename it"),
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
            Self::Duplicate(name) => write!(f, "duplicate claim {name:?}"),
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

/// Checks that no member of an object has a reserved name or the name of another (RFC 7519, section 4).
pub(super) fn check_names(json: &str) -> Result<(), InvalidClaims> {
    struct NamesVisitor;
    impl<'de> Visitor<'de> for NamesVisitor {
        type Value = Result<(), InvalidClaims>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut names = HashSet::new();
            let mut checked = Ok(());
            while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                if let Some(reserved) = reserved(name.as_bytes()) {
                    checked = checked.and(Err(InvalidClaims::Reserved(reserved)));
                } else if let Some(twice) = names.replace(name) {
                    checked = checked.and(Err(InvalidClaims::Duplicate(twice)));
                }
            }
            Ok(checked)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(NamesVisitor).map_err(InvalidClaims::Unserializable)?
}

/// Returns `true` only for objects that [`check_names`] accepts: those with few names and without escapes, which are
/// most. It takes half as long. The object must be valid JSON.
pub(super) fn has_simple_names(json: &str) -> bool {
    let mut names = [&b""[..]; 8];
    let mut len = 0;
    let mut depth = 0_u32;
    let mut is_name = false;
    let mut rest = json.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                is_name = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => is_name = depth == 1,
            b'"' => {
                let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
                let Some((string, [b'"', after @ ..])) = end.and_then(|end| rest.split_at_checked(end)) else {
                    return false;
                };
                rest = after;
                if std::mem::take(&mut is_name) {
                    if reserved(string).is_some() || names.iter().take(len).any(|name| *name == string) {
                        return false;
                    }
                    let Some(free) = names.get_mut(len) else { return false };
                    *free = string;
                    len += 1;
                }
            }
            _ => {}
        }
    }
    true
}

/// How a type of claims is read from a token without any: as `null` if it accepts only that, as `()` does, otherwise as
/// `{}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimsShape {
    empty: &'static str,
}

impl ClaimsShape {
    /// Determines the shape of a type.
    pub(crate) fn of<C: DeserializeOwned>() -> Self {
        let reads = |json: &str| serde_json::from_str::<C>(json).is_ok();
        Self { empty: if reads("null") && !reads("{}") { "null" } else { "{}" } }
    }

    /// Reads claims from a JSON object, if there is one. Refuses names that [`AppClaims::new`] refuses.
    pub(super) fn read<C: DeserializeOwned>(self, app: Option<&str>) -> Option<C> {
        let claims = self.parse(app).ok()?;
        app.is_none_or(|json| has_simple_names(json) || check_names(json).is_ok()).then_some(claims)
    }

    fn parse<C: DeserializeOwned>(self, app: Option<&str>) -> serde_json::Result<C> {
        let json = app.unwrap_or(self.empty);
        match json.is_ascii() {
            true => serde_json::from_str(json),
            // As bytes, since serde_json may cut a str within a character, and panics, where a name should be a `bool`.
            false => serde_json::from_slice(json.as_bytes()),
        }
    }
}

/// Returns the value of `C` if it is `()`: applications without claims need no source for them.
pub(crate) fn unit_claims<C: 'static>() -> Option<C> {
    (Box::new(()) as Box<dyn Any>).downcast::<C>().ok().map(|unit| *unit)
}
