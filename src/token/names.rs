//! Claims of the application are read in the one pass that serde makes, with an eye on the names of the outermost
//! object: none may be ours, and none may be there twice (RFC 7519, section 4).
//!
//! There is no second reader that could disagree with serde about where a name begins or how it is spelled.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, EnumAccess, Error, MapAccess, Visitor},
};

use super::app_claims::reserved;

/// Reads a JSON object whose names are neither reserved nor there twice.
pub(super) fn read_object<C: DeserializeOwned>(json: &str) -> Result<C, serde_json::Error> {
    let mut inner = serde_json::Deserializer::from_str(json);
    let claims = C::deserialize(Watched { inner: &mut inner, names: &mut Names::default() })?;
    inner.end()?;
    Ok(claims)
}

/// The names that came so far.
#[derive(Default)]
struct Names<'de> {
    first: [&'de str; FEW],
    count: usize,
    /// Those that had no place, or were spelled with escapes.
    more: BTreeSet<Cow<'de, str>>,
}

/// More names than that cost an allocation.
const FEW: usize = 8;

impl<'de> Names<'de> {
    /// A name that stands in the input as it is, as nearly all do.
    fn admit<E: Error>(&mut self, name: &'de str) -> Result<(), E> {
        let first = self.first.get(..self.count).unwrap_or_default();
        if reserved(name).is_some() || first.contains(&name) {
            return Err(refusal());
        }
        match self.first.get_mut(self.count) {
            Some(place) if self.more.is_empty() => {
                *place = name;
                self.count += 1;
                Ok(())
            }
            _ => self.admit_more(Cow::Borrowed(name)),
        }
    }

    #[cold]
    fn admit_more<E: Error>(&mut self, name: Cow<'de, str>) -> Result<(), E> {
        let first = self.first.get(..self.count).unwrap_or_default();
        let is_new = reserved(&name).is_none() && !first.contains(&&*name) && self.more.insert(name);
        is_new.then_some(()).ok_or_else(refusal)
    }
}

#[cold]
fn refusal<E: Error>() -> E {
    E::custom("a name that is reserved or there twice")
}

/// Stands between a type and the deserializer of the outermost object or one of its names, in every role that the two
/// have for each other. Values are out of its sight.
struct Watched<'n, 'de, T> {
    inner: T,
    names: &'n mut Names<'de>,
}

macro_rules! deserialize {
    ($($method:ident($($arg:ident: $type:ty),*) as $inner:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$inner($($arg,)* Watched { inner: visitor, names: self.names })
        }
    )*};
}

