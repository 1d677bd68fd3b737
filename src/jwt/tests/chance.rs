//! Random input, compared with plain readings of the same bytes.

use proptest::prelude::*;

use super::*;

/// Returns the claims of a payload in any order and spelling, as serde reads them.
fn plain(payload: &str) -> Option<(RegisteredClaims, Value)> {
    let Ok(Value::Object(mut members)) = serde_json::from_str(payload) else { return None };
    let mut take = |name: &str| members.remove(name);
    let text = |value: Option<Value>| value?.as_str().map(str::to_owned);
    let number = |value: Option<Value>| value?.as_u64();
    let time = |value: Option<Value>| number(value).map(Timestamp::from_secs);
    (text(take("iss"))? == ISSUER && text(take("aud"))? == "https://api.test").then_some(())?;
    let claims = RegisteredClaims {
        user_id: UserId::new(text(take("sub"))?).ok()?,
        session_id: text(take("sid"))?.parse().ok()?,
        generation: number(take("gen"))?.try_into().ok().filter(|generation| *generation > 0)?,
        epoch: number(take("epoch"))?.try_into().ok()?,
        auth_time: time(take("auth_time"))?,
        issued_at: time(take("iat"))?,
        expires_at: time(take("exp"))?,
        terms: None,
    };
    Some((claims, Value::Object(members)))
}

