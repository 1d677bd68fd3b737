//! Names among the application's claims: none is reserved, and none occurs twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::{
    super::claims::{check_names, has_simple_names},
    *,
};

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

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
struct Key(String);

#[derive(Debug, PartialEq, Deserialize)]
struct Holder<T> {
    a: T,
}

/// Reads an object that stands behind registered claims.
fn read_object<C: DeserializeOwned>(json: &str) -> Option<C> {
    let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, kid(SECRET));
    let payload = format!("{},{}", PAYLOAD.strip_suffix('}').unwrap(), json.strip_prefix('{').unwrap());
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
    open(&codec, &forge(&header, &payload)).ok().map(|(_, claims)| claims)
}

fn reads<C: DeserializeOwned + PartialEq + std::fmt::Debug>(json: &str) {
    let plain: C = serde_json::from_str(json).unwrap();
    assert_eq!(read_object::<C>(json), Some(plain), "{json}");
}

/// Refuses what serde_json accepts.
fn refuses<C: DeserializeOwned>(json: &str) {
    assert!(serde_json::from_str::<C>(json).is_ok(), "{json} is refused by serde_json");
    assert!(read_object::<C>(json).is_none(), "{json}");
}

#[test]
fn types_of_every_kind_are_read() {
    let json = r#"{"role":"x"}"#;
    reads::<Member>(json);
    reads::<Option<Member>>(json);
    reads::<Flat>(json);
    reads::<Untagged>(json);
    reads::<Wrapped>(json);
    reads::<Tagged>(json);
    reads::<Box<Member>>(json);
    reads::<HashMap<Key, String>>(json);
    reads::<HashMap<bool, u8>>(r#"{"true":1,"false":2}"#);
    reads::<HashMap<i8, bool>>(r#"{"-1":true,"1":false}"#);
    reads::<HashMap<u128, i128>>(r#"{"340282366920938463463374607431768211455":-1}"#);
    assert_eq!(read_object::<Box<RawValue>>(json).unwrap().get(), json);
    assert!(read_object::<IgnoredAny>(json).is_some());
    for broken in [r#"{"role":"x"}}"#, r#"{"role":"x""#, r#"{"role":7}"#, r#"{"role":"x",}"#, "{}", "{,}"] {
        assert!(read_object::<Member>(broken).is_none(), "{broken}");
    }
}

#[test]
fn reserved_names_are_refused_at_the_top_level_only() {
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
            refuses::<Box<RawValue>>(&json);
            refuses::<HashMap<Key, Value>>(&json);
            reads::<Value>(&format!(r#"{{"role":"{name}","in":{{"{name}":1,"more":[{{"{name}":2}}]}}}}"#));
            reads::<Value>(&format!(r#"{{"{name}s":1,"x{name}":2}}"#));
        }
    }
}

#[test]
fn duplicate_names_are_refused() {
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

/// serde_json panics at some of these if it reads them from a str.
#[test]
fn names_other_than_bool_are_refused_without_panic() {
    for name in ["é", "ééé", "tr€e", "€€€€", "t€", "fal😀", "", "t", "true ", "truee"] {
        let map = format!(r#"{{"{name}":1}}"#);
        assert!(read_object::<BTreeMap<bool, u8>>(&map).is_none(), "{name}");
        assert!(read_object::<Holder<BTreeMap<bool, u8>>>(&format!(r#"{{"a":{map}}}"#)).is_none(), "{name}");
        assert!(read_object::<Holder<Vec<BTreeMap<bool, u8>>>>(&format!(r#"{{"a":[{map}]}}"#)).is_none(), "{name}");
        // Also where claims are checked at login.
        let written: BTreeMap<String, u8> = [(name.to_owned(), 1)].into();
        assert!(written_as::<BTreeMap<bool, u8>>(written).is_err(), "{name}");
    }
    reads::<Holder<BTreeMap<bool, u8>>>(r#"{"a":{"true":1,"false":2}}"#);
}

/// Checks claims that are written as `written` and read as `C`.
fn written_as<C: DeserializeOwned>(written: BTreeMap<String, u8>) -> Result<AppClaims, InvalidClaims> {
    struct Other<C>(BTreeMap<String, u8>, std::marker::PhantomData<C>);
    impl<C> Serialize for Other<C> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer)
        }
    }
    impl<'de, C: DeserializeOwned> Deserialize<'de> for Other<C> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            C::deserialize(deserializer).map(|_| Self(BTreeMap::new(), std::marker::PhantomData))
        }
    }
    super::written(&Other::<C>(written, std::marker::PhantomData))
}

#[test]
fn deep_values_are_refused_before_the_stack_ends() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!(r#"{{"a":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
        reads::<Value>(&nested(126));
        assert!(read_object::<Value>(&nested(127)).is_none());
        assert!(read_object::<Value>(&nested(400)).is_none());
        assert!(read_object::<Holder<Value>>(&nested(400)).is_none());
        // Nothing is nested where values are skipped.
        assert!(read_object::<IgnoredAny>(&nested(400)).is_some());
    }
}

proptest! {
    /// Few letters, so that names repeat.
    #[test]
    fn names_are_refused_exactly_if_reserved_or_duplicate(
        members in prop::collection::vec(("[ab]{1,2}|exp|\\\\u0061|\\\\n", "[1-9]|\"[a,:{]{0,3}\"|\\{\"exp\":1\\}|\\[\\]"), 1..14)
    ) {
        let inner: Vec<_> = members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
        let json = format!("{{{}}}", inner.join(","));
        let mut seen = HashSet::new();
        let is_good = members.iter().all(|(name, _)| {
            let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
            name != "exp" && seen.insert(name)
        });
        let is_simple = members.len() <= 8 && !json.contains('\\');
        prop_assert_eq!(has_simple_names(&json), is_good && is_simple, "{}", json);
        prop_assert_eq!(check_names(&json).is_ok(), is_good, "{}", json);
        let read = read_object::<Value>(&json);
        prop_assert_eq!(read.is_some(), is_good, "{}", json);
        if let Some(read) = read {
            prop_assert_eq!(read, serde_json::from_str::<Value>(&json).unwrap());
        }
    }
}
