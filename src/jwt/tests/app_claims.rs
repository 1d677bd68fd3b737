//! The application's claims: which are accepted at login, and how they are read.

use super::{super::claims::Written, *};
use crate::error::ConfigErrorKind;

#[test]
fn reserved_duplicate_and_non_object_claims_are_refused() {
    let refused = |claims: Value| written(&claims).err().map(|error| error.to_string()).unwrap();
    for reserved in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "sid", "gen", "epoch", "auth_time"] {
        assert!(refused(json!({ "role": "admin", reserved: 1 })).contains(reserved));
    }
    for no_object in [json!(1), json!("admin"), json!([1]), json!(true)] {
        assert!(refused(no_object).contains("struct or map"));
    }
    #[derive(Serialize, Deserialize)]
    struct Twice {
        role: u8,
        #[serde(flatten)]
        more: std::collections::BTreeMap<String, u8>,
    }
    let twice = Twice { role: 1, more: [("role".to_owned(), 2)].into() };
    assert!(written(&twice).err().unwrap().to_string().contains("duplicate"));
    assert!(written(&()).unwrap().members().is_empty());
    assert!(written(&json!({})).unwrap().members().is_empty());
}

/// A user with these would be logged in, and every request refused.
#[test]
fn claims_that_cannot_be_read_back_are_refused() {
    #[derive(Default, Serialize, Deserialize)]
    struct Skipped {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
    }
    #[derive(Serialize, Deserialize)]
    struct Score {
        score: f64,
    }
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename(serialize = "one", deserialize = "other"))]
        name: u8,
    }
    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Defaulted {
        tenant: u8,
    }
    let nested = (0..200).fold(json!(1), |inner, _| json!([inner]));
    for refused in [
        written(&Skipped::default()),
        written(&Score { score: f64::NAN }),
        written(&Renamed { name: 1 }),
        written(&json!({ "a": nested })),
    ] {
        assert!(refused.err().unwrap().to_string().contains("read back"));
    }
    written(&Skipped { roles: vec!["admin".to_owned()] }).unwrap();
    // It would become `Some`.
    assert!(matches!(written(&None::<Defaulted>), Err(InvalidClaims::NotAnObject(Written::Null))));
    written(&Some(Defaulted::default())).unwrap();
    written(&None::<Claims>).unwrap();
}

