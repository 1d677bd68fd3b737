//! `client_id` and `jti` (RFC 9068, section 2.2).

use super::*;

#[test]
fn client_and_jti_stand_before_sub() {
    let golden: Value = serde_json::from_str(include_str!("../../../tests/golden/tokens-v1.json")).unwrap();
    let ring = KeyRing::hs256(SECRET).unwrap();
    let codec = access_codec(&ring).identifying("web");
    let (user, app) = ("älice \"quoted\" \u{1}", written(&claims()).unwrap());
    let token = codec.seal(&registered(user), &app).unwrap();
    assert_eq!(token, golden["access_hs256_client_id"].as_str().unwrap());
    let payload = codec.payload(&registered("alice"), &app);
    let expected = r#"{"iss":"https://app.test","aud":"https://api.test","client_id":"web","jti":"JTI","sub":"alice","sid":"ABEiM0RVZneImaq7zN3u_w","gen":3,"epoch":2,"auth_time":1767225600,"iat":1767226200,"exp":1767229800,"role":"admin","teams":[7,11]}"#;
    let jti = payload.split(r#""jti":""#).nth(1).unwrap().get(..22).unwrap();
    assert_eq!(payload, expected.replace("JTI", jti));
    // Codecs read both forms, and keep the client when their keys are replaced.
    for reader in [access_codec(&ring), codec.with_ring(&ring), access_codec(&ring).identifying("another")] {
        assert_eq!(open(&reader, &token).unwrap(), (registered(user), claims()));
    }
    assert_eq!(codec.with_ring(&ring).seal(&registered(user), &app).unwrap(), token);
}

#[test]
fn longest_token_includes_client_and_jti() {
    let codec = access_codec(&KeyRing::hs256(SECRET).unwrap()).identifying("web");
    let app = written(&claims()).unwrap();
    let latest = Timestamp::from_secs(9_999_999_999);
    let longest = RegisteredClaims {
        generation: u32::MAX,
        epoch: u32::MAX,
        auth_time: latest,
        issued_at: latest,
        expires_at: latest,
        ..registered("alice")
    };
    let token = codec.seal(&longest, &app).unwrap();
    assert_eq!(token.len(), codec.longest(&longest.user_id, None, &app));
}
