//! What a login said about its session: written and read in one spelling, before the claims of the application.

use proptest::prelude::*;

use super::*;

pub(super) fn any_terms() -> impl Strategy<Value = SessionTerms> {
    let claims = prop::collection::btree_map(".{0,6}", ".{0,12}", 0..3);
    let actor = prop::option::of(".{1,12}");
    (any::<bool>(), prop::option::of(any::<u32>()), claims, actor).prop_map(|(persistent, idle, claims, actor)| {
        let mut terms = SessionTerms::default();
        terms.set_persistent(persistent);
        if let Some(idle) = idle {
            terms.set_refresh_lifetime(Duration::from_secs(idle.into()));
        }
        terms.set_claims(&claims).unwrap();
        if let Some(actor) = actor {
            terms.set_actor(UserId::new(actor).unwrap(), own_session());
        }
        terms
    })
}

/// `AAECAwQFBgcICQoLDA0ODw`.
fn own_session() -> SessionId {
    SessionId::from_bytes(std::array::from_fn(|n| n as u8))
}

/// What a login says that says everything.
pub(super) fn every_term() -> SessionTerms {
    let mut terms = SessionTerms::default();
    terms.set_persistent(false);
    terms.set_refresh_lifetime(Duration::from_secs(900));
    terms.set_claims(&json!({ "tenant": 7 })).unwrap();
    terms.set_actor(UserId::new("support \"é\"").unwrap(), own_session());
    terms
}

/// Reads a payload that ends with these members.
fn read(members: &str) -> Result<(RegisteredClaims, Value), TokenError> {
    let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, kid(SECRET));
    let payload = format!("{}{members}}}", PAYLOAD.strip_suffix('}').unwrap());
    open(&access_codec(&KeyRing::hs256(SECRET).unwrap()), &forge(&header, &payload))
}

#[test]
fn terms_have_one_spelling_and_precede_the_claims_of_the_application() {
    let spelled = r#","act":{"sub":"support \"é\"","sid":"AAECAwQFBgcICQoLDA0ODw"},"sess":{"idle":900,"persistent":false,"claims":{"tenant":7,"by":"é}"}}"#;
    let (registered, app) = read(&format!(r#"{spelled},"role":"admin""#)).unwrap();
    let terms = registered.terms.unwrap();
    assert_eq!((terms.refresh_lifetime(), terms.is_persistent()), (Some(Duration::from_secs(900)), false));
    assert_eq!(terms.session_claims::<Value>().unwrap(), Some(json!({ "tenant": 7, "by": "é}" })));
    assert_eq!(terms.actor().map(UserId::as_str), Some("support \"é\""));
    assert_eq!(terms.members(), spelled);
    let (registered, _) = read(r#","act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0ODw"}"#).unwrap();
    assert_eq!(registered.actor().map(UserId::as_str), Some("support"));
    assert_eq!(app, json!({ "role": "admin" }));

    for refused in [
        r#","act":{"sub":"","sid":"AAECAwQFBgcICQoLDA0ODw"}"#,
        r#","act":{"sub":"support"}"#,
        r#","act":{"sub":"support","sid":""}"#,
        r#","act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0OD"}"#,
        r#","act":{"sid":"AAECAwQFBgcICQoLDA0ODw","sub":"support"}"#,
        r#","act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0ODw","act":{"sub":"other"}}"#,
        r#","act":{"sub":"\u0061","sid":"AAECAwQFBgcICQoLDA0ODw"}"#,
        r#","act":"support""#,
        r#","act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0ODw"},"act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0ODw"}"#,
        r#","sess":{"idle":900},"act":{"sub":"support","sid":"AAECAwQFBgcICQoLDA0ODw"}"#,
        r#","sess":{}"#,
        r#","sess":null"#,
        r#","sess":{"idle":900"#,
        r#","sess":{"idle":900,}"#,
        r#","sess":{"idle":0900}"#,
        r#","sess":{"idle":900}}"#,
        r#","sess": {"idle":900}"#,
        r#","sess":{"idle":900,"idle":900}"#,
        r#","sess":{"persistent":true}"#,
        r#","sess":{"persistent":false,"idle":900}"#,
        r#","sess":{"claims":[]}"#,
        r#","sess":{"claims":{"a":1}"#,
        r#","sess":{"other":1}"#,
        r#","role":"admin","sess":{"idle":900}"#,
    ] {
        assert!(read(refused).is_err(), "{refused}");
    }
}

#[test]
fn session_claims_are_an_object_that_can_be_read() {
    let mut terms = SessionTerms::default();
    for refused in [json!(null), json!("text"), json!([1]), json!(7)] {
        assert!(terms.set_claims(&refused).is_err(), "{refused}");
    }
    let nested = |levels| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert!(terms.set_claims(&nested(200)).is_err(), "serde_json reads no more than 127 levels");
    assert_eq!(terms, SessionTerms::default());
    terms.set_claims(&nested(100)).unwrap();
    assert!(read(&terms.members()).is_ok());
    terms.set_claims(&json!({})).unwrap();
    assert!(terms.into_shared().is_none(), "an empty object is none");
}