#[test]
fn claims_of_every_shape_are_read_back() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Empty {}
    let ring = KeyRing::hs256(SECRET).unwrap();
    let codec = access_codec(&ring);
    let seal = |app: &AppClaims| codec.seal(&registered("alice"), app).unwrap();
    let none = seal(&AppClaims::none());
    assert_eq!(open::<()>(&codec, &none).unwrap().1, ());
    assert_eq!(open::<Empty>(&codec, &none).unwrap().1, Empty {});
    assert_eq!(open::<Option<Claims>>(&codec, &none).unwrap().1, None);
    assert_eq!(open::<Claims>(&codec, &none), Err(TokenError::BadClaims));
    let some = seal(&written(&Some(claims())).unwrap());
    assert_eq!(open::<Option<Claims>>(&codec, &some).unwrap().1, Some(claims()));
    assert_eq!(open::<Value>(&codec, &some).unwrap().1, json!({ "role": "admin", "teams": [7, 11] }));
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    for depth in [1, 99, 101, 126] {
        let claims = json!({ "a": nested(depth) });
        assert_eq!(open::<Value>(&codec, &seal(&written(&claims).unwrap())).unwrap().1, claims);
    }
    for raw in ["{ \"a\" : 1 }", "{\n\"a\":[1]}", "{ }"] {
        let claims: Box<serde_json::value::RawValue> = serde_json::from_str(raw).unwrap();
        let token = seal(&written(&claims).unwrap());
        assert_eq!(open::<Value>(&codec, &token).unwrap().1, serde_json::from_str::<Value>(raw).unwrap());
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum External {
    Guest,
    Member { role: String },
    Bot(Claims),
    Machine,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    Guest,
    Member { role: String },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of")]
enum Adjacent {
    Guest,
    Member(u8),
}

#[derive(Serialize, Deserialize)]
struct Newtype<T>(T);

fn refused<C: Serialize + serde::de::DeserializeOwned>() -> Option<String> {
    let refused = super::super::claims::check_claims_type::<C>(ClaimsShape::of::<C>()).err()?;
    assert_eq!(refused.kind(), ConfigErrorKind::InvalidClaimsType);
    Some(refused.to_string())
}

#[test]
fn enum_with_variant_without_fields_is_refused_unless_it_is_tagged() {
    for told in [
        refused::<External>(),
        refused::<Option<External>>(),
        refused::<Box<External>>(),
        refused::<Newtype<Option<Newtype<External>>>>(),
    ] {
        let told = told.unwrap();
        assert!(told.contains("variant Guest has no fields") && told.contains("#[serde(tag = \"type\")]"), "{told}");
        assert!(told.contains("External"), "{told}");
    }
    assert_eq!(refused::<Internal>(), None);
    assert_eq!(refused::<Adjacent>(), None);
    for tagged in [Internal::Guest, Internal::Member { role: "admin".into() }] {
        written(&tagged).unwrap();
    }
    for tagged in [Adjacent::Guest, Adjacent::Member(1)] {
        written(&tagged).unwrap();
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum WithFields {
        Member { role: String },
        Bot(Claims),
        None {},
    }
    assert_eq!(refused::<WithFields>(), None);
    written(&WithFields::None {}).unwrap();
    // Whose unit variant the application writes as an object.
    #[derive(Deserialize)]
    enum WrittenByHand {
        Guest,
    }
    impl Serialize for WrittenByHand {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self::Guest = self;
            serializer.collect_map([("Guest", ())])
        }
    }
    assert_eq!(refused::<WrittenByHand>(), None);
    written(&WrittenByHand::Guest).unwrap();
    for other in [
        refused::<()>(),
        refused::<Claims>(),
        refused::<Option<Claims>>(),
        refused::<Value>(),
        refused::<std::collections::BTreeMap<String, u8>>(),
        refused::<Box<serde_json::value::RawValue>>(),
        refused::<u8>(),
        refused::<String>(),
    ] {
        assert_eq!(other, None);
    }
}

#[test]
fn errors_at_login_name_the_remedy() {
    let told = |refused: Result<AppClaims, InvalidClaims>| refused.err().unwrap().to_string();
    assert!(told(written(&External::Guest)).contains("#[serde(tag = \"type\")]"));
    written(&External::Bot(claims())).unwrap();

    #[derive(Serialize, Deserialize)]
    struct Within {
        wide: u128,
    }
    #[derive(Serialize, Deserialize)]
    struct Signed {
        wide: i128,
    }
    #[derive(Serialize, Deserialize)]
    struct Flat<T> {
        #[serde(flatten)]
        within: T,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Wide { wide: u128 },
    }
    for wide in [0, 7, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX] {
        for told in [told(written(&Flat { within: Within { wide } })), told(written(&Tagged::Wide { wide }))] {
            assert!(told.contains("no u128 or i128 within #[serde(flatten)]"), "{wide}: {told}");
        }
        written(&Within { wide }).unwrap();
    }
    for wide in [0, -7, i128::MIN, i128::MAX] {
        let told = told(written(&Flat { within: Signed { wide } }));
        assert!(told.contains("no u128 or i128 within #[serde(flatten)]"), "{wide}: {told}");
    }

    #[derive(Serialize, Deserialize)]
    struct Skipped {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        roles: Vec<String>,
    }
    assert!(told(written(&Skipped { roles: Vec::new() })).contains("(missing field `roles`): a field that is skipped"));
    let by_tuple: std::collections::HashMap<(u8, u8), u8> = [((1, 2), 3)].into();
    assert!(told(written(&Tuples(by_tuple))).contains("key must be a string"));
}

#[derive(Serialize, Deserialize)]
struct Tuples(std::collections::HashMap<(u8, u8), u8>);
