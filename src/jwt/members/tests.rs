//! The claims of applications, against serde_json on the same object.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::*;

macro_rules! agree {
    ($json:expr => $($type:ty),*) => { $(agrees::<$type>($json);)* };
}

mod asked;

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

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
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

#[derive(Debug, Deserialize)]
struct Unit;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "printed")]
enum Variants {
    #[serde(rename = "a")]
    Unit,
    #[serde(rename = "b")]
    Newtype(u8),
    #[serde(rename = "x")]
    Tuple(u8, Value),
    #[serde(rename = "1")]
    Struct { a: u8 },
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "printed")]
struct Holder<T> {
    a: T,
}

/// Reads an object as if ours stood before its members.
fn read_object<C: DeserializeOwned>(json: &str) -> Result<C, Refused> {
    read_members(&json.replacen('{', ",", 1))
}

fn reads<C: DeserializeOwned + PartialEq + fmt::Debug>(json: &str) {
    let plain: C = serde_json::from_str(json).unwrap();
    assert_eq!(read_object::<C>(json).unwrap(), plain, "{json}");
}

/// Both refuse it, or both read the same, as far as one can see.
fn agrees<C: DeserializeOwned + fmt::Debug>(json: &str) {
    let plain = serde_json::from_str::<C>(json).ok();
    let ours = read_object::<C>(json).ok();
    assert_eq!(format!("{ours:?}"), format!("{plain:?}"), "{json} as {}", std::any::type_name::<C>());
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

/// A value of JSON, or nearly one.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => "-?[0-9]{1,3}",
        1 => "-?[0-9]{17,22}|340282366920938463463374607431768211455",
        2 => "-?[0-9]{1,2}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
        3 => "\"[ab1x]?\"",
        2 => "\"([a-zé€\u{1F600}/ ]|\\\\[\\\\/\"bfnrtu]|\\\\u00[46]1|\\\\ud83d\\\\ude00|\\\\ud800){0,4}\"",
        3 => "true|false|null|tru|nulll|-|\"|a\u{1}",
        1 => "\"[\u{0}-\u{1f}]\"",
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(("[abx1]", inner), 0..3).prop_map(|all| {
                let members: Vec<_> = all.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    })
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\n\r]{1,2}", 1 => "[\u{b}\u{a0}]"]
}

#[test]
fn whoever_does_not_ask_for_all_there_is_or_for_more_is_told_the_same() {
    for end in ["}", "}}", "", " } ", "},\"b\":2}", ",}", ":}"] {
        for member in [r#""a":1"#, r#""a":1,"b":[2]"#, r#""a":"#, r#""a""#, r#""a" : "x" "#] {
            asked::every_odd_map(&format!("{{{member}{end}"));
        }
    }
}