type Strs = &'static [&'static str];

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, 'de, D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any() as deserialize_any;
        deserialize_bool() as deserialize_bool;
        deserialize_i8() as deserialize_i8;
        deserialize_i16() as deserialize_i16;
        deserialize_i32() as deserialize_i32;
        deserialize_i64() as deserialize_i64;
        deserialize_i128() as deserialize_i128;
        deserialize_u8() as deserialize_u8;
        deserialize_u16() as deserialize_u16;
        deserialize_u32() as deserialize_u32;
        deserialize_u64() as deserialize_u64;
        deserialize_u128() as deserialize_u128;
        deserialize_f32() as deserialize_f32;
        deserialize_f64() as deserialize_f64;
        deserialize_char() as deserialize_char;
        deserialize_str() as deserialize_str;
        deserialize_string() as deserialize_string;
        deserialize_bytes() as deserialize_bytes;
        deserialize_byte_buf() as deserialize_byte_buf;
        deserialize_option() as deserialize_option;
        deserialize_unit() as deserialize_unit;
        deserialize_unit_struct(name: &'static str) as deserialize_unit_struct;
        deserialize_newtype_struct(name: &'static str) as deserialize_newtype_struct;
        deserialize_seq() as deserialize_seq;
        deserialize_tuple(len: usize) as deserialize_tuple;
        deserialize_tuple_struct(name: &'static str, len: usize) as deserialize_tuple_struct;
        deserialize_map() as deserialize_map;
        deserialize_struct(name: &'static str, fields: Strs) as deserialize_struct;
        deserialize_enum(name: &'static str, variants: Strs) as deserialize_enum;
        deserialize_identifier() as deserialize_identifier;
        // What is ignored is skipped without a look at its names.
        deserialize_ignored_any() as deserialize_any;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident($type:ty);)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<Self::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

macro_rules! visit_name {
    ($($method:ident($value:ident: $type:ty) = $name:expr;)*) => {$(
        fn $method<E: Error>(self, $value: $type) -> Result<Self::Value, E> {
            self.names.admit_more($name)?;
            self.inner.$method($value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, 'de, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        self.names.admit(text)?;
        self.inner.visit_borrowed_str(text)
    }

    visit_name! {
        visit_str(text: &str) = Cow::Owned(text.to_owned());
        visit_string(text: String) = Cow::Owned(text.clone());
        visit_borrowed_bytes(bytes: &'de [u8]) = String::from_utf8_lossy(bytes);
        visit_bytes(bytes: &[u8]) = Cow::Owned(String::from_utf8_lossy(bytes).into_owned());
        visit_byte_buf(bytes: Vec<u8>) = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
    }

    // Names of a map from numbers or switches: they can neither be ours, nor make anybody else of the user.
    visit! {
        visit_bool(bool);
        visit_i64(i64);
        visit_i128(i128);
        visit_u64(u64);
        visit_u128(u128);
        visit_f64(f64);
        visit_char(char);
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        let Self { inner: visitor, names } = self;
        visitor.visit_some(Watched { inner, names })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Self::Value, D::Error> {
        let Self { inner: visitor, names } = self;
        visitor.visit_newtype_struct(Watched { inner, names })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<Self::Value, A::Error> {
        let Self { inner: visitor, names } = self;
        visitor.visit_map(Watched { inner, names })
    }

    /// An enum has one name, of a variant: it would not have been issued with one of ours.
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<Self::Value, A::Error> {
        self.inner.visit_enum(inner)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Watched<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.inner.next_key_seed(Watched { inner: seed, names: self.names })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Watched<'_, 'de, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<K::Value, D::Error> {
        let Self { inner: seed, names } = self;
        seed.deserialize(Watched { inner, names })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;
    use serde::{
        Deserialize,
        de::{IgnoredAny, value::StringDeserializer},
    };
    use serde_json::Value;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Member {
        role: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flat {
        role: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    #[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
    struct Name(String);

    #[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
    enum Kind {
        #[serde(rename = "role")]
        Role,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Member(Member),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(Member);

    #[derive(Debug, PartialEq, Deserialize)]
    enum Tagged {
        #[serde(rename = "role")]
        Role(String),
    }

    fn reads<C: DeserializeOwned + PartialEq + fmt::Debug>(json: &str) {
        let plain: C = serde_json::from_str(json).unwrap();
        assert_eq!(read_object::<C>(json).unwrap(), plain, "{json}");
    }

    fn refuses<C: DeserializeOwned + fmt::Debug>(json: &str) {
        assert!(serde_json::from_str::<C>(json).is_ok(), "{json} is refused by itself");
        assert!(read_object::<C>(json).is_err(), "{json}");
    }

    #[test]
    fn every_type_is_read_as_ever() {
        let json = r#"{"role":"x"}"#;
        reads::<Member>(json);
        reads::<Option<Member>>(json);
        reads::<Flat>(json);
        reads::<Untagged>(json);
        reads::<Wrapped>(json);
        reads::<Tagged>(json);
        reads::<Value>(json);
        reads::<HashMap<String, String>>(json);
        reads::<HashMap<Name, String>>(json);
        reads::<HashMap<Kind, String>>(json);
        reads::<HashMap<Option<String>, String>>(json);
        reads::<Box<Member>>(json);
        reads::<HashMap<i8, bool>>(r#"{"-1":true,"1":false}"#);
        reads::<HashMap<u64, bool>>(r#"{"1":true}"#);
        reads::<HashMap<i128, bool>>(r#"{"1":true}"#);
        reads::<HashMap<u128, bool>>(r#"{"1":true}"#);
        reads::<HashMap<bool, bool>>(r#"{"true":true,"false":false}"#);
        reads::<HashMap<char, bool>>(r#"{"x":true}"#);
        assert!(read_object::<IgnoredAny>(json).is_ok());
        for broken in [r#"{"role":"x"}}"#, r#"{"role":"x""#, r#"{"role":7}"#, "{}", "null", "[]"] {
            assert!(read_object::<Member>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn our_names_are_refused_at_the_top_and_nowhere_else() {
        for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "epoch", "auth_time"] {
            let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
            for name in [name, &escaped] {
                let json = format!(r#"{{"role":"x","{name}":1}}"#);
                refuses::<Member>(&json);
                refuses::<Option<Member>>(&json);
                refuses::<Flat>(&json);
                refuses::<Untagged>(&json);
                refuses::<Wrapped>(&json);
                refuses::<Value>(&json);
                refuses::<IgnoredAny>(&json);
                refuses::<HashMap<Name, Value>>(&json);
                refuses::<HashMap<Option<String>, Value>>(&json);
                reads::<Value>(&format!(r#"{{"role":"{name}","in":{{"{name}":1,"more":[{{"{name}":2}}]}}}}"#));
                reads::<Value>(&format!(r#"{{"{name}s":1,"x{name}":2}}"#));
            }
        }
    }

    #[test]
    fn no_name_is_there_twice() {
        let many = |last: &str| {
            let members: String = (0..20).map(|n| format!(r#""n{n}":{n},"#)).collect();
            format!(r#"{{{members}"{last}":0}}"#)
        };
        reads::<Value>(&many("n20"));
        for twice in ["n0", "n7", "n8", "n19", "\\u006e0", "n\\u00319"] {
            refuses::<Value>(&many(twice));
            refuses::<IgnoredAny>(&many(twice));
            refuses::<HashMap<String, u8>>(&many(twice));
        }
        refuses::<Value>(r#"{"\u0061":1,"a":2}"#);
        refuses::<Member>(r#"{"role":"x","other":1,"other":1}"#);
        reads::<Value>(r#"{"a":{"a":1},"b":{"a":1}}"#);
    }

    #[test]
    fn bytes_are_names_too() {
        // As formats other than JSON give them.
        let mut names = Names::default();
        let visitor = Watched { inner: IgnoredAny, names: &mut names };
        assert!(visitor.visit_bytes::<serde_json::Error>(b"exp").is_err());
        let text = StringDeserializer::<serde_json::Error>::new("exp".to_owned());
        assert!(String::deserialize(Watched { inner: text, names: &mut names }).is_err());
    }

    proptest! {
        /// Few letters, so that names meet.
        #[test]
        fn refuses_exactly_what_a_plain_reading_finds(
            members in prop::collection::vec(("[ab]{1,2}|exp|\\\\u0061|\\\\n", "[1-9]|\"[a,:{]{0,3}\"|\\{\"exp\":1\\}|\\[\\]"), 0..14)
        ) {
            let inner: Vec<_> = members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
            let json = format!("{{{}}}", inner.join(","));
            let mut seen = std::collections::HashSet::new();
            let is_good = members.iter().all(|(name, _)| {
                let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
                name != "exp" && seen.insert(name)
            });
            let read = read_object::<Value>(&json);
            prop_assert_eq!(read.is_ok(), is_good, "{}", json);
            if let Ok(read) = read {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&json).unwrap());
            }
        }
    }
}
