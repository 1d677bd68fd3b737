//! The application's claims: which can travel, and what becomes of them.

use super::*;

#[test]
fn claims_that_cannot_travel_are_refused() {
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
    assert!(written(&twice).err().unwrap().to_string().contains("twice"));
    assert!(written(&()).unwrap().members().is_empty());
    assert!(written(&json!({})).unwrap().members().is_empty());
}

/// Whoever had these would be logged in, and refused by every request.
#[test]
fn claims_that_could_not_be_read_back_are_refused() {
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
    assert!(matches!(written(&None::<Defaulted>), Err(InvalidClaims::NotAnObject)));
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