/// serde_json alone panics at some of these.
#[test]
fn a_name_that_is_no_switch_is_refused_without_a_panic() {
    for name in ["é", "ééé", "tr€e", "€€€€", "t€", "fal😀", "", "t", "true ", "truee"] {
        let map = format!(r#"{{"{name}":1}}"#);
        assert!(read_object::<BTreeMap<bool, u8>>(&map).is_err(), "{name}");
        assert!(read_object::<Holder<BTreeMap<bool, u8>>>(&format!(r#"{{"a":{map}}}"#)).is_err(), "{name}");
        assert!(read_object::<Holder<Vec<BTreeMap<bool, u8>>>>(&format!(r#"{{"a":[{map}]}}"#)).is_err(), "{name}");
    }
    agrees::<Holder<BTreeMap<bool, u8>>>(r#"{"a":{"true":1,"false":2}}"#);
}

#[test]
fn what_is_too_deep_is_refused_before_the_stack_ends() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth| format!(r#"{{"a":{}1{}}}"#, open.repeat(depth), close.repeat(depth));
        agrees::<Value>(&nested(100));
        assert!(read_object::<Value>(&nested(600)).is_err());
        agree!(&nested(600) => Value, Holder<Vec<Value>>, Holder<Value>, IgnoredAny);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn values_are_what_serde_json_finds(value in value(), (one, two, three) in (blanks(), blanks(), blanks())) {
        let json = format!("{{\"a\"{one}:{two}{value}{three}}}");
        agree!(&json => Holder<bool>, Holder<u8>, Holder<i8>, Holder<u64>, Holder<i64>, Holder<u128>, Holder<i128>);
        agree!(&json => Holder<f32>, Holder<f64>, Holder<char>, Holder<String>, Holder<()>, Holder<Unit>, Holder<Name>);
        agree!(&json => Holder<Option<u64>>, Holder<Option<String>>, Holder<Option<Variants>>, Holder<Variants>);
        agree!(&json => Holder<Vec<Value>>, Holder<(u8, Value)>, Holder<BTreeMap<String, Value>>, Holder<Holder<u8>>);
        agree!(&json => Holder<BTreeMap<u8, u8>>, Holder<Box<RawValue>>, Holder<Value>);
        // Bytes are the one thing that serde_json reads although a control character stands in it, which is no JSON.
        if !value.contains(char::is_control) {
            agree!(&json => Holder<std::ffi::CString>);
        }
        if !value.contains(char::is_control) {
            asked::every_way(&json);
        }
        agree!(&json => Holder<IgnoredAny>, Value, IgnoredAny, Flat, Untagged, BTreeMap<String, Value>, Variants, (), Unit);
        agree!(&json => String, u8, Vec<Value>, Option<Value>, Option<Variants>, (Value, Value), Wrapped);
    }

    #[test]
    fn members_are_what_serde_json_finds(
        // All different, since serde_json takes the last of two.
        names in prop::collection::btree_set("[ab1x]|[0-9]{1,3}|-1|1 |1\\.5|0[0-9]|true|[^\"\\\\]{0,12}", 1..12),
        values in prop::collection::vec(value(), 12),
        (one, two, three, end) in (blanks(), blanks(), blanks(), prop_oneof![9 => Just("}"), 1 => Just(""), 1 => Just(",}"), 1 => Just("}}")]),
        comma in prop_oneof![9 => Just(","), 1 => Just(",,"), 1 => Just(";")],
    ) {
        let members: Vec<_> = names.iter().zip(values).map(|(name, value)| format!("\"{name}\"{one}:{two}{value}{three}")).collect();
        let json = format!("{{{}{end}{one}", members.join(&format!("{comma}{two}")));
        agree!(&json => Value, IgnoredAny, Flat, Variants, Holder<Value>, Option<Holder<IgnoredAny>>, Option<Variants>);
        agree!(&json => BTreeMap<String, Value>, BTreeMap<u64, Value>, BTreeMap<i8, Value>, BTreeMap<u128, Value>);
        agree!(&json => BTreeMap<char, IgnoredAny>, BTreeMap<Option<String>, Value>);
        agree!(&json => BTreeMap<Name, IgnoredAny>, BTreeMap<(), Value>);
        // serde_json looks for a switch in the midst of a character, and panics.
        if json.is_ascii() {
            agree!(&json => BTreeMap<bool, Value>);
        }
        if json.is_ascii() && !json.contains(char::is_control) {
            asked::every_way_of_names(&json);
        }
        let text = |raw: Box<RawValue>| raw.get().to_owned();
        let ours = read_object::<Box<RawValue>>(&json).map(text).ok();
        prop_assert_eq!(ours, serde_json::from_str::<Box<RawValue>>(&json).map(text).ok());
    }

    /// Few letters, so that names meet.
    #[test]
    fn refuses_exactly_what_a_plain_reading_finds(
        members in prop::collection::vec(("[ab]{1,2}|exp|\\\\u0061|\\\\n", "[1-9]|\"[a,:{]{0,3}\"|\\{\"exp\":1\\}|\\[\\]"), 1..14)
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