fn any_claims() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::Null),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("x.{0,8}", value, 0..5).prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #[test]
    fn written_tokens_are_read_also_by_jsonwebtoken(
        user in ".{1,40}",
        sid in any::<[u8; 16]>(),
        (generation, epoch) in (1..=u32::MAX, any::<u32>()),
        times in any::<[u32; 3]>(),
        claims in any_claims(),
        terms in super::terms::any_terms(),
    ) {
        let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
        let [auth_time, issued_at, expires_at] = times.map(|secs| Timestamp::from_secs(secs.into()));
        let registered = RegisteredClaims {
            user_id: UserId::new(&user).unwrap(),
            session_id: SessionId::from_bytes(sid),
            generation, epoch, auth_time, issued_at, expires_at,
            terms: terms.into_shared(),
        };
        let app = written(&claims).unwrap();
        let token = codec.seal(&registered, &app).unwrap();
        prop_assert!(token.len() <= codec.longest(&registered.user_id, registered.terms.as_deref(), &app));

        let (read, read_claims) = open::<Value>(&codec, &token).unwrap();
        prop_assert_eq!(&read, &registered);
        prop_assert_eq!(&read_claims, &claims);

        let mut theirs = oracle(&token).expect("jsonwebtoken refuses our token");
        let members = theirs.as_object_mut().unwrap();
        let registered_names = ["iss", "aud", "sub", "sid", "gen", "epoch", "auth_time", "iat", "exp"];
        members.retain(|name, _| name != "act" && name != "sess");
        let taken = registered_names.map(|name| members.remove(name).unwrap());
        prop_assert_eq!(&taken[2], &json!(user));
        prop_assert_eq!(&taken[3], &json!(registered.session_id.to_string()));
        prop_assert_eq!(&taken[4..], &[
            json!(generation), json!(epoch),
            json!(auth_time.as_secs()), json!(issued_at.as_secs()), json!(expires_at.as_secs()),
        ]);
        prop_assert_eq!(theirs, claims);
    }

    #[test]
    fn changed_byte_is_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
        let mut token = codec.seal(&registered("alice"), &written(&claims()).unwrap()).unwrap().into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != to);
        token[at] = to;
        prop_assert!(open_bytes::<Claims>(&codec, &token).is_err());
    }

    #[test]
    fn signed_payload_is_read_as_serde_reads_it_or_refused(
        at in any::<prop::sample::Index>(),
        cut in 0_usize..4,
        insert in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, kid(SECRET));
        let mut payload = PAYLOAD.replace("}", r#","role":"admin"}"#).into_bytes();
        let at = at.index(payload.len());
        payload.splice(at..(at + cut).min(payload.len()), insert);
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(&payload));
        let signature = SigningKey::hs256(SECRET).unwrap().sign(signed.as_bytes()).unwrap();
        let token = format!("{signed}.{}", encode(signature.as_bytes()));

        let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
        if let Ok((read, app)) = open::<Value>(&codec, &token) {
            let mut plain: Value = serde_json::from_slice(&payload).expect("accepted invalid JSON");
            prop_assert_eq!(plain["sub"].as_str(), Some(read.user_id.as_str()));
            prop_assert_eq!(plain["gen"].as_u64(), Some(read.generation.into()));
            prop_assert_eq!(plain["epoch"].as_u64(), Some(read.epoch.into()));
            prop_assert_eq!(plain["iat"].as_u64(), Some(read.issued_at.as_secs()));
            prop_assert_eq!(plain["exp"].as_u64(), Some(read.expires_at.as_secs()));
            plain.as_object_mut().unwrap().retain(|name, _| app.get(name).is_some());
            prop_assert_eq!(plain, app);
        }
    }

    /// Accepted payloads are read alike by a plain reader. A payload that a plain reader reads, and that is the same
    /// when written again, is accepted.
    #[test]
    fn accepts_exactly_the_canonical_spelling(
        user in "[a-c\\\\\"é\u{1}]{1,3}",
        (generation, epoch) in (prop_oneof![0..3_u64, Just(4_294_967_295), Just(4_294_967_296)], 0..3_u64),
        times in any::<[u32; 3]>(),
        app in prop_oneof![Just(String::new()), Just(r#","a":1"#.to_owned()), Just(r#","a":"x","b":[{"exp":1}]"#.to_owned()), Just(r#","exp":1"#.to_owned())],
        (at, cut) in (any::<prop::sample::Index>(), 0_usize..3),
        insert in prop_oneof![Just(String::new()), "[0-9]{0,2}", "[a-z]", "[ ,:\"{}\\[\\].eE+-]"],
    ) {
        let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
        let [auth_time, iat, exp] = times;
        let mut payload = format!(
            r#"{{"iss":"{ISSUER}","aud":"https://api.test","sub":{},"sid":"ABEiM0RVZneImaq7zN3u_w","gen":{generation},"epoch":{epoch},"auth_time":{auth_time},"iat":{iat},"exp":{exp}{app}}}"#,
            json!(user),
        );
        let at = at.index(payload.len());
        if payload.is_char_boundary(at) && payload.is_char_boundary((at + cut).min(payload.len())) {
            payload.replace_range(at..(at + cut).min(payload.len()), &insert);
        }
        let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, kid(SECRET));
        let read = open::<Value>(&codec, &forge(&header, &payload)).ok();
        let plain = plain(&payload);
        if read.is_some() {
            prop_assert_eq!(&read, &plain, "{}", payload);
        }
        // Duplicates, spaces and reserved names would be lost by writing again.
        let ours = plain.filter(|(claims, app)| {
            written(app).is_ok_and(|app| codec.payload(claims, &app) == payload)
        });
        if ours.is_some() {
            prop_assert_eq!(&read, &ours, "{}", payload);
        }
    }

    #[test]
    fn decode_agrees_with_another_decoder(
        encoded in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[A-Za-z0-9_-]{0,200}".prop_map(String::into_bytes),
            "[A-Za-z0-9_-]{0,100}[=+/.]?[AQgw]{0,2}".prop_map(String::into_bytes),
        ],
    ) {
        let plain = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&encoded).ok();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 150];
        prop_assert_eq!(codec::decode(&encoded, &mut buffer).ok().map(|decoded| &*decoded), plain.as_deref());
        let id = plain.filter(|_| encoded.len() == SessionId::TEXT_LEN);
        let id = id.and_then(|bytes| bytes.try_into().ok()).map(SessionId::from_bytes);
        prop_assert_eq!(SessionId::from_text(&encoded), id);
    }

    #[test]
    fn garbage_is_refused_without_panic(token in prop::collection::vec(any::<u8>(), 0..600)) {
        let codec = access_codec(&KeyRing::hs256(SECRET).unwrap());
        prop_assert!(open_bytes::<Value>(&codec, &token).is_err());
    }
}
